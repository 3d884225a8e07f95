"""Command lines: which experiment a person means, and every field of it that they override."""

from __future__ import annotations

import dataclasses
import functools
import operator
import pathlib
import runpy
from collections.abc import Sequence
from typing import Annotated

import tyro

from mgen.training.experiment import Experiment, from_json, to_json


class UsageError(Exception):
    """The command line cannot be understood: the message says which word, and the way out."""


def find_config(name: str) -> pathlib.Path:
    """The file of an experiment, given as a path or as the bare name of one that comes with mgen.

    Raises:
      UsageError: there is none; the message lists those that come with mgen.
    """
    if pathlib.Path(name).is_file():
        return pathlib.Path(name)
    package = pathlib.Path(__file__).resolve().parents[1]
    # In a checkout configs/ lies beside the package, in an installed wheel inside it.
    shipped = sorted(path for room in (package.parent, package) for path in (room / "configs").glob("*.py"))
    for path in shipped:
        if name in (path.stem, path.name, f"configs/{path.name}"):
            return path
    raise UsageError(f"{name}: no such config; give a file, or one of {', '.join(path.stem for path in shipped)}")


def load_config(name: str) -> tuple[Experiment, str, str]:
    """Reads `CONFIG` or `CONFIG:VARIABLE` (by default `experiment`).

    Returns:
      The experiment, a name for its run, and the config's docstring.

    Raises:
      UsageError: no such config, or it holds no such experiment.
    """
    name, _, variable = name.partition(":")
    path, variable = find_config(name), variable or "experiment"
    found = runpy.run_path(str(path))
    if not isinstance(found.get(variable), Experiment):
        known = [key for key, value in found.items() if isinstance(value, Experiment)]
        raise UsageError(f"{path}: holds no experiment named '{variable}'; it holds {', '.join(known) or 'none'}")
    run = path.stem if variable == "experiment" else f"{path.stem}_{variable}"
    return found[variable], run, found.get("__doc__") or ""


def parse_experiment(arguments: Sequence[str], *, program: str, default_config: str) -> tuple[Experiment, pathlib.Path]:
    """Reads `[CONFIG] [--workdir DIR] [--field.path value ...]`; `--help` lists every field of that config.

    Leaves the program with status 2, naming the field (and those with near names), when one does not exist, has the
    wrong type, or is refused by the dataclass it belongs to.

    Returns:
      The experiment, and the folder of its run.

    Raises:
      UsageError: the config does not exist, or uses classes that a checkpoint cannot name.
    """
    arguments = list(arguments)
    config = arguments.pop(0) if arguments and not arguments[0].startswith("-") else default_config
    experiment, name, card = load_config(config)
    # The contracts are protocols, of which tyro shows no fields: each is narrowed to the class the config chose. The
    # fields' docstrings are read from the source of the base class, so their help survives.
    narrow = {
        field.name: type(getattr(experiment, field.name))
        for field in dataclasses.fields(experiment)
        if dataclasses.is_dataclass(getattr(experiment, field.name))
    }
    narrow["optimisers"] = dict[str, functools.reduce(operator.or_, map(type, experiment.optimisers.values()))]
    folder = tyro.conf.arg(help="Folder of the run; the same command goes on from what it finds there.")
    narrow["workdir"] = Annotated[pathlib.Path, folder]
    line = type("CommandLine", (Experiment,), {"__annotations__": narrow, "workdir": pathlib.Path("runs") / name})
    line = dataclasses.dataclass(frozen=True)(line)
    values = vars(experiment)
    asked = tyro.cli(
        line,
        args=arguments,
        default=line(**values),
        prog=program if config == default_config else f"{program} {config}",
        description=card,
        config=(tyro.conf.AvoidSubcommands,),
    )
    experiment = Experiment(**{name: getattr(asked, name) for name in values})
    try:
        from_json(to_json(experiment))  # before an hour of training, not after it
    except ValueError as error:
        raise UsageError(f"{config}: {error}, and so the run could not be sampled") from error
    return experiment, asked.workdir
