"""`mgen studio WORKDIR [WORKDIR ...] [--port N] [--host NAME]`."""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import socket
import threading
from collections.abc import Sequence

import tyro


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Opens a page where the controls of trained experiments are turned and heard at once; needs no network."""

    workdirs: tyro.conf.Positional[tuple[pathlib.Path, ...]]
    """Folders of the runs."""
    port: int = 8765
    """Where the page is; 0 takes a free one."""
    host: str = "127.0.0.1"
    """Address to listen on. Any other than this machine's own lets others in: there is no password."""


def main(arguments: Sequence[str], *, program: str) -> None:
    """Serves the page until it is stopped with Ctrl-C."""
    asked = tyro.cli(Arguments, args=list(arguments), prog=program)
    from mgen.commands.arguments import UsageError

    try:
        import uvicorn

        from mgen.studio.app import build
    except ImportError as error:
        raise UsageError(f"the studio needs {error.name}: pip install 'mgen[studio]'") from error
    from mgen.studio.player import Player
    from mgen.training.checkpoint import load

    logging.basicConfig(format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    if not asked.workdirs:
        raise UsageError("give the folder of a run: mgen studio WORKDIR")
    players = [Player(load(workdir), workdir.resolve()) for workdir in asked.workdirs]
    try:
        listener = socket.create_server((asked.host, asked.port))
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"--host {asked.host} --port {asked.port}: {getattr(error, 'strerror', None) or error}; "
            "another --port may be free"
        ) from error
    anyone = asked.host in ("0.0.0.0", "::")
    app = build(players, hosts=["*"] if anyone else ["127.0.0.1", "localhost", asked.host])
    # Compiling takes seconds; the page is there meanwhile.
    threading.Thread(target=_warm_up, args=(players,), daemon=True).start()
    print(f"http://{asked.host}:{listener.getsockname()[1]}/  (Ctrl-C stops it)", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    server.run(sockets=[listener])


def _warm_up(players: Sequence) -> None:
    for player in players:
        for draft in (True, False):
            try:
                player.play({}, seed=0, draft=draft)
            except Exception:  # it is said when somebody plays
                logging.getLogger(__name__).exception("%s cannot be played", player.folder)
