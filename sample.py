"""`python sample.py`: the same as `mgen sample`, from a checkout; see mgen/commands/sample.py."""

import sys

from mgen.commands import run

if __name__ == "__main__":
    sys.exit(run("sample"))
