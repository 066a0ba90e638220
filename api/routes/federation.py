"""Other instances, over HTTP: ``/api/v1/federation`` (``docs/federation.md``).

Peers are registered by two security administrators (scope ``trust:manage``, a person with a second factor). Departments ask what other
instances hold with scope ``certificates:read``; the rules of sharing decide there as here.
"""

import datetime as dt
import uuid
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.bearer import require_scope
from api.federation_channel import exchange_of
from api.requester_pace import metered, pace
from api.routes.certificates import NO_STORE, _documented, _parse
from api.wiring import House
from certs.access_rates import Use
from certs.federation import JSON, Level, PeerActorRefused, PeerMove, PeerStatus, PeerUnreachable
from certs.federation_asking import PeerAnswer, Wanted, ask_peers
from certs.federation_catalogue import adopt, types_of_peers
from certs.federation_feed import told_of, told_of_document
from certs.federation_holders import renew_half
from certs.federation_keys import own_card, rotate
from certs.federation_messages import PeerRefused
from certs.federation_peers import Peer, Proposed, check_actor, get_peer, history_of_peer, list_peers, move, propose
from certs.federation_questions import WANTS
from certs.idempotency import require_key
from certs.sharing import Want
from keys.base.actor import Actor
from keys.base.clock import civil_date
from keys.base.errors import InvalidInput
from keys.evidence.audit import Event, Outcome, record_alone
from keys.trust.documents import instant_text

MANAGE, READ = "trust:manage", "certificates:read"
PAGE = 50
router = APIRouter(prefix="/api/v1/federation", tags=["federation"])
Line = Annotated[str, StringConstraints(max_length=500)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PeerBody(_Body):
    """``card`` as the other instance exported it; ``divisions``: those it may speak for, of its card's, all where empty."""

    card: dict[str, Any]
    level: Level
    divisions: Annotated[list[Line], Field(max_length=64)] = []
    reason: Line


class ReasonBody(_Body):
    reason: Line


class RotateBody(_Body):
    """``revoke_others``: the keys before it were in somebody else's hands and prove nothing any more."""

    revoke_others: bool = False


class QuestionBody(_Body):
    """``want``: ``data`` (yes or no), ``record``, or ``file`` of one named ``peer``. Numbers of people stand in a body only."""

    matter: Line
    type: Line
    purpose: Line
    holder_code: Line
    code_type: Line
    want: Want = Want.DATA
    peer: uuid.UUID | None = None
    show_code: Line = ""

    def wanted(self) -> Wanted:
        return Wanted(self.matter, self.type, self.purpose, self.want, self.holder_code, self.code_type, self.peer, self.show_code)


class StatusBody(_Body):
    """One of the two: ``identifier``, or ``document``, the SHA-256 of the file in hexadecimal."""

    identifier: Line = ""
    document: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""


async def administrator(request: Request) -> Actor:
    """A security administrator with a second factor; whoever else tries is in the audit log."""
    actor = await require_scope(request, MANAGE)
    try:
        check_actor(actor)
    except PeerActorRefused as error:
        house = _house(request)
        event = Event("certs.federation.manage", f"path:{request.url.path[:80]}", Outcome.REFUSED, actor, code=error.code)
        await record_alone(house.database, house.clock.now(), event)
        raise
    return actor


async def reader(request: Request) -> Actor:
    return await require_scope(request, READ)


Administrator = Annotated[Actor, Depends(administrator)]
Reader = Annotated[Actor, Depends(reader)]


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


def peer_json(peer: Peer) -> JSON:
    """A peer as the API and the command line show it. ``sha256``: of its card, to be compared by telephone."""
    return {
        "id": str(peer.id), "name": peer.name, "organisation": peer.organisation, "address": peer.address, "level": peer.level.value,
        "divisions": list(peer.divisions), "status": peer.status.value, "since": instant_text(peer.status_since),
        "sha256": peer.digest.hex(), "keys": [one.kid for one in peer.keys], "cursor": peer.cursor,
        "heard_at": instant_text(peer.heard_at) if peer.heard_at else None, "problem": peer.problem,
    }  # fmt: skip


@router.get("/card", name="get_own_card", operation_id="get_own_card")
async def get_card(request: Request, actor: Administrator) -> Response:
    """Our own card, to be handed to the other instance's people; `Fujie-Card-Sha256` is what two people compare."""
    async with _house(request).database.session() as session:
        card = await own_card(session)
    return JSONResponse(card.to_json(), headers=NO_STORE | {"Fujie-Card-Sha256": card.digest().hex()})


@router.get("/peers", name="list_peers", operation_id="list_peers")
async def get_peers(request: Request, actor: Administrator, status: PeerStatus | None = None) -> Response:
    """Every instance that was registered, by name."""
    async with _house(request).database.session() as session:
        found = await list_peers(session, status)
    return JSONResponse({"items": [peer_json(one) for one in found]}, headers=NO_STORE)


@router.get("/peers/{peer_id}", name="get_peer", operation_id="get_peer")
async def get_one(request: Request, actor: Administrator, peer_id: uuid.UUID) -> Response:
    """One instance with its card and its history."""
    async with _house(request).database.session() as session:
        peer, history = await get_peer(session, peer_id), await history_of_peer(session, peer_id)
    told = [
        {"move": one.move.value, "to": one.status.value, "at": instant_text(one.at), "by": one.actor_name, "reason": one.reason}
        for one in history
    ]
    return JSONResponse(peer_json(peer) | {"card": peer.card.to_json(), "history": told}, headers=NO_STORE)


@router.post("/peers", status_code=201, name="post_peer", operation_id="post_peer", openapi_extra=_documented(PeerBody))
async def post_peer(request: Request, actor: Administrator) -> Response:
    """Propose an instance by its card: another security administrator approves. Header `Idempotency-Key` is required."""
    require_key(request.headers.get("idempotency-key"))
    body, house = await _parse(request, PeerBody), _house(request)
    proposed = Proposed(orjson.dumps(body.card), body.level, body.reason, tuple(body.divisions))
    peer = await propose(house.database, house.clock, actor, proposed)
    return JSONResponse(peer_json(peer), 201, NO_STORE | {"Location": f"/api/v1/federation/peers/{peer.id}"})


def _add_move(step: PeerMove, description: str) -> None:
    async def endpoint(request: Request, actor: Administrator, peer_id: uuid.UUID) -> Response:
        require_key(request.headers.get("idempotency-key"))
        body, house = await _parse(request, ReasonBody), _house(request)
        return JSONResponse(peer_json(await move(house.database, house.clock, actor, peer_id, step, body.reason)), headers=NO_STORE)

    router.add_api_route(
        f"/peers/{{peer_id}}/{step.value}",
        endpoint,
        methods=["POST"],
        name=f"post_{step.value}_peer",
        operation_id=f"post_{step.value}_peer",
        description=f"{description} Header `Idempotency-Key` is required.",
        openapi_extra=_documented(ReasonBody),
    )


_add_move(PeerMove.APPROVE, "Agree to somebody else's proposal: the exchange begins.")
_add_move(PeerMove.REJECT, "Refuse a proposal.")
_add_move(PeerMove.SUSPEND, "Exchange nothing for now; one person is enough.")
_add_move(PeerMove.RESUME, "Exchange again; another person than who suspended it.")
_add_move(PeerMove.WITHDRAW, "End the exchange for good; one person is enough.")


@router.post("/peers/{peer_id}/pair-key", name="post_pair_key", operation_id="post_pair_key")
async def post_pair_key(request: Request, actor: Administrator, peer_id: uuid.UUID) -> Response:
    """A new key of holders' indexes with this instance; both index anew at the next turn. Header `Idempotency-Key` is required."""
    require_key(request.headers.get("idempotency-key"))
    house = _house(request)
    async with house.database.begin() as session:
        peer = await get_peer(session, peer_id)
        await renew_half(session, house.clock.now(), peer, actor)
    return JSONResponse(peer_json(peer), headers=NO_STORE)


@router.post("/keys", status_code=201, name="post_message_key", operation_id="post_message_key", openapi_extra=_documented(RotateBody))
async def post_key(request: Request, actor: Administrator) -> Response:
    """A new key for our messages; peers take it over by themselves. Header `Idempotency-Key` is required."""
    require_key(request.headers.get("idempotency-key"))
    body, house = await _parse(request, RotateBody), _house(request)
    key = await rotate(house.database, house.keystore, house.clock, actor, revoke_others=body.revoke_others)
    return JSONResponse(key.to_json(), 201, NO_STORE)


@router.get("/types", name="list_peer_types", operation_id="list_peer_types")
async def get_types(request: Request, actor: Reader, q: Line = "", code: Line = "", cursor: Line = "") -> Response:
    """Types in force with other instances, by code; `q` is any part of name or code."""
    async with _house(request).database.session() as session:
        found = await types_of_peers(session, q, code, cursor, PAGE)
    more = found[-1].kind.code if len(found) == PAGE else None
    return JSONResponse({"items": [one.to_json() for one in found], "next_cursor": more}, headers=NO_STORE)


@router.post("/peers/{peer_id}/types/{code}/adopt", status_code=201, name="post_adopt_type", operation_id="post_adopt_type")
async def post_adopt(request: Request, peer_id: uuid.UUID, code: str) -> Response:
    """Begin a type of ours from theirs, as a draft that is then written, reviewed and published as any other (scope `catalogue:manage`)."""
    actor = await require_scope(request, "catalogue:manage")
    require_key(request.headers.get("idempotency-key"))
    house = _house(request)
    kept = await adopt(house.database, house.clock, actor, peer_id, code)
    return JSONResponse({"code": kept.code, "version": kept.version}, 201, NO_STORE)


@router.post("/certificates/search", name="post_peer_statuses", operation_id="post_peer_statuses", openapi_extra=_documented(StatusBody))
async def post_statuses(request: Request, actor: Reader) -> Response:
    """What other instances told of a certificate, by its identifier or by its file: type, issuer, status; nothing of its holder."""
    body, house = await _parse(request, StatusBody), _house(request)
    if bool(body.identifier) == bool(body.document):
        raise InvalidInput("one of two", errors=[{"field": "identifier", "message": "or document"}])
    await metered(request, actor, Use.VERIFY)
    async with house.database.session() as session:
        found = await (told_of(session, body.identifier) if body.identifier else told_of_document(session, bytes.fromhex(body.document)))
    today: dt.date = civil_date(house.clock.now())
    return JSONResponse({"items": [one.to_json(today) for one in found]}, headers=NO_STORE)


@router.post("/questions", name="post_peer_question", operation_id="post_peer_question", openapi_extra=_documented(QuestionBody))
async def post_question(request: Request, actor: Reader) -> Response:
    """Whether a holder has a valid certificate elsewhere, its record, or its file: for a matter of the asker's, with a purpose.

    Every instance with whom the type is in force is asked, or the one that is named; one that is away is told as away. The holder sees
    the question, here and where it was answered. The file of `want: file` is the body of the answer.
    """
    body, house = await _parse(request, QuestionBody), _house(request)
    await pace(request, actor, WANTS.get(body.want, Use.FIND))
    answers = await ask_peers(exchange_of(house), actor, body.wanted())
    if body.want is Want.FILE:
        return _file(answers[0])
    return JSONResponse({"answers": [one.to_json() for one in answers]}, headers=NO_STORE)


def _file(answer: PeerAnswer) -> Response:
    if answer.file is not None:
        return Response(answer.file, media_type="application/pdf", headers=NO_STORE)
    if answer.outcome == "refused":
        raise PeerRefused(answer.code, answer.code, answer.title)
    raise PeerUnreachable(answer.code)
