"""The studio's server: a page, what can be turned, and sound. All it needs is in this package; nothing is fetched.

    GET  /                the page
    GET  /api/runs        the runs and their controls
    POST /api/sound       {run, seed, settings, draft} to sound and picture, see `player.pack`
    POST /api/wav         {run, seed, settings} to a wav file
    POST /api/settings    {run, seed, settings} to what `sample.py --settings` reads

What cannot be played is {"error": one line}: 400 where the request is wrong, 500 where the model failed.
"""

from __future__ import annotations

import importlib.resources
import itertools
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mgen.studio.player import Player, pack

_LARGEST = 1 << 16  # bytes of a request
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
# No script, sound or font but the page's own, whatever a run's names contain.
_HEADERS = {"Content-Security-Policy": "default-src 'self'; img-src 'self' data:", "Cache-Control": "no-store"}


class _Refused(Exception):
    """The request is wrong."""


def build(players: Sequence[Player], *, hosts: Sequence[str] = ("127.0.0.1", "localhost")) -> Starlette:
    """The application.

    Args:
      players: the runs, in the order of the page; those of one name are told apart by a number.
      hosts: names under which it answers: a page elsewhere cannot reach it by a name of its own (DNS rebinding).
    """
    runs: dict[str, Player] = {}
    for player in players:
        names = (player.name if number == 1 else f"{player.name} {number}" for number in itertools.count(1))
        runs[next(name for name in names if name not in runs)] = player

    def listed() -> dict[str, Any]:
        return {"runs": [{**player.describe(), "name": name} for name, player in runs.items()]}

    async def about(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(listed), headers=_HEADERS)

    def answer(make: Callable[[Player, dict[str, Any]], Response]) -> Callable:
        async def endpoint(request: Request) -> Response:
            try:
                asked = await _asked(request)
                if asked["run"] not in runs:
                    raise _Refused(f"no run is named {asked['run']!r}; there are {', '.join(runs)}")
                player = runs[asked["run"]]
                player.check(asked["settings"])
            except (_Refused, ValueError) as error:
                return _error(400, str(error))
            try:
                return await run_in_threadpool(make, player, asked)
            except Exception as error:  # a broken model must not take the others, or the page, down
                logging.getLogger(__name__).exception("%s", request.url.path)
                return _error(500, f"the model failed: {str(error) or type(error).__name__}")

        return endpoint

    def sound(player: Player, asked: dict[str, Any]) -> Response:
        made = player.play(asked["settings"], seed=asked["seed"], draft=asked["draft"])
        return Response(pack(made, player.sample_rate), media_type="application/octet-stream", headers=_HEADERS)

    def wav(player: Player, asked: dict[str, Any]) -> Response:
        data = player.export(asked["settings"], seed=asked["seed"])
        return Response(data, media_type="audio/wav", headers=_HEADERS)

    def settings(player: Player, asked: dict[str, Any]) -> Response:
        text = json.dumps(player.settings(asked["settings"], seed=asked["seed"]), indent=2) + "\n"
        return Response(text, media_type="application/json", headers=_HEADERS)

    routes = [
        Route("/", _file("index.html")),
        *(Route(f"/{name}", _file(name)) for name in ("studio.js", "sound.js", "values.js", "studio.css")),
        Route("/api/runs", about),
        *(Route(f"/api/{make.__name__}", answer(make), methods=["POST"]) for make in (sound, wav, settings)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))])


def _error(status: int, text: str) -> Response:
    """One line; what is no Unicode, as JSON can hold it, is escaped."""
    line = text.encode("utf-8", "backslashreplace").decode().partition("\n")[0]
    return JSONResponse({"error": line}, status_code=status, headers=_HEADERS)


def _file(name: str) -> Callable:
    """One of the page's own files, by a fixed name: no path comes from the request."""
    body = (importlib.resources.files("mgen.studio") / "page" / name).read_bytes()

    async def endpoint(request: Request) -> Response:
        return Response(body, media_type=_TYPES[name.rpartition(".")[2]], headers=_HEADERS)

    return endpoint


async def _asked(request: Request) -> dict[str, Any]:
    """The request's body, of which every field is there and has its type.

    JSON only: a form of another page could be sent without asking this server first, JSON cannot.
    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise _Refused("expected Content-Type: application/json")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise _Refused(f"expected at most {_LARGEST} bytes")
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _Refused(f"not JSON: {error}") from error
    if not isinstance(asked, dict):
        raise _Refused("expected an object")
    asked = {"seed": 0, "settings": {}, "draft": False, "run": ""} | asked
    for name, kind in (("run", str), ("settings", dict), ("draft", bool), ("seed", int)):
        if type(asked[name]) is not kind:
            raise _Refused(f"{name}: expected {kind.__name__}, got {asked[name]!r}")
    if not 0 <= asked["seed"] < 2**31:
        raise _Refused(f"seed: expected 0 to {2**31 - 1}, got {asked['seed']}")
    return asked
