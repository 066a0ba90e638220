"""``/api/v1/certificates/export``, holds and ``/api/v1/disposals``: the library as its keepers use it.

Lists of many certificates are streamed: what breaks off is gone on with from the last ``id`` that arrived, given as ``cursor``.
"""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import Field

from api.bearer import require_scope
from api.routes.certificates import NO_STORE, READ, Body, Line, _documented, _parse, identifier_of, library_of
from certs.disposal import Disposal, Disposing, decide, propose, read_disposal
from certs.export_parts import archive
from certs.exporting import NUMBERS, PART, Format, Wanted, begin, encode, end, header, lines
from certs.library import Library, access_history
from certs.retention import lift_hold, place_hold
from certs.standing import changeable
from keys.base.actor import Actor
from keys.base.errors import InvalidInput

router = APIRouter(prefix="/api/v1")
_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8", "zip": "application/zip"}


class ExportBody(Body):
    """``format`` zip: at most 500 certificates with their files, and the header ``Next-Cursor`` while there are more."""

    purpose: Line
    format: Literal["jsonl", "csv", "zip"] = "jsonl"
    type: Line | None = None
    issued_from: Annotated[dt.date | None, Field(strict=False)] = None
    issued_to: Annotated[dt.date | None, Field(strict=False)] = None
    numbers: bool = False
    legal_basis: Line = ""
    cursor: Line | None = None

    def wanted(self) -> Wanted:
        """The core's value."""
        lines_as = Format.CSV if self.format == "csv" else Format.JSON_LINES
        return Wanted(self.purpose, None, self.type, self.issued_from, self.issued_to, lines_as, self.numbers, self.legal_basis)


class HoldBody(Body):
    """Why a certificate is kept whatever its age."""

    reason: Line


class DisposalBody(Body):
    """All certificates of this type, issued by the person's organisation, whose time is over."""

    type: Line
    reason: Line


@router.post("/certificates/export", openapi_extra=_documented(ExportBody), response_class=StreamingResponse)
async def post_export(request: Request) -> Response:
    """The organisation's certificates, oldest first: JSON lines or CSV as a stream, or a part as a zip archive with the files."""
    actor = await require_scope(request, READ)
    body = await _parse(request, ExportBody)
    if body.numbers:
        await require_scope(request, NUMBERS)
    library, after = library_of(request), _cursor(body.cursor)
    wanted = await begin(library, actor, body.wanted())
    headers = NO_STORE | {"Content-Disposition": f'attachment; filename="certificates.{body.format}"'}
    if body.format == "zip":
        return await _part(library, actor, wanted, after, headers)
    return StreamingResponse(_stream(library, actor, wanted, after), media_type=_TYPES[body.format], headers=headers)


async def _stream(library: Library, actor: Actor, wanted: Wanted, after: uuid.UUID | None) -> AsyncIterator[bytes]:
    count = 0
    yield header(wanted) if after is None else b""
    async for page in lines(library, actor, wanted, after):
        count += len(page)
        yield b"".join(encode(line, wanted) for line in page)
    await end(library, actor, wanted, count)


async def _part(library: Library, actor: Actor, wanted: Wanted, after: uuid.UUID | None, headers: dict[str, str]) -> Response:
    part = []
    async for page in lines(library, actor, wanted, after):
        part += page
        if len(part) >= PART:
            break
    part = part[:PART]
    content, _ = await archive(library, wanted, part, files=True)
    await end(library, actor, wanted, len(part))
    more = {"Next-Cursor": str(part[-1].id)} if len(part) == PART else {}
    return Response(content, media_type=_TYPES["zip"], headers=headers | more)


def _cursor(cursor: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(cursor) if cursor else None
    except ValueError:
        raise InvalidInput("cursor", errors=[{"field": "cursor", "message": "not one of ours"}]) from None


@router.get("/certificates/{certificate_id}/accesses")
async def get_accesses(request: Request, certificate_id: str) -> Response:
    """Who looked at the certificate, when and why, newest first: for its holder and its issuer."""
    actor = await require_scope(request, READ)
    entries = await access_history(library_of(request), actor, identifier_of(certificate_id))
    items = [
        {"at": one.at.isoformat(), "kind": one.kind, "purpose": one.purpose, "by": one.actor_kind, "organisation": one.organisation}
        for one in entries
    ]
    return JSONResponse({"items": items, "next_cursor": None}, headers=NO_STORE)


@router.post("/certificates/{certificate_id}/hold", openapi_extra=_documented(HoldBody))
async def post_hold(request: Request, certificate_id: str) -> Response:
    """Keep the certificate whatever its age (a legal hold); the issuer's side only."""
    actor = await require_scope(request, "certificates:issue")
    body, house, wanted = await _parse(request, HoldBody), request.app.state.house, identifier_of(certificate_id)
    await _require_issuer(request, actor, wanted)
    await place_hold(house.database, house.clock.now(), actor, wanted, body.reason)
    return JSONResponse({"id": str(wanted), "held": True}, headers=NO_STORE)


@router.delete("/certificates/{certificate_id}/hold")
async def delete_hold(request: Request, certificate_id: str) -> Response:
    """The hold is over."""
    actor = await require_scope(request, "certificates:issue")
    house, wanted = request.app.state.house, identifier_of(certificate_id)
    await _require_issuer(request, actor, wanted)
    await lift_hold(house.database, house.clock.now(), actor, wanted)
    return JSONResponse({"id": str(wanted), "held": False}, headers=NO_STORE)


async def _require_issuer(request: Request, actor: Actor, certificate_id: uuid.UUID) -> None:
    async with request.app.state.house.database.session() as session:
        await changeable(session, actor, certificate_id)


@router.post("/disposals", status_code=201, openapi_extra=_documented(DisposalBody))
async def post_disposal(request: Request) -> Response:
    """Propose what is due to be disposed of. An approver or security administrator with two factors; another one agrees."""
    actor = await require_scope(request, "certificates:issue")
    body = await _parse(request, DisposalBody)
    return _disposal(await propose(_disposing(request), actor, body.type, body.reason), 201)


@router.get("/disposals/{disposal_id}")
async def get_disposal(request: Request, disposal_id: str) -> Response:
    """A list and how far it is."""
    actor = await require_scope(request, "certificates:issue")
    return _disposal(await read_disposal(request.app.state.house.database, actor, identifier_of(disposal_id)))


@router.post("/disposals/{disposal_id}/agree")
async def post_agree(request: Request, disposal_id: str) -> Response:
    """The second person agrees: the records become tombstones and the files are deleted."""
    actor = await require_scope(request, "certificates:issue")
    return _disposal(await decide(_disposing(request), actor, identifier_of(disposal_id), agree=True))


@router.post("/disposals/{disposal_id}/refuse")
async def post_refuse(request: Request, disposal_id: str) -> Response:
    """Nothing of the list is disposed of."""
    actor = await require_scope(request, "certificates:issue")
    return _disposal(await decide(_disposing(request), actor, identifier_of(disposal_id), agree=False))


def _disposing(request: Request) -> Disposing:
    house = request.app.state.house
    return Disposing(house.database, house.clock, house.blobs)


def _disposal(disposal: Disposal, status: int = 200) -> Response:
    values = asdict(disposal) | {"id": str(disposal.id), "state": disposal.state.value, "proposed_at": disposal.proposed_at.isoformat()}
    return JSONResponse(values, status, NO_STORE)
