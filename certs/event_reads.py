"""What may be read about events: the feed of an organisation, one event, the queue of a subscription."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select

from certs.delivery import told
from certs.event_models import DeliveryRow
from certs.models import OutboxRow
from certs.topics import topic_of
from keys.base.db import AsyncSession
from keys.base.errors import NotFound

MOST_AT_ONCE = 500
SPAN = 20_000
"""How many events of everybody are looked through for one page of the feed."""


class EventNotFound(NotFound):
    code = "EVENT_NOT_FOUND"
    public = ("没有这个事件，或它与贵机构无关。", "There is no such event, or it does not concern your organisation.")


@dataclass(frozen=True, slots=True)
class Feed:
    """Events after a number. ``cursor`` is where to go on, ``more`` whether there is something to go on to."""

    events: tuple[dict[str, Any], ...]
    cursor: int
    more: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event in a queue: ``answer`` the HTTP status that came last, ``trouble`` what went wrong in a word."""

    sequence: int
    event_id: uuid.UUID
    topic: str
    subject: str
    state: str
    attempts: int
    queued_at: dt.datetime
    tried_at: dt.datetime | None
    answer: int | None
    trouble: str | None


def concerns(organisation: str) -> ColumnElement[bool]:
    """Whether an event may be told to an organisation."""
    return or_(OutboxRow.to_all, OutboxRow.organisations.op("?")(organisation))


async def read_feed(
    session: AsyncSession, base_url: str, organisation: str, after: int, limit: int, topics: Sequence[str] = ()
) -> Feed:  # fmt: skip
    """The events that concern the organisation and have a number above ``after``, in their order: for those who rather ask than are told.

    Numbers are given after the commit and one after the other, so a reader who goes on from ``cursor`` misses none.
    """
    last = await session.scalar(select(func.max(OutboxRow.sequence))) or 0
    until = min(last, after + SPAN)
    statement = select(OutboxRow).where(OutboxRow.sequence > after, OutboxRow.sequence <= until, concerns(organisation))
    if topics:
        statement = statement.where(OutboxRow.topic.in_([topic_of(one).code for one in topics]))
    rows = list(await session.scalars(statement.order_by(OutboxRow.sequence).limit(limit)))
    cursor = rows[-1].sequence or 0 if len(rows) == limit else max(until, after)
    return Feed(tuple(told(one, base_url) for one in rows), cursor, cursor < last)


async def read_event(session: AsyncSession, base_url: str, organisation: str, event_id: uuid.UUID) -> dict[str, Any]:
    """One event with all that its writer kept, for an organisation that it concerns by name. Raises :class:`EventNotFound`.

    Whoever is told of it only because its type is open to all sees what a webhook shows.
    """
    row = await session.scalar(select(OutboxRow).where(OutboxRow.id == event_id, OutboxRow.sequence.is_not(None), concerns(organisation)))
    if row is None:
        raise EventNotFound
    return told(row, base_url) | ({"data": row.payload} if organisation in row.organisations else {})


async def deliveries_of(
    session: AsyncSession, subscription_id: uuid.UUID, state: str | None, before: int | None, limit: int
) -> list[Delivery]:  # fmt: skip
    """The queue of a subscription, the newest first; ``state``: only those that are ``waiting``, ``delivered`` or ``dead``."""
    row = DeliveryRow
    statement = select(row, OutboxRow.topic, OutboxRow.subject).join(OutboxRow, OutboxRow.id == row.event_id)
    statement = statement.where(row.subscription_id == subscription_id)
    if state is not None:
        statement = statement.where(row.state == state)
    if before is not None:
        statement = statement.where(row.sequence < before)
    found = await session.execute(statement.order_by(row.sequence.desc()).limit(limit))
    return [
        Delivery(one.sequence, one.event_id, topic, subject, one.state, one.attempts, one.queued_at, one.tried_at, one.answer, one.trouble)
        for one, topic, subject in found
    ]


async def dead_letters(session: AsyncSession) -> int:
    """How many events no subscriber took, of all subscriptions that have not ended."""
    return await session.scalar(select(func.count()).where(DeliveryRow.state == "dead")) or 0


async def forget_delivered(session: AsyncSession, before: dt.datetime) -> None:
    """Drop what was delivered before then from the queues; the events stay, and can be replayed."""
    await session.execute(delete(DeliveryRow).where(DeliveryRow.state == "delivered", DeliveryRow.ended_at < before))
