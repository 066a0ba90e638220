"""The transparency log over HTTP, as C2SP tlog-tiles: anyone may mirror it and recompute its roots.

Its entries are commitments (``keys.evidence.tiles.entry_of``): that something was recorded is public, what it was is not.
Beside the log: its time stamps (``/log/anchors``), and our own service as a witness for other logs (``/witness``).
"""

import re
from typing import cast

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from api.limits import throttle
from api.wiring import House
from keys.base.db import AsyncSession
from keys.base.errors import NotFound
from keys.evidence.anchors import Anchor, anchors, find_anchor
from keys.evidence.log import TILE, entries, latest_checkpoint, log_key, tile_hashes
from keys.evidence.witness import WitnessRefusal, add_checkpoint, witness_key
from keys.evidence.witnesses import latest_cosigned, with_cosignatures

# Twelve digits are more entries than a log will ever have; longer ones would only make work.
INDEX = re.compile(r"(?:x[0-9]{3}/){0,3}[0-9]{3}\Z")
WIDTH = re.compile(r"[1-9][0-9]{0,2}\Z")
LEVEL = re.compile(r"[0-5]\Z")
SIZE = re.compile(r"[1-9][0-9]{0,14}\Z")
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
NOW = {"Cache-Control": "no-cache"}
REQUESTS_A_MINUTE = 600


def _house(request: Request) -> House:
    return cast(House, request.app.state.house)


async def checkpoint(request: Request) -> Response:
    """The newest signed checkpoint, with the cosignatures it has by now; 404 while the log is empty."""
    async with _house(request).database.session() as session:
        row = await latest_checkpoint(session)
        note = None if row is None else await with_cosignatures(session, row)
    if note is None:
        raise NotFound("log is empty")
    return PlainTextResponse(note, headers=NOW)


async def cosigned_checkpoint(request: Request) -> Response:
    """The newest checkpoint that a witness cosigned, with its cosignatures; 404 while there is none."""
    async with _house(request).database.session() as session:
        note = await latest_cosigned(session)
    if note is None:
        raise NotFound("no checkpoint is cosigned")
    return PlainTextResponse(note, headers=NOW)


async def keys(request: Request) -> Response:
    """The verifier keys of the log, and of this service as a witness; to be compared with those obtained from us in person."""
    async with _house(request).database.session() as session:
        log, _ = await log_key(session)
        witness, _ = await witness_key(session)
    return PlainTextResponse(f"log {log}\nwitness {witness}\n", headers=NOW)


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
    async with _house(request).database.session() as session:
        if (index * TILE + width) * TILE**level > await _size(session):
            raise NotFound("tile")
        hashes = await tile_hashes(session, level, index, width)
    return Response(hashes, media_type="application/octet-stream", headers=FOREVER)


async def entry_bundle(request: Request) -> Response:
    """``/log/tile/entries/<N>[.p/<W>]``: entries, each behind its length in two octets."""
    index, width = parse_tile(request.path_params["path"])
    async with _house(request).database.session() as session:
        if index * TILE + width > await _size(session):
            raise NotFound("tile")
        bundled = await entries(session, index * TILE, width)
    bundle = b"".join(len(entry).to_bytes(2, "big") + entry for entry in bundled)
    return Response(bundle, media_type="application/octet-stream", headers=FOREVER)


async def anchor_list(request: Request) -> Response:
    """The newest 100 anchors; ``?before=SIZE`` for older ones."""
    before = request.query_params.get("before")
    if before is not None and not SIZE.match(before):
        raise NotFound("anchor")
    async with _house(request).database.session() as session:
        found = await anchors(session, below=int(before) if before else None)
    listed = [
        {
            "size": size,
            "time": at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "checkpoint": f"/log/anchors/{size}/checkpoint",
            "token": f"/log/anchors/{size}/token",
        }
        for size, at in found
    ]
    return JSONResponse({"anchors": listed}, headers=NOW)


async def _anchor(request: Request) -> Anchor:
    size = request.path_params["size"]
    if not SIZE.match(size):
        raise NotFound("anchor")
    async with _house(request).database.session() as session:
        found = await find_anchor(session, int(size))
    if found is None:
        raise NotFound("anchor")
    return found


async def anchored_checkpoint(request: Request) -> Response:
    """Exactly the octets that were time-stamped."""
    return PlainTextResponse((await _anchor(request)).note, headers=FOREVER)


async def anchor_token(request: Request) -> Response:
    """The TimeStampToken, DER (``openssl ts -verify -token_in``)."""
    return Response((await _anchor(request)).token, media_type="application/timestamp-token", headers=FOREVER)


async def witness(request: Request) -> Response:
    """``POST /witness/add-checkpoint`` (C2SP tlog-witness): our cosignature, or the refusal it prescribes."""
    house = _house(request)
    await throttle(request, "witness", limit=REQUESTS_A_MINUTE, seconds=60)
    try:
        line = await add_checkpoint(house.database, house.keystore, house.clock, await request.body())
    except WitnessRefusal as refusal:
        return Response(refusal.body, refusal.status, {"Content-Type": refusal.media_type})
    return PlainTextResponse(line)


routes: list[BaseRoute] = [
    Route("/log/checkpoint", checkpoint),
    Route("/log/cosigned-checkpoint", cosigned_checkpoint),
    Route("/log/keys", keys),
    Route("/log/anchors", anchor_list),
    Route("/log/anchors/{size}/checkpoint", anchored_checkpoint),
    Route("/log/anchors/{size}/token", anchor_token),
    Route("/log/tile/entries/{path:path}", entry_bundle),
    Route("/log/tile/{level}/{path:path}", tile),
    Route("/witness/add-checkpoint", witness, methods=["POST"]),
]
