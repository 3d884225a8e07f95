"""`mgen train [CONFIG] [--workdir DIR] [--field.path value ...]`."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence


def main(arguments: Sequence[str], *, program: str) -> None:
    """Trains an experiment, or goes on with one that was stopped."""
    from mgen.commands.arguments import parse_experiment

    experiment, workdir = parse_experiment(arguments, program=program, default_config="demo")
    from mgen.training.loop import train  # after the arguments, so that --help is quick

    logging.basicConfig(format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax tells of every file it writes
    train(experiment, workdir)
    listen = program.replace("train", "sample")
    listen = f"python {listen}" if listen.endswith(".py") else listen
    print(f"trained: {workdir}. Listen: {listen} {shlex.quote(str(workdir))}")
