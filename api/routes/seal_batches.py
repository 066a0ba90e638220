"""Batches and stamps by hash: ``/api/v1/seal-batches``, ``/api/v1/seal-hashes`` (docs/documents.md)."""

import base64
import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, Field

from api.addresses import place_at
from api.bearer import require_scope
from api.routes.certificates import _documented, _parse
from api.routes.seal_documents import (
    SCOPE,
    ApprovalBody,
    Hash,
    Line,
    Places,
    ReasonBody,
    Text,
    _Body,
    cursor_of,
    identifier_of,
    number_of,
    placements_of,
)
from api.sealing import sealing_of
from seal.batch_values import Batch, BatchDocument, BatchOrder
from seal.batches import PAGE, approve_batch, batch_documents, batch_file, get_batch, list_batches, move_batch, request_batch
from seal.document_lifecycle import BatchMove
from seal.hash_stamping import HashOrder, HashStamp, hash_material, hash_stamps_of, stamp_digests

HASH_SCOPE = "seals:hash"
router = APIRouter(prefix="/api/v1", tags=["documents to be sealed"])
_NO_STORE = {"Cache-Control": "no-store"}


class BatchBody(_Body):
    title: Line
    seal: Line
    matter_code: Line
    document_kind: Line | None = None
    documents: Annotated[list[Annotated[uuid.UUID, Field(strict=False)]], Field(min_length=1, max_length=10_000)]
    placements: Places
    certification: Literal[0, 1] | None = None
    profile: Literal["pades", "gm.sm2seal"] = "pades"
    unattended: bool = False
    level: Literal["B-B", "B-T", "B-LT", "B-LTA"] = "B-B"


class HashBody(_Body):
    """Digests of the octets of ``byte_range`` (``[0 a b c]``), hexadecimal; ``signing_time``: the PDF's ``/M``; ``window`` as above."""

    seal: Line
    matter_code: Line
    document_kind: Line | None = None
    reason: Text
    sha256: Hash
    sm3: Hash
    byte_range: Line
    signing_time: Annotated[AwareDatetime, Field(strict=False)]
    window: Line | None = None


def batch_json(request: Request, one: Batch) -> dict[str, Any]:
    own = f"{request.app.state.house.base_url}/api/v1/seal-batches/{one.id}"
    return {
        "id": str(one.id), "title": one.title, "seal": one.seal_code, "matter_code": one.matter_code, "status": one.status.value,
        "status_since": one.status_since.isoformat(), "reason": one.reason, "manifest": one.manifest.hex(),
        "level": one.level.value,
        "approvals_needed": one.approvals_needed, "approvals": [{"approver": agreed.approver_name} for agreed in one.approvals],
        "progress": {"total": one.total, "sealed": one.sealed, "refused": one.refused, "waiting": one.waiting},
        "links": {"self": own, "documents": f"{own}/documents"},
    }  # fmt: skip


def _result_json(one: BatchDocument) -> dict[str, Any]:
    return {
        "position": one.position, "document_id": str(one.document_id), "name": one.name, "state": one.state, "failure": one.failure,
        "sealed_sha256": one.sealed_hash.hex() if one.sealed_hash else None,
    }  # fmt: skip


def _hash_json(one: HashStamp) -> dict[str, Any]:
    return {
        "id": str(one.id), "seal": one.seal_code, "matter_code": one.matter_code, "sha256": one.sha256.hex(), "document_seen": False,
        "signing_time": one.signing_time.isoformat(), "reason": one.reason, "permit": str(one.permit_id),
        "cms": base64.b64encode(one.cms).decode(), "ses": base64.b64encode(one.ses).decode(),
    }  # fmt: skip


@router.post("/seal-batches", status_code=202, openapi_extra=_documented(BatchBody))
async def post_batch(request: Request) -> Response:
    """Ask that 1 to 10,000 uploads be sealed alike. A client with an unattended grant: it runs; else it waits for approvers."""
    actor, body = await require_scope(request, SCOPE), await _parse(request, BatchBody)
    order = BatchOrder(
        body.title, body.seal, body.matter_code, body.document_kind, tuple(body.documents), placements_of(body.placements),
        body.certification, body.profile, body.unattended, body.level,
    )  # fmt: skip
    key, place = request.headers.get("idempotency-key"), await place_at(request, actor)
    made = await request_batch(sealing_of(request.app.state.house), actor, order, key, place=place)
    return JSONResponse(batch_json(request, made), 202, _NO_STORE)


@router.get("/seal-batches")
async def get_batches(request: Request) -> Response:
    """Batches of the organisation, the newest first."""
    actor = await require_scope(request, SCOPE)
    found = await list_batches(sealing_of(request.app.state.house), actor, after=cursor_of(request), limit=PAGE)
    following = str(found[-1].id) if len(found) == PAGE else None
    return JSONResponse({"items": [batch_json(request, one) for one in found], "next_cursor": following}, headers=_NO_STORE)


@router.get("/seal-batches/{batch_id}")
async def show_batch(request: Request, batch_id: str) -> Response:
    """One batch and its progress."""
    actor = await require_scope(request, SCOPE)
    return JSONResponse(
        batch_json(request, await get_batch(sealing_of(request.app.state.house), actor, identifier_of(batch_id))), 200, _NO_STORE
    )


@router.get("/seal-batches/{batch_id}/documents")
async def get_results(request: Request, batch_id: str) -> Response:
    """Per-document results in their order; ``cursor``: the position after which to go on."""
    actor = await require_scope(request, SCOPE)
    after = number_of(request, "cursor", 0) if "cursor" in request.query_params else -1
    found = await batch_documents(sealing_of(request.app.state.house), actor, identifier_of(batch_id), after=after)
    following = str(found[-1].position) if len(found) == PAGE else None
    return JSONResponse({"items": [_result_json(one) for one in found], "next_cursor": following}, headers=_NO_STORE)


@router.get("/seal-batches/{batch_id}/documents/{position}/file", response_class=Response)
async def get_batch_file(request: Request, batch_id: str, position: int) -> Response:
    """One sealed document of a batch."""
    actor = await require_scope(request, SCOPE)
    pdf = await batch_file(sealing_of(request.app.state.house), actor, identifier_of(batch_id), position)
    return Response(pdf, media_type="application/pdf", headers=_NO_STORE)


@router.post("/seal-batches/{batch_id}/approve", openapi_extra=_documented(ApprovalBody))
async def post_batch_approval(request: Request, batch_id: str) -> Response:
    """Agree to the batch's ``manifest``; with the last approval it runs."""
    actor, body = await require_scope(request, SCOPE), await _parse(request, ApprovalBody)
    place = await place_at(request, actor, body.window)
    done = await approve_batch(sealing_of(request.app.state.house), actor, identifier_of(batch_id), body.digest, place=place)
    return JSONResponse(batch_json(request, done), 200, _NO_STORE)


def _add_move(move: BatchMove, description: str) -> None:
    async def endpoint(request: Request, batch_id: str) -> Response:
        actor, body = await require_scope(request, SCOPE), await _parse(request, ReasonBody)
        done = await move_batch(sealing_of(request.app.state.house), actor, identifier_of(batch_id), move, body.reason)
        return JSONResponse(batch_json(request, done), 200, _NO_STORE)

    router.add_api_route(
        f"/seal-batches/{{batch_id}}/{move}", endpoint, methods=["POST"], name=f"post_batch_{move}", operation_id=f"post_batch_{move}",
        openapi_extra=_documented(ReasonBody), description=description,
    )  # fmt: skip


for _move, _description in (
    (BatchMove.PAUSE, "Stop for now; what is being stamped is finished."),
    (BatchMove.RESUME, "Go on where it stopped."),
    (BatchMove.CANCEL, "End it; what is not sealed yet stays unsealed."),
    (BatchMove.REJECT, "An approver refuses the batch."),
):
    _add_move(_move, _description)


@router.get("/seal-hashes/material/{seal}")
async def get_material(request: Request, seal: str) -> Response:
    """What an office builds its PDF with: picture, certificates, lists, room to reserve, time."""
    actor = await require_scope(request, HASH_SCOPE)
    one = await hash_material(sealing_of(request.app.state.house), actor, seal)
    content = {
        "seal": one.seal_code, "name": one.name, "organisation_name": one.organisation_name, "width_mm": one.width_mm,
        "height_mm": one.height_mm, "pdf_content": base64.b64encode(one.pdf_content).decode(), "reserved": one.reserved,
        "certificates": [base64.b64encode(der).decode() for der in one.certificates],
        "crls": [base64.b64encode(der).decode() for der in one.crls], "now": one.now.isoformat(),
    }  # fmt: skip
    return JSONResponse(content, headers=_NO_STORE)


@router.post("/seal-hashes", status_code=201, openapi_extra=_documented(HashBody))
async def post_hash(request: Request) -> Response:
    """Stamp digests: ``cms`` fills the PDF's hole, ``ses`` is the GM/T 0031 stamp alone. The document is never seen here."""
    actor, body = await require_scope(request, HASH_SCOPE), await _parse(request, HashBody)
    order = HashOrder(
        body.seal, body.matter_code, body.document_kind, bytes.fromhex(body.sha256), bytes.fromhex(body.sm3), body.byte_range,
        body.signing_time, body.reason,
    )  # fmt: skip
    key, place = request.headers.get("idempotency-key"), await place_at(request, actor, body.window)
    made = await stamp_digests(sealing_of(request.app.state.house), actor, order, key, place=place)
    return JSONResponse(_hash_json(made), 201, _NO_STORE)


@router.get("/seal-hashes")
async def get_hashes(request: Request) -> Response:
    """Stamps by hash of one seal (query ``seal``), the newest first."""
    actor = await require_scope(request, HASH_SCOPE)
    found = await hash_stamps_of(sealing_of(request.app.state.house), actor, request.query_params.get("seal", ""))
    items = [{name: value for name, value in _hash_json(one).items() if name not in ("cms", "ses")} for one in found]
    return JSONResponse({"items": items, "next_cursor": None}, headers=_NO_STORE)
