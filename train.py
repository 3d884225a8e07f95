"""`python train.py`: the same as `mgen train`, from a checkout; see mgen/commands/train.py."""

import sys

from mgen.commands import run

if __name__ == "__main__":
    sys.exit(run("train"))
