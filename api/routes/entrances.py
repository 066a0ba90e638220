"""Webhook in: ``POST /api/v1/entrances/{id}/approvals``, an approval signed as Standard Webhooks says (docs/events.md).

The body is that of ``POST /api/v1/approvals``, and so are the answers. ``webhook-id`` is the idempotency key: the same message again is
given the same answer. No token is asked for: the signature says who it is.
"""

import uuid
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from api.addresses import address_of
from api.event_services import entering_of
from api.event_views import entrance_json
from api.limits import throttle
from api.routes.certificates import ApprovalBody, _documented, _outcome, _parse
from api.routes.events import Receiver
from api.wiring import House
from certs.entrances import EntranceNotFound, close_entrance, enter, entrances_of, open_entrance, rotate_entrance
from certs.idempotency import require_key
from certs.issuance import approve
from certs.webhook_signing import SignatureInvalid

FAILURES, WINDOW = 30, 60
router = APIRouter(prefix="/api/v1/entrances", tags=["events"])
Line = Annotated[str, StringConstraints(max_length=500)]
_NO_STORE = {"Cache-Control": "no-store"}
_HEADERS = [
    {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
]


class EntranceBody(BaseModel):
    """``client_id``: a client of the organisation that may issue; what comes in counts as its own."""

    model_config = ConfigDict(extra="forbid")
    client_id: Line
    name: Line


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


@router.post("/{entrance_id}/approvals", status_code=201, openapi_extra=_documented(ApprovalBody) | {"parameters": _HEADERS})
async def post_signed_approval(request: Request, entrance_id: str) -> Response:
    """Issue a certificate (201), or leave it for an approver to stamp (202), on a signed message."""
    house = _house(request)
    try:
        actor, key = await enter(entering_of(house), _read(entrance_id), request.headers, await request.body())
    except SignatureInvalid:
        await throttle(request, "entrance", limit=FAILURES, seconds=WINDOW)
        raise
    body = await _parse(request, ApprovalBody)
    return _outcome(request, await approve(house.issuing, actor, body.approval(), key, address=address_of(request)))


def _read(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise SignatureInvalid("no such entrance") from None


@router.post("", status_code=201)
async def post_entrance(request: Request, body: EntranceBody, actor: Receiver) -> JSONResponse:
    """A new entrance. ``secret`` is in this answer only."""
    house = _house(request)
    key = require_key(request.headers.get("idempotency-key"))
    made, secret = await open_entrance(entering_of(house), actor, body.client_id, body.name, key=key)
    return JSONResponse(entrance_json(made, house.base_url) | {"secret": secret}, 201, _NO_STORE)


@router.get("")
async def list_entrances(request: Request, actor: Receiver) -> JSONResponse:
    """The organisation's open entrances."""
    house = _house(request)
    async with house.database.session() as session:
        found = await entrances_of(session, actor.organisation)
    return JSONResponse({"items": [entrance_json(one, house.base_url) for one in found], "next_cursor": None}, headers=_NO_STORE)


@router.post("/{entrance_id}/secret")
async def rotate_entrance_secret(request: Request, entrance_id: str, actor: Receiver) -> JSONResponse:
    """A new secret, in this answer only; the old one is good for a day more."""
    house = _house(request)
    rotated, secret = await rotate_entrance(entering_of(house), actor, _known(entrance_id))
    return JSONResponse(entrance_json(rotated, house.base_url) | {"secret": secret}, headers=_NO_STORE)


@router.delete("/{entrance_id}", status_code=204)
async def delete_entrance(request: Request, entrance_id: str, actor: Receiver) -> Response:
    """Close it for good."""
    await close_entrance(entering_of(_house(request)), actor, _known(entrance_id))
    return Response(status_code=204)


def _known(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise EntranceNotFound from None
