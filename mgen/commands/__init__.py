"""The verbs of `mgen VERB`, one a file; `train.py` and `sample.py` in the repository's root call the same functions."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

VERBS = {
    "train": "train an experiment, or go on with one that was stopped",
    "sample": "make sounds from a trained experiment",
    "studio": "turn a run's controls on a local page, and hear them at once",
    "invert": "sound to a spectrogram and back, to hear what is lost",
    "evaluate": "measure what a run makes, beside real sound",
    "render-notes": "play a soundfont's notes, to train on",
    "render-tones": "make songs of the built-in synthetic music, to train on",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `mgen VERB ...` and returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        verbs = "\n".join(f"  {verb:12} {purpose}" for verb, purpose in VERBS.items())
        print(f"usage: mgen VERB ...\n\n{verbs}\n\nmgen VERB --help tells more.")
        return 0
    verb, *rest = arguments
    if verb not in VERBS:
        print(f"mgen: no verb '{verb}'; the verbs are {', '.join(VERBS)}", file=sys.stderr)
        return 2
    return run(verb, rest, program=f"mgen {verb}")


def run(verb: str, arguments: Sequence[str] | None = None, *, program: str | None = None) -> int:
    """Runs one verb. What a person can mend is one line on stderr and status 1; all else is a traceback."""
    command: Callable[..., None] = importlib.import_module(f"mgen.commands.{verb.replace('-', '_')}").main
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    program = program or f"{verb}.py"
    try:
        command(arguments, program=program)
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as a shell expects
    except Exception as error:
        if not _is_for_people(error):
            raise
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    return 0


def _is_for_people(error: Exception) -> bool:
    """Whether the error is about what the person gave, and its message says how to mend it."""
    from mgen.audio import AudioError
    from mgen.commands.arguments import UsageError
    from mgen.data import DataError
    from mgen.training.checkpoint import CheckpointError
    from mgen.training.loop import TrainingError

    return isinstance(error, (AudioError, CheckpointError, DataError, TrainingError, UsageError))
