"""Events over HTTP: ``/api/v1/subscriptions``, ``/api/v1/events`` (docs/events.md). Scope ``events:receive``.

A client keeps the subscriptions of its organisation, and reads the events that concern it. Secrets are shown once, in the answer that makes
them; what makes something carries an ``Idempotency-Key``, and the same one again is given the same answer. All else is safe to repeat.
"""

import datetime as dt
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.bearer import require_scope
from api.event_services import subscribing_of
from api.event_views import answer_json, delivery_json, subscription_json
from api.wiring import House
from certs.connections import organisation_of
from certs.event_reads import MOST_AT_ONCE, deliveries_of, read_event, read_feed
from certs.idempotency import require_key
from certs.replaying import MOST_NAMED, Range, replay, set_aside
from certs.subscriptions import (
    SubscriptionState,
    Wanted,
    change_subscription,
    get_subscription,
    move_subscription,
    rotate_subscription,
    subscribe,
    subscriptions_of,
    try_subscription,
)
from certs.topics import TOPICS
from keys.base.actor import Actor

RECEIVE = "events:receive"
router = APIRouter(prefix="/api/v1", tags=["events"])
Line = Annotated[str, StringConstraints(max_length=500)]
Limit = Annotated[int, Query(ge=1, le=MOST_AT_ONCE)]
_NO_STORE = {"Cache-Control": "no-store"}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SubscriptionBody(_Body):
    """``url``: a public https address. No ``topics`` or ``types`` (codes of certificate types): all of them."""

    name: Line
    url: Line
    topics: Annotated[list[Line], Field(max_length=200)] = []
    types: Annotated[list[Line], Field(max_length=200)] = []

    def wanted(self) -> Wanted:
        return Wanted(self.name, self.url, tuple(self.topics), tuple(self.types))


class ReplayBody(_Body):
    """Which events: all of the conditions hold, and one of ``first``, ``since``, ``events`` and ``dead`` is given."""

    first: Annotated[int | None, Field(ge=1)] = None
    last: Annotated[int | None, Field(ge=1)] = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    events: Annotated[list[uuid.UUID], Field(max_length=MOST_NAMED)] = []
    dead: bool = False

    def range(self) -> Range:
        return Range(self.first, self.last, _utc(self.since), _utc(self.until), tuple(self.events), self.dead)


def _utc(instant: dt.datetime | None) -> dt.datetime | None:
    return instant.replace(tzinfo=dt.UTC) if instant is not None and instant.tzinfo is None else instant


async def receiver(request: Request) -> Actor:
    """Whoever sent a token of scope ``events:receive`` and acts for an organisation."""
    actor = await require_scope(request, RECEIVE)
    organisation_of(actor)
    return actor


Receiver = Annotated[Actor, Depends(receiver)]


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


@router.get("/events/topics")
async def list_topics(actor: Receiver) -> dict[str, Any]:
    """Every topic, in words, and the members of ``data`` that its events carry."""
    return {"items": [{"topic": one.code, "zh": one.zh, "en": one.en, "data": sorted(one.members)} for one in TOPICS.values()]}


@router.get("/events")
async def get_events(
    request: Request,
    actor: Receiver,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Limit = 100,
    topic: Annotated[list[Line] | None, Query(max_length=50)] = None,
) -> JSONResponse:
    """The events that concern the organisation, in their order, above ``after``: go on with ``next_cursor`` while there is ``more``."""
    house = _house(request)
    async with house.database.session() as session:
        feed = await read_feed(session, house.base_url, actor.organisation or "", after, limit, topic or ())
    return JSONResponse({"items": list(feed.events), "next_cursor": feed.cursor, "more": feed.more}, headers=_NO_STORE)


@router.get("/events/{event_id}")
async def get_event(request: Request, event_id: uuid.UUID, actor: Receiver) -> JSONResponse:
    """One event. Those whom it concerns by name see all that was written, others what a webhook shows."""
    house = _house(request)
    async with house.database.session() as session:
        return JSONResponse(await read_event(session, house.base_url, actor.organisation or "", event_id), headers=_NO_STORE)


@router.post("/subscriptions", status_code=201)
async def post_subscription(request: Request, body: SubscriptionBody, actor: Receiver) -> JSONResponse:
    """Subscribe. ``secret`` is in this answer only."""
    key = require_key(request.headers.get("idempotency-key"))
    made, secret = await subscribe(subscribing_of(_house(request)), actor, body.wanted(), key=key)
    return JSONResponse(subscription_json(made) | {"secret": secret}, 201, _NO_STORE)


@router.get("/subscriptions")
async def list_subscriptions(request: Request, actor: Receiver) -> JSONResponse:
    """The organisation's subscriptions, and how each is doing."""
    async with _house(request).database.session() as session:
        found = await subscriptions_of(session, actor.organisation)
    return JSONResponse({"items": [subscription_json(one) for one in found], "next_cursor": None}, headers=_NO_STORE)


@router.get("/subscriptions/{subscription_id}")
async def read_subscription(request: Request, subscription_id: uuid.UUID, actor: Receiver) -> JSONResponse:
    """One subscription."""
    async with _house(request).database.session() as session:
        return JSONResponse(subscription_json(await get_subscription(session, actor, subscription_id)), headers=_NO_STORE)


@router.put("/subscriptions/{subscription_id}")
async def put_subscription(request: Request, subscription_id: uuid.UUID, body: SubscriptionBody, actor: Receiver) -> JSONResponse:
    """Another name, address or choice. What waits stays in the queue."""
    changed = await change_subscription(subscribing_of(_house(request)), actor, subscription_id, body.wanted())
    return JSONResponse(subscription_json(changed), headers=_NO_STORE)


@router.delete("/subscriptions/{subscription_id}", status_code=204)
async def delete_subscription(request: Request, subscription_id: uuid.UUID, actor: Receiver) -> Response:
    """End it for good."""
    await move_subscription(subscribing_of(_house(request)), actor, subscription_id, SubscriptionState.ENDED)
    return Response(status_code=204)


async def _move(request: Request, subscription_id: uuid.UUID, actor: Actor, state: SubscriptionState) -> JSONResponse:
    moved = await move_subscription(subscribing_of(_house(request)), actor, subscription_id, state)
    return JSONResponse(subscription_json(moved), headers=_NO_STORE)


@router.post("/subscriptions/{subscription_id}/pause")
async def pause_subscription(request: Request, subscription_id: uuid.UUID, actor: Receiver) -> JSONResponse:
    """Leave the subscriber alone; its queue grows."""
    return await _move(request, subscription_id, actor, SubscriptionState.PAUSED)


@router.post("/subscriptions/{subscription_id}/resume")
async def resume_subscription(request: Request, subscription_id: uuid.UUID, actor: Receiver) -> JSONResponse:
    """Go on, now, whatever pause it was in."""
    return await _move(request, subscription_id, actor, SubscriptionState.ACTIVE)


@router.post("/subscriptions/{subscription_id}/secret")
async def rotate_secret(request: Request, subscription_id: uuid.UUID, actor: Receiver) -> JSONResponse:
    """A new secret, in this answer only. For a day both sign."""
    rotated, secret = await rotate_subscription(subscribing_of(_house(request)), actor, subscription_id)
    return JSONResponse(subscription_json(rotated) | {"secret": secret}, headers=_NO_STORE)


@router.post("/subscriptions/{subscription_id}/test")
async def post_test(request: Request, subscription_id: uuid.UUID, actor: Receiver) -> JSONResponse:
    """Send a message of type ``fujie.test`` now; what came back."""
    return JSONResponse(answer_json(await try_subscription(subscribing_of(_house(request)), actor, subscription_id)), headers=_NO_STORE)


@router.post("/subscriptions/{subscription_id}/replay")
async def post_replay(request: Request, subscription_id: uuid.UUID, body: ReplayBody, actor: Receiver) -> JSONResponse:
    """Send events again, under their ids, in their order. ``queued``: how many."""
    queued = await replay(subscribing_of(_house(request)), actor, subscription_id, body.range())
    return JSONResponse({"queued": queued}, headers=_NO_STORE)


@router.get("/subscriptions/{subscription_id}/deliveries")
async def list_deliveries(
    request: Request,
    subscription_id: uuid.UUID,
    actor: Receiver,
    state: Annotated[str | None, Query(pattern="^(waiting|delivered|dead)$")] = None,
    cursor: Annotated[int | None, Query(ge=1)] = None,
    limit: Limit = 50,
) -> JSONResponse:
    """The queue, the newest event first; ``state=dead``: what was given up."""
    async with _house(request).database.session() as session:
        own = await get_subscription(session, actor, subscription_id)
        found = await deliveries_of(session, own.id, state, cursor, limit)
    following = found[-1].sequence if len(found) == limit else None
    return JSONResponse({"items": [delivery_json(one) for one in found], "next_cursor": following}, headers=_NO_STORE)


@router.post("/subscriptions/{subscription_id}/deliveries/{sequence}/set-aside", status_code=204)
async def post_set_aside(request: Request, subscription_id: uuid.UUID, sequence: int, actor: Receiver) -> Response:
    """Give one event up, so that the next has its turn; it can be replayed."""
    await set_aside(subscribing_of(_house(request)), actor, subscription_id, sequence)
    return Response(status_code=204)
