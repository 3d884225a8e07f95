"""The studio's server: a page, what can be turned, and sound. All it needs is in this package; nothing is fetched.

    GET  /                the page
    GET  /api/runs        the runs and their controls, and the sounds that can be picked
    POST /api/sound       {run, seed, settings, draft} to sound and picture, see `player.pack`
    POST /api/wav         {run, seed, settings} to a wav file
    POST /api/settings    {run, seed, settings} to what `sample.py --settings` reads
    POST /api/clip?run=   a sound file to {clip: its name in settings, seconds}, see `clips`
    GET  /api/clip?run=&clip=   that sound, or one that can be picked, as the run is given it

What cannot be played is {"error": one line}: 400 where the request is wrong, 500 where this side failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
import itertools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mgen.studio.clips import LARGEST, ClipStore
from mgen.studio.player import Player, pack

_LARGEST = 1 << 16  # bytes of a request that is no sound
_UPLOADS = 2  # that are in memory at a time; the others wait
_FILES = ("studio.js", "server.js", "sound.js", "values.js", "clips.js", "microphone.js", "recorder.js", "studio.css")
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
_HEADERS = {
    # No script, sound or font but the page's own, whatever a run's names contain.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:",
    "Cross-Origin-Resource-Policy": "same-origin",  # no other page plays the clips
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class _Refused(Exception):
    """The request is wrong."""


def build(
    players: Sequence[Player], *, clips: ClipStore | None = None, hosts: Sequence[str] = ("127.0.0.1", "localhost")
) -> Starlette:
    """The application.

    Args:
      players: the runs, in the order of the page; those of one name are told apart by a number.
      clips: sounds that can be picked.
      hosts: names under which it answers: a page elsewhere cannot reach it by a name of its own (DNS rebinding).
    """
    clips, uploads = clips or ClipStore(), asyncio.Semaphore(_UPLOADS)
    runs: dict[str, Player] = {}
    for player in players:
        names = (player.name if number == 1 else f"{player.name} {number}" for number in itertools.count(1))
        runs[next(name for name in names if name not in runs)] = player

    def listed() -> dict[str, Any]:
        return {
            "runs": [{**player.describe(), "name": name} for name, player in runs.items()],
            "clips": clips.names,
            "largest": LARGEST,
        }

    async def about(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(listed), headers=_HEADERS)

    def named(run: str | None) -> Player:
        if run not in runs:
            raise _Refused(f"no run is named {run!r}; there are {', '.join(runs)}")
        return runs[run]

    async def take(request: Request) -> Response:
        player = named(request.query_params.get("run"))
        async with uploads:
            # Another page's script may send what a form could, of any size, without asking; this type it may not.
            data = await _body(request, "application/octet-stream", LARGEST)
            with _refusing():
                name, seconds = await run_in_threadpool(clips.add, data, player)
        return JSONResponse({"clip": name, "seconds": seconds}, headers=_HEADERS)

    async def give(request: Request) -> Response:
        asked = request.query_params
        player = named(asked.get("run"))
        with _refusing():
            wav = await run_in_threadpool(clips.wav, asked.get("clip"), player)
        return Response(wav, media_type="audio/wav", headers=_HEADERS)

    def answer(make: Callable[[Player, dict[str, Any]], Response]) -> Callable:
        async def endpoint(request: Request) -> Response:
            asked = await _asked(request)
            player = named(asked["run"])
            with _refusing():
                asked["settings"] = await run_in_threadpool(clips.resolve, asked["settings"], player)
                player.check(asked["settings"])
            return await run_in_threadpool(make, player, asked)

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
        *(Route(f"/{name}", _file(name)) for name in _FILES),
        Route("/api/runs", _answering(about, "the runs cannot be told")),
        Route("/api/clip", _answering(take, "the sound cannot be kept"), methods=["POST"]),
        Route("/api/clip", _answering(give, "the sound cannot be given")),
        *(
            Route(f"/api/{make.__name__}", _answering(answer(make), "the model failed"), methods=["POST"])
            for make in (sound, wav, settings)
        ),
    ]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))])


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """What is wrong inside is wrong with the request."""
    try:
        yield
    except ValueError as error:
        raise _Refused(str(error)) from error


def _answering(endpoint: Callable, failure: str) -> Callable:
    """An endpoint that says in one line why it gives nothing: a broken model must not take the others down."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except _Refused as error:
            return _error(400, str(error))
        except ClientDisconnect:
            return _error(400, "gone before it had said all")  # to nobody
        except Exception as error:
            logging.getLogger(__name__).exception("%s", request.url.path)
            return _error(500, f"{failure}: {str(error) or type(error).__name__}")

    return answered


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


async def _body(request: Request, kind: str, most: int) -> bytearray:
    """The request's body, if it is of that type, and as soon as it is too large none of it."""
    if request.headers.get("content-type", "").partition(";")[0] != kind:
        raise _Refused(f"expected Content-Type: {kind}")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise _Refused(f"expected at most {most} bytes")
    return body


async def _asked(request: Request) -> dict[str, Any]:
    """The request's body, of which every field is there and has its type.

    JSON only: a form of another page could be sent without asking this server first, JSON cannot.
    """
    try:
        asked = json.loads(await _body(request, "application/json", _LARGEST))
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
