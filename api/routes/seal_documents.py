"""Documents to be sealed: ``/api/v1/seal-documents``, ``/api/v1/seal-requests`` (docs/documents.md).

Scope ``documents:seal``. Uploads are counted as they arrive and never pass through memory whole
before they are known to be small enough. What changes something carries an ``Idempotency-Key``.
"""

import uuid
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.addresses import place_at
from api.bearer import require_scope
from api.routes.certificates import _documented, _parse
from api.sealing import sealing_of
from certs.privacy import hide_numbers
from keys.base.errors import InvalidInput
from seal.document_approving import approve_request, cancel_request, picture_of, reasons_of, reject_request, sealed_file
from seal.document_errors import DocumentNotFound
from seal.document_reads import PAGE, get_document, get_request, history_of, list_requests
from seal.document_requests import request_sealing, upload
from seal.document_values import Document, RequestedSeal, SealingOrder, SealLine, SealRequest
from seal.rebuilding import DocumentTooLarge
from seal.window_stamping import stamp_at_window

SCOPE = "documents:seal"
router = APIRouter(prefix="/api/v1", tags=["documents to be sealed"])
Line = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(max_length=400)]
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{64}$")]
Number = Annotated[int, Field(ge=-100_000, le=100_000)]
_NO_STORE = {"Cache-Control": "no-store"}
_PDF = {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}, "required": True}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PlacementBody(_Body):
    """One place of a seal; pages count from 1, from the end with −1. Which members belong to which kind: docs/documents.md."""

    kind: Literal["point", "keyword", "every_page", "cross_page"]
    page: Number | None = None
    x_mm: float | None = None
    y_mm: float | None = None
    text: Line | None = None
    occurrence: Number | Literal["first", "last", "all"] | None = None
    dx_mm: float | None = None
    dy_mm: float | None = None
    first_page: Number | None = None
    last_page: Number | None = None
    step: Number | None = None
    edge: Literal["left", "right", "top"] | None = None
    position_mm: float | None = None
    pages_per_cut: Number | None = None


Places = Annotated[list[PlacementBody], Field(min_length=1, max_length=200)]


class SealBody(_Body):
    """One seal of a request: its code, the matter it is used for, where it goes."""

    seal: Line
    matter_code: Line
    placements: Places


class RequestBody(_Body):
    """``seals`` in the order in which they are applied; ``certification``: 0, 1 (P1) or 2 (P2); ``level``: PAdES, once all are on it."""

    document_id: uuid.UUID = Field(strict=False)
    title: Line
    document_kind: Line | None = None
    seals: Annotated[list[SealBody], Field(min_length=1, max_length=20)]
    certification: Literal[0, 1, 2] | None = None
    profile: Literal["pades", "gm.sm2seal"] = "pades"
    unattended: bool = False
    level: Literal["B-B", "B-T", "B-LT", "B-LTA"] = "B-B"


class ApprovalBody(_Body):
    """``digest``: what was shown, as the request names it (``seals[].digest``; for a batch its ``manifest``).

    ``window``: at which of several windows the person is, if they are posted to more than one.
    """

    digest: Hash
    window: Line | None = None


class ReasonBody(_Body):
    reason: Text = ""


def placements_of(given: list[PlacementBody]) -> tuple[dict[str, Any], ...]:
    return tuple(one.model_dump(exclude_none=True) for one in given)


def identifier_of(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise DocumentNotFound("identifier") from None


def number_of(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name, str(default))
    if not value.isascii() or not value.isdecimal() or len(value) > 6:
        raise InvalidInput(name, errors=[{"field": name, "message": "a number"}])
    return int(value)


def cursor_of(request: Request) -> uuid.UUID | None:
    cursor = request.query_params.get("cursor")
    return None if cursor is None else identifier_of(cursor)


def document_json(one: Document) -> dict[str, Any]:
    return {
        "id": str(one.id), "name": one.name, "source_sha256": one.source_hash.hex(), "sha256": one.document_hash.hex(),
        "octets": one.octets, "pages": [{"width_mm": width, "height_mm": height} for width, height in one.pages],
        "removed": dict(one.removed), "fonts_not_embedded": list(one.not_embedded), "uploaded_at": one.uploaded_at.isoformat(),
    }  # fmt: skip


def _seal_json(one: RequestedSeal) -> dict[str, Any]:
    return {
        "seal": one.seal_code, "organisation": one.organisation, "matter_code": one.matter_code,
        "placements": one.plan["placements"], "approvals_needed": one.approvals_needed,
        "digest": one.digest.hex() if one.digest else None, "document_sha256": one.base_hash.hex() if one.base_hash else None,
        "approvals": [{"approver": agreed.approver_name or agreed.approver, "at": agreed.at.isoformat()} for agreed in one.approvals],
        "sealed_sha256": one.sealed_hash.hex() if one.sealed_hash else None,
        "sealed_at": one.sealed_at.isoformat() if one.sealed_at else None, "failure": one.failure,
    }  # fmt: skip


def request_json(request: Request, one: SealRequest) -> dict[str, Any]:
    own = f"{request.app.state.house.base_url}/api/v1/seal-requests/{one.id}"
    return {
        "id": str(one.id), "document_id": str(one.document_id), "title": one.title, "document_kind": one.document_kind,
        "status": one.status.value, "status_since": one.status_since.isoformat(), "created_at": one.created_at.isoformat(),
        "requester": one.requester_name or one.requester, "unattended": one.unattended, "position": one.position,
        "seals": [_seal_json(seal) for seal in one.seals],
        "links": {"self": own, "file": f"{own}/file", "picture": f"{own}/pages/1", "events": f"{own}/events"},
    }  # fmt: skip


async def received(request: Request, limit: int) -> bytes:
    """The body, counted as it arrives. Raises :class:`DocumentTooLarge` before more than ``limit`` octets are held."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise DocumentTooLarge(announced, limit=limit)
    parts, size = [], 0
    async for part in request.stream():
        if (size := size + len(part)) > limit:
            raise DocumentTooLarge("body", limit=limit)
        parts.append(part)
    return b"".join(parts)


@router.post("/seal-documents", status_code=201, openapi_extra={"requestBody": _PDF})
async def post_document(request: Request) -> Response:
    """Upload a PDF to be sealed (the body). It is rebuilt; what went is in ``removed``. Header ``Document-Name``: percent-encoded UTF-8."""
    actor, sealing = await require_scope(request, SCOPE), sealing_of(request.app.state.house)
    name = hide_numbers(unquote(request.headers.get("document-name", ""))[:200])
    found = await upload(sealing, actor, await received(request, sealing.rebuilder.limits.octets), name)
    return JSONResponse(document_json(found), 201, _NO_STORE)


@router.get("/seal-documents/{document_id}")
async def show_document(request: Request, document_id: str) -> Response:
    actor = await require_scope(request, SCOPE)
    async with request.app.state.house.database.session() as session:
        return JSONResponse(document_json(await get_document(session, actor, identifier_of(document_id))), headers=_NO_STORE)


@router.post("/seal-requests", status_code=201, openapi_extra=_documented(RequestBody))
async def post_request(request: Request) -> Response:
    """Ask that a document be sealed. 201 sealed (a client's unattended use), 202 waiting for approvers."""
    actor, body = await require_scope(request, SCOPE), await _parse(request, RequestBody)
    lines = tuple(SealLine(one.seal, one.matter_code, placements_of(one.placements)) for one in body.seals)
    order = SealingOrder(
        body.document_id, body.title, body.document_kind, lines, body.certification, body.profile, body.unattended, body.level
    )
    key = request.headers.get("idempotency-key")
    made = await request_sealing(sealing_of(request.app.state.house), actor, order, key, place=await place_at(request, actor))
    return JSONResponse(request_json(request, made), 201 if made.status == "sealed" else 202, _NO_STORE)


@router.get("/seal-requests")
async def get_requests(request: Request) -> Response:
    """Requests that concern the organisation, the newest first; ``status`` and ``cursor`` narrow them."""
    actor = await require_scope(request, SCOPE)
    async with request.app.state.house.database.session() as session:
        found = await list_requests(session, actor, status=request.query_params.get("status"), after=cursor_of(request))
    following = str(found[-1].id) if len(found) == PAGE else None
    return JSONResponse({"items": [request_json(request, one) for one in found], "next_cursor": following}, headers=_NO_STORE)


@router.get("/seal-requests/{request_id}")
async def show_request(request: Request, request_id: str) -> Response:
    """One request; for its approver, what each rule of the seal's policy says (``reasons``)."""
    actor, house = await require_scope(request, SCOPE), request.app.state.house
    async with house.database.session() as session:
        found = await get_request(session, actor, identifier_of(request_id))
    said = await reasons_of(sealing_of(house), actor, found, await place_at(request, actor))
    reasons = [{"rule": one.rule, "answer": one.answer, "code": one.reason_code, "zh": one.zh, "en": one.en} for one in said]
    return JSONResponse(request_json(request, found) | {"reasons": reasons}, headers=_NO_STORE)


@router.get("/seal-requests/{request_id}/events")
async def get_events(request: Request, request_id: str) -> Response:
    actor, identifier = await require_scope(request, SCOPE), identifier_of(request_id)
    async with request.app.state.house.database.session() as session:
        await get_request(session, actor, identifier)
        moves = await history_of(session, identifier)
    items = [
        {
            "move": one.move, "status": one.new, "at": one.at.isoformat(), "position": one.position, "actor": {"kind": one.actor_kind},
            "reason": one.reason,
        }
        for one in moves
    ]  # fmt: skip
    return JSONResponse({"items": items, "next_cursor": None}, headers=_NO_STORE)


@router.get("/seal-requests/{request_id}/pages/{page}", response_class=Response)
async def get_picture(request: Request, request_id: str, page: int) -> Response:
    """One page (from 1) as PNG, exactly as it will be sealed, or as it was. ``dpi``: 36 to 200."""
    actor = await require_scope(request, SCOPE)
    dpi = number_of(request, "dpi", 110)
    png = await picture_of(sealing_of(request.app.state.house), actor, identifier_of(request_id), page - 1, dpi)
    return Response(png, media_type="image/png", headers=_NO_STORE)


@router.get("/seal-requests/{request_id}/file", response_class=Response)
async def get_file(request: Request, request_id: str) -> Response:
    """The sealed document."""
    actor = await require_scope(request, SCOPE)
    pdf = await sealed_file(sealing_of(request.app.state.house), actor, identifier_of(request_id))
    return Response(pdf, media_type="application/pdf", headers=_NO_STORE)


@router.post("/seal-requests/{request_id}/approve", openapi_extra=_documented(ApprovalBody))
async def post_approve(request: Request, request_id: str) -> Response:
    """Agree to exactly what was shown; with the last approval it is sealed."""
    actor, body = await require_scope(request, SCOPE), await _parse(request, ApprovalBody)
    place = await place_at(request, actor, body.window)
    done = await approve_request(sealing_of(request.app.state.house), actor, identifier_of(request_id), body.digest, place=place)
    return JSONResponse(request_json(request, done), headers=_NO_STORE)


@router.post("/seal-requests/{request_id}/stamp", openapi_extra=_documented(ApprovalBody))
async def post_stamp(request: Request, request_id: str) -> Response:
    """A window's clerk stamps what the approvers agreed to, with a seal that the window keeps."""
    actor, body = await require_scope(request, SCOPE), await _parse(request, ApprovalBody)
    place = await place_at(request, actor, body.window)
    done = await stamp_at_window(sealing_of(request.app.state.house), actor, identifier_of(request_id), body.digest, place)
    return JSONResponse(request_json(request, done), headers=_NO_STORE)


@router.post("/seal-requests/{request_id}/reject", openapi_extra=_documented(ReasonBody))
async def post_reject(request: Request, request_id: str) -> Response:
    """An approver refuses, with a reason."""
    actor, body = await require_scope(request, SCOPE), await _parse(request, ReasonBody)
    done = await reject_request(sealing_of(request.app.state.house), actor, identifier_of(request_id), body.reason)
    return JSONResponse(request_json(request, done), headers=_NO_STORE)


@router.post("/seal-requests/{request_id}/cancel", openapi_extra=_documented(ReasonBody))
async def post_cancel(request: Request, request_id: str) -> Response:
    """Whoever asked takes it back, with a reason."""
    actor, body = await require_scope(request, SCOPE), await _parse(request, ReasonBody)
    done = await cancel_request(sealing_of(request.app.state.house), actor, identifier_of(request_id), body.reason)
    return JSONResponse(request_json(request, done), headers=_NO_STORE)
