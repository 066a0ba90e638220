"""Subscriptions of departments to events: who is told what, where, and under which secret.

Kept by system administrators of the organisation who logged in with two factors, by its clients (scope ``events:receive``), and by commands
on the machine. What a subscription may ask for decides nothing about what it is told: that follows from whom an event concerns.
"""

import datetime as dt
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import orjson
from sqlalchemy import func, select

from certs.approvals import IdempotencyKeyReused
from certs.connections import MOST_CONNECTIONS, TooManyConnections, id_of, organisation_of, plain_name, record_done, record_refused
from certs.delivery_rules import Answer
from certs.event_models import DeliveryRow, SubscriptionRow
from certs.shared_secrets import good_secrets, replace_secret, seal_new
from certs.topics import topic_of
from certs.webhook_http import Sender
from certs.webhook_signing import Message, sign
from identity.organisations import get_organisation
from identity.personal_data import PersonalData
from keys.base.actor import Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence.audit import JSON

_MOST_NAMED = 200
_TYPE = re.compile(r"[0-9A-Z]{4,40}")
_KIND = "subscription"
Change = Callable[[AsyncSession, SubscriptionRow, dt.datetime], Awaitable[None]]


class SubscriptionNotFound(NotFound):
    code = "SUBSCRIPTION_NOT_FOUND"
    public = ("没有这个订阅。", "There is no such subscription.")


class SubscriptionState(StrEnum):
    """``GONE``: the subscriber answered 410, and somebody has to look; ``PAUSED``: its queue grows and is delivered afterwards."""

    ACTIVE = "active"
    PAUSED = "paused"
    GONE = "gone"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; no ``topics`` or ``types``: all of them."""

    name: str
    url: str
    topics: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription and how it is doing: ``waiting`` and ``dead`` events, ``failures`` in a row, what went wrong last in a word."""

    id: uuid.UUID
    organisation: str
    name: str
    url: str
    topics: tuple[str, ...]
    types: tuple[str, ...]
    state: SubscriptionState
    created_at: dt.datetime
    due_at: dt.datetime
    failures: int
    trouble: str | None
    failed_at: dt.datetime | None
    succeeded_at: dt.datetime | None
    former_until: dt.datetime | None
    waiting: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Subscribing:
    """What the journeys need."""

    database: Database
    clock: Clock
    personal: PersonalData
    sender: Sender


async def subscribe(
    subscribing: Subscribing, actor: Actor, wanted: Wanted, organisation: str | None = None, key: str | None = None
) -> tuple[Subscription, str]:
    """A new subscription, and its secret, shown this once; the same ``key`` again is given the same answer.

    Raises ``IdempotencyKeyReused``, what :func:`organisation_of` raises, ``WebhookAddressRefused``, ``UnknownTopic``, InvalidInput,
    ``TooManyConnections``.
    """
    try:
        return await _subscribe(subscribing, actor, wanted, organisation_of(actor, organisation), key)
    except FujieError as error:
        await record_refused(subscribing.database, subscribing.clock.now(), actor, _KIND, "subscribe", error)
        raise


async def _subscribe(
    subscribing: Subscribing, actor: Actor, wanted: Wanted, organisation: str, key: str | None
) -> tuple[Subscription, str]:
    admitted, now, row_id = await _admit(subscribing, wanted), subscribing.clock.now(), id_of(actor, organisation, key)
    secret, sealed = seal_new(subscribing.personal, row_id)
    row = SubscriptionRow(
        id=row_id, organisation=organisation, **_values(admitted), state=SubscriptionState.ACTIVE.value, secret=sealed, created_at=now,
        created_by=actor.id, due_at=now, failures=0,
    )  # fmt: skip
    async with subscribing.database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"certs.subscriptions.{organisation}", 0))))
        if (made := await session.get(SubscriptionRow, row_id)) is not None:
            return _view(_same(made, admitted)), good_secrets(subscribing.personal, now, made)[0]
        standing = (SubscriptionRow.organisation == organisation) & (SubscriptionRow.state != SubscriptionState.ENDED.value)
        if (await session.scalar(select(func.count()).where(standing)) or 0) >= MOST_CONNECTIONS:
            raise TooManyConnections
        if await get_organisation(session, organisation) is None:
            raise InvalidInput("organisation", errors=[{"field": "organisation", "message": "is not registered"}])
        session.add(row)
        await record_done(session, now, actor, _KIND, row_id, "subscribe", {"host": _host(admitted.url)})
        await session.flush()
    return _view(row), secret


async def change_subscription(subscribing: Subscribing, actor: Actor, subscription_id: uuid.UUID, wanted: Wanted) -> Subscription:
    """Another name, address or choice; what waits in the queue stays there. Raises what :func:`subscribe` raises."""

    async def change(session: AsyncSession, row: SubscriptionRow, now: dt.datetime) -> None:
        for name, value in _values(admitted).items():
            setattr(row, name, value)
        row.due_at, row.failures = now, 0

    async with subscribing.database.session() as session:
        await own_subscription(session, actor, subscription_id)
    admitted = await _admit(subscribing, wanted)
    return await _changed(subscribing, actor, subscription_id, "change", change, {"host": _host(admitted.url)})


async def move_subscription(subscribing: Subscribing, actor: Actor, subscription_id: uuid.UUID, state: SubscriptionState) -> Subscription:
    """Pause it, let it go on, or end it for good: then its secrets are good for nothing and nothing waits for it."""

    async def change(session: AsyncSession, row: SubscriptionRow, now: dt.datetime) -> None:
        row.state, row.due_at, row.failures = state.value, now, 0

    return await _changed(subscribing, actor, subscription_id, state.value, change)


async def rotate_subscription(subscribing: Subscribing, actor: Actor, subscription_id: uuid.UUID) -> tuple[Subscription, str]:
    """A new secret, shown this once; the old one signs beside it for a day."""
    secrets: list[str] = []

    async def change(session: AsyncSession, row: SubscriptionRow, now: dt.datetime) -> None:
        secrets.append(replace_secret(subscribing.personal, now, row))

    return await _changed(subscribing, actor, subscription_id, "rotate", change), secrets[0]


async def try_subscription(subscribing: Subscribing, actor: Actor, subscription_id: uuid.UUID) -> Answer:
    """Send one message that says nothing, now; what the subscriber answered. Its type is ``fujie.test``."""
    now = subscribing.clock.now()
    async with subscribing.database.session() as session:
        row = await own_subscription(session, actor, subscription_id)
        url, secrets = row.url, good_secrets(subscribing.personal, now, row)
    test_id = f"test_{new_id()}"
    body = orjson.dumps({"type": "fujie.test", "timestamp": now.isoformat(), "id": test_id, "data": {}})
    async with subscribing.sender.line(url) as line:
        return await line.post(body, sign(Message(test_id, now, body), secrets))


async def subscriptions_of(session: AsyncSession, organisation: str | None) -> list[Subscription]:
    """Every subscription that has not ended, with its counts; of everybody where ``organisation`` is None."""
    row = SubscriptionRow
    statement = select(row).where(row.state != SubscriptionState.ENDED.value).order_by(row.created_at, row.id)
    rows = list(await session.scalars(statement.where(row.organisation == organisation) if organisation else statement))
    counted = select(DeliveryRow.subscription_id, DeliveryRow.state, func.count()).where(
        DeliveryRow.subscription_id.in_([one.id for one in rows]), DeliveryRow.state.in_(("waiting", "dead"))
    )
    grouped = counted.group_by(DeliveryRow.subscription_id, DeliveryRow.state)
    counts = {(one, state): count for one, state, count in await session.execute(grouped)}
    return [_view(one, counts.get((one.id, "waiting"), 0), counts.get((one.id, "dead"), 0)) for one in rows]


async def get_subscription(session: AsyncSession, actor: Actor, subscription_id: uuid.UUID) -> Subscription:
    """One of the actor's organisation, with its counts. Raises :class:`SubscriptionNotFound` and what :func:`organisation_of` raises."""
    row = await own_subscription(session, actor, subscription_id)
    return next(one for one in await subscriptions_of(session, row.organisation) if one.id == row.id)


async def own_subscription(session: AsyncSession, actor: Actor, subscription_id: uuid.UUID, *, held: bool = False) -> SubscriptionRow:
    """The row of a subscription of the actor's organisation. Raises :class:`SubscriptionNotFound` and what ``organisation_of`` raises."""
    row = await session.get(SubscriptionRow, subscription_id, with_for_update=held or None, populate_existing=True)
    if row is None or row.state == SubscriptionState.ENDED.value:
        raise SubscriptionNotFound
    if organisation_of(actor, row.organisation if actor.kind is ActorKind.SYSTEM else None) != row.organisation:
        raise SubscriptionNotFound
    return row


async def _changed(
    subscribing: Subscribing, actor: Actor, subscription_id: uuid.UUID, step: str, change: Change, details: Mapping[str, JSON] | None = None
) -> Subscription:
    now = subscribing.clock.now()
    try:
        async with subscribing.database.begin() as session:
            row = await own_subscription(session, actor, subscription_id, held=True)
            await change(session, row, now)
            await record_done(session, now, actor, _KIND, row.id, step, details or {})
            return _view(row)
    except FujieError as error:
        await record_refused(subscribing.database, now, actor, _KIND, step, error)
        raise


async def _admit(subscribing: Subscribing, wanted: Wanted) -> Wanted:
    """What is asked for, as it is kept."""
    topics, types = tuple(dict.fromkeys(wanted.topics)), tuple(dict.fromkeys(wanted.types))
    for one in topics:
        topic_of(one)
    if len(topics) > _MOST_NAMED or len(types) > _MOST_NAMED or not all(_TYPE.fullmatch(one) for one in types):
        raise InvalidInput("types", errors=[{"field": "types", "message": "codes of certificate types, 200 at most"}])
    return Wanted(plain_name(wanted.name), await subscribing.sender.admit(wanted.url), topics, types)


def _same(made: SubscriptionRow, wanted: Wanted) -> SubscriptionRow:
    if any(getattr(made, name) != value for name, value in _values(wanted).items()):
        raise IdempotencyKeyReused
    return made


def _values(wanted: Wanted) -> dict[str, Any]:
    return {"name": wanted.name, "url": wanted.url, "topics": list(wanted.topics), "types": list(wanted.types)}


def _host(url: str) -> str:
    """What of an address enters the audit: its path may be a capability."""
    return urlsplit(url).hostname or ""


def _view(row: SubscriptionRow, waiting: int = 0, dead: int = 0) -> Subscription:
    return Subscription(
        row.id, row.organisation, row.name, row.url, tuple(row.topics), tuple(row.types), SubscriptionState(row.state), row.created_at,
        row.due_at, row.failures, row.trouble, row.failed_at, row.succeeded_at, row.former_until, waiting, dead,
    )  # fmt: skip
