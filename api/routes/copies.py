"""Annotated copies (加注件) over HTTP: ``/api/v1/copies`` (``docs/copies.md``). Scope ``certificates:read``.

A copy is made for one requester, one purpose and a time; it is sealed, verified like a certificate, and ends with its original.
"""

import uuid
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from api.addresses import address_of
from api.bearer import require_scope
from api.limits import throttle
from api.requester_pace import pace
from api.routes.certificates import NO_STORE, READ, Body, Line, _documented, _parse, identifier_of, library_of
from certs.access_rates import Use
from certs.copies import DAYS, MOST_DAYS, CopyWanted, make_copy
from certs.copy_reading import Seen, file_of_copy, list_copies, read_copy, redeem, temporary_address, withdraw_copy
from certs.idempotency import require_key
from keys.base.actor import ANONYMOUS
from keys.base.errors import InvalidInput

router = APIRouter(prefix="/api/v1", tags=["copies"])
DOWNLOADS_A_MINUTE = 30


class CopyBody(Body):
    """The original is named by one of ``certificate_id``, ``show_code``, ``consent``, or ``holder_code``, ``code_type`` and ``type``.

    ``purpose``: 1–200 characters, printed and logged; ``matter_code``: what another department needs it for; ``days``: how long it holds,
    never longer than its original; ``recipient``: whom a holder makes it for.
    """

    purpose: Line
    matter_code: Line = ""
    certificate_id: Annotated[uuid.UUID | None, Field(strict=False)] = None
    show_code: Line = ""
    consent: Annotated[uuid.UUID | None, Field(strict=False)] = None
    holder_code: Line = ""
    code_type: Line = ""
    type: Line = ""
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = DAYS
    recipient: Line = ""

    def wanted(self) -> CopyWanted:
        """The core's value."""
        return CopyWanted(**self.model_dump(exclude={"type"}), type_code=self.type)


class WithdrawBody(Body):
    """Why it ends before its time; kept, and told to whoever verifies it."""

    reason: Line


def copy_json(base_url: str, seen: Seen) -> dict[str, object]:
    """One copy, as its requester, its holder and the issuer see it."""
    copy, own = seen.copy, f"{base_url}/api/v1/copies/{seen.copy.id}"
    return {
        "id": str(copy.id),
        "certificate_id": str(copy.certificate_id),
        "verification_code": copy.verification_code,
        "status": seen.status.value,
        **copy.to_json(seen.original),
        "organisation": copy.organisation,
        "withdrawn_reason": copy.withdrawn_reason,
        "links": {"self": own, "file": f"{own}/file", "verify": f"{base_url}/v/{copy.verification_code}"},
    }


@router.post("/copies", status_code=201, openapi_extra=_documented(CopyBody))
async def post_copy(request: Request) -> Response:
    """Make an annotated copy (201). Header ``Idempotency-Key`` is required; the same key gets the same copy."""
    actor = await require_scope(request, READ)
    key = require_key(request.headers.get("idempotency-key"))
    body = await _parse(request, CopyBody)
    await pace(request, actor, Use.COPY)
    house, address = request.app.state.house, address_of(request)
    copy = await make_copy(house.issuing, actor, body.wanted(), key, address)
    content = copy_json(house.base_url, await read_copy(library_of(request), actor, copy.id))
    return JSONResponse(content, 201, NO_STORE | {"Location": f"/api/v1/copies/{copy.id}"})


@router.get("/copies")
async def get_copies(request: Request, certificate: Line = "", cursor: Line = "") -> Response:
    """Copies, newest first: of one `certificate` that may be read, else those of the asker's organisation or their own."""
    actor = await require_scope(request, READ)
    wanted, after = (identifier_of(certificate) if certificate else None), _cursor(cursor)
    found, more = await list_copies(library_of(request), actor, certificate_id=wanted, after=after)
    items = [copy_json(request.app.state.house.base_url, one) for one in found]
    return JSONResponse({"items": items, "next_cursor": str(more) if more else None}, headers=NO_STORE)


@router.get("/copies/{copy_id}")
async def get_copy(request: Request, copy_id: str) -> Response:
    """One copy and what it is worth now."""
    actor = await require_scope(request, READ)
    seen = await read_copy(library_of(request), actor, identifier_of(copy_id))
    return JSONResponse(copy_json(request.app.state.house.base_url, seen), headers=NO_STORE)


@router.get("/copies/{copy_id}/file", response_class=Response)
async def get_copy_file(request: Request, copy_id: str) -> Response:
    """The sealed PDF, while the copy and its original are in force (else 410)."""
    actor = await require_scope(request, READ)
    return pdf_response(await file_of_copy(library_of(request), actor, identifier_of(copy_id)), f"copy-{identifier_of(copy_id)}.pdf")


@router.post("/copies/{copy_id}/address", status_code=201)
async def post_address(request: Request, copy_id: str) -> Response:
    """A temporary address of the file: good for ten minutes and one download, by whoever has it."""
    actor = await require_scope(request, READ)
    secret, until = await temporary_address(library_of(request), actor, identifier_of(copy_id))
    address = f"{request.app.state.house.base_url}/api/v1/downloads/{secret}"
    return JSONResponse({"url": address, "expires_at": until.isoformat()}, 201, NO_STORE)


@router.get("/downloads/{secret}", response_class=Response, openapi_extra={"security": []})
async def get_download(request: Request, secret: str) -> Response:
    """The file behind a temporary address, once."""
    await throttle(request, "copy-download", limit=DOWNLOADS_A_MINUTE, seconds=60)
    copy, pdf = await redeem(library_of(request), ANONYMOUS, secret[:200])
    return pdf_response(pdf, f"copy-{copy.id}.pdf")


@router.post("/copies/{copy_id}/withdraw", openapi_extra=_documented(WithdrawBody))
async def post_withdraw(request: Request, copy_id: str) -> Response:
    """End a copy before its time. Repeating it changes nothing."""
    actor = await require_scope(request, READ)
    require_key(request.headers.get("idempotency-key"))
    body = await _parse(request, WithdrawBody)
    seen = await withdraw_copy(library_of(request), actor, identifier_of(copy_id), body.reason)
    return JSONResponse(copy_json(request.app.state.house.base_url, seen), headers=NO_STORE)


def pdf_response(pdf: bytes, name: str) -> Response:
    """A file to be saved, never shown as part of a page."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return Response(pdf, media_type="application/pdf", headers=NO_STORE | headers)


def _cursor(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        raise InvalidInput("cursor", errors=[{"field": "cursor", "message": "not one of ours"}]) from None
