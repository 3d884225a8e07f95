"""`python -m mgen VERB`."""

import sys

from mgen.commands import main

sys.exit(main())
