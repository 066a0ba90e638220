"""The transparency log over HTTP, as C2SP tlog-tiles: anyone may mirror it and recompute its roots.

Its entries are commitments (``keys.evidence.log.entry_of``): that something was recorded is public, what it was is not.
"""

import re

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from keys.base.db import AsyncSession
from keys.base.errors import NotFound
from keys.evidence.log import TILE, entries, latest_checkpoint, tile_hashes

# Twelve digits are more entries than a log will ever have; longer ones would only make work.
INDEX = re.compile(r"(?:x[0-9]{3}/){0,3}[0-9]{3}\Z")
WIDTH = re.compile(r"[1-9][0-9]{0,2}\Z")
LEVEL = re.compile(r"[0-5]\Z")
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


async def checkpoint(request: Request) -> Response:
    """The newest signed checkpoint; 404 while the log is empty."""
    async with request.app.state.house.database.session() as session:
        row = await latest_checkpoint(session)
    if row is None:
        raise NotFound("log is empty")
    return PlainTextResponse(row.note, headers={"Cache-Control": "no-cache"})


def parse_index(text: str) -> int:
    """``x001/x234/067`` → 1234067 (tlog-tiles: groups of three digits, all but the last prefixed ``x``)."""
    if not INDEX.match(text):
        raise NotFound("tile")
    return int(text.replace("x", "").replace("/", ""))


def parse_tile(path: str) -> tuple[int, int]:
    """``(index, width)`` from ``<N>`` (full, 256) or ``<N>.p/<W>`` (partial)."""
    index, separator, width = path.partition(".p/")
    if not separator:
        return parse_index(index), TILE
    if not WIDTH.match(width) or int(width) >= TILE:
        raise NotFound("tile")
    return parse_index(index), int(width)


async def _size(session: AsyncSession) -> int:
    row = await latest_checkpoint(session)
    return 0 if row is None else row.size


async def tile(request: Request) -> Response:
    """``/log/tile/<L>/<N>[.p/<W>]``: hashes; only what a checkpoint covers."""
    level_text = request.path_params["level"]
    if not LEVEL.match(level_text):
        raise NotFound("tile")
    level = int(level_text)
    index, width = parse_tile(request.path_params["path"])
    async with request.app.state.house.database.session() as session:
        if (index * TILE + width) * TILE**level > await _size(session):
            raise NotFound("tile")
        hashes = await tile_hashes(session, level, index, width)
    return Response(hashes, media_type="application/octet-stream", headers=FOREVER)


async def entry_bundle(request: Request) -> Response:
    """``/log/tile/entries/<N>[.p/<W>]``: entries, each behind its length in two octets."""
    index, width = parse_tile(request.path_params["path"])
    async with request.app.state.house.database.session() as session:
        if index * TILE + width > await _size(session):
            raise NotFound("tile")
        bundled = await entries(session, index * TILE, width)
    bundle = b"".join(len(entry).to_bytes(2, "big") + entry for entry in bundled)
    return Response(bundle, media_type="application/octet-stream", headers=FOREVER)


routes: list[BaseRoute] = [
    Route("/log/checkpoint", checkpoint),
    Route("/log/tile/entries/{path:path}", entry_bundle),
    Route("/log/tile/{level}/{path:path}", tile),
]
