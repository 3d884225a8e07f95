"""`mgen studio WORKDIR [WORKDIR ...] [--clips FOLDER] [--port N] [--host NAME]`."""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import socket
import sys
import threading
from collections.abc import Sequence

import tyro


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Opens a page where the controls of trained experiments are turned and heard at once; needs no network."""

    workdirs: tyro.conf.Positional[tuple[pathlib.Path, ...]]
    """Folders of the runs."""
    clips: pathlib.Path | None = None
    """Folder of sound files, the first 2000 of which can be picked where a control is a clip; links that lead out of it
    are passed by."""
    port: int = 8765
    """Where the page is; 0 takes a free one."""
    host: str = "127.0.0.1"
    """IPv4 address or name to listen on. Any but this machine's own lets others in, without a password; 0.0.0.0 lets in
    also what any web page that you visit asks for."""


def main(arguments: Sequence[str], *, program: str) -> None:
    """Serves the page until it is stopped with Ctrl-C."""
    asked = tyro.cli(Arguments, args=list(arguments), prog=program)
    from mgen.commands.arguments import UsageError

    try:
        import uvicorn

        from mgen.studio.app import build
        from mgen.studio.clips import ClipStore
    except ImportError as error:
        raise UsageError(f"the studio needs {error.name}: make studio, or pip install -e '.[studio]'") from error
    from mgen.studio.player import Player
    from mgen.training.checkpoint import CheckpointError, load

    logging.basicConfig(format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    if not asked.workdirs:
        raise UsageError("give the folder of a run: mgen studio WORKDIR")
    try:
        clips = ClipStore(asked.clips)
    except ValueError as error:
        raise UsageError(f"--clips {error}") from error
    players = []
    for workdir in asked.workdirs:
        try:
            players.append(Player(load(workdir), workdir.resolve()))
        except CheckpointError as error:
            if len(asked.workdirs) == 1:
                raise
            print(f"{program}: {error}", file=sys.stderr)  # the others can be played all the same
    if not players:
        raise UsageError("none of these runs can be played")
    try:
        listener = socket.create_server((asked.host, asked.port))
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"--host {asked.host} --port {asked.port}: {getattr(error, 'strerror', None) or error}; "
            "give this machine's IPv4 address or name, and a --port that is free"
        ) from error
    hosts = ["*"] if asked.host == "0.0.0.0" else ["127.0.0.1", "localhost", asked.host]
    app = build(players, clips=clips, hosts=hosts)
    # Compiling takes seconds; the page is there meanwhile.
    threading.Thread(target=_warm_up, args=(players,), daemon=True).start()
    print(f"http://{asked.host}:{listener.getsockname()[1]}/  (Ctrl-C stops it)", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    server.run(sockets=[listener])


def _warm_up(players: Sequence) -> None:
    for player in players:
        try:
            player.check({})
        except ValueError:  # it plays only what a person gives it
            continue
        for draft in (True, False):
            try:
                player.play({}, seed=0, draft=draft)
            except Exception:  # it is said when somebody plays
                logging.getLogger(__name__).exception("%s cannot be played", player.folder)
