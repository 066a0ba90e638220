"""Telling subscribers: each on its own line, in order, until it took the event.

1. claim   subscriptions that are due and have something waiting; a lease, so that two machines never tell one subscriber at once
2. send    its events in the order of their numbers, signed, one after the other
3. record  what was taken, some at a time: a process that dies in between sends those again, under the same ids
4. pause   after a failure the address rests, longer each time; what waited too long is dead and kept for replaying

Every subscriber has a task of its own: one that is dead or slow keeps nobody else waiting. Those in trouble share half of the lines.
"""

import asyncio
import datetime as dt
import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import orjson
import structlog
from sqlalchemy import ColumnElement, or_, select, tuple_, update

from certs.delivery_rules import PATIENCE, Answer, Verdict, is_dead, judge, pause
from certs.dispatch import dispatch
from certs.event_models import DeliveryRow, SubscriptionRow
from certs.models import OutboxRow
from certs.shared_secrets import good_secrets
from certs.topics import TOPICS
from certs.webhook_http import Line, Sender
from certs.webhook_signing import Message, sign
from identity.personal_data import PersonalData
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database

log = structlog.get_logger("fujie.certs.delivery")

LINES = 32
LEASE = dt.timedelta(seconds=60)
ROUND_SECONDS = 20.0
TOGETHER = 16
_READ_AT_ONCE = 100
_CAUTIOUS_SECONDS = 10.0
_ENDING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Telling:
    """What delivery needs. ``chance`` draws from 0 to 1 for the pauses."""

    database: Database
    clock: Clock
    personal: PersonalData
    base_url: str
    sender: Sender
    chance: Callable[[], float] = field(default=random.SystemRandom().random)


@dataclass(frozen=True, slots=True)
class Queued:
    """An event in a queue; ``body`` is the same at every attempt."""

    sequence: int
    event_id: uuid.UUID
    attempts: int
    queued_at: dt.datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class Claimed:
    """A subscription under our lease."""

    id: uuid.UUID
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    lease: uuid.UUID
    failures: int


class Courier:
    """The lines of one process; an asynchronous context manager that ends them in order."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._running: dict[asyncio.Task[None], bool] = {}  # whether the subscriber was in trouble
        self._stopping = asyncio.Event()

    async def step(self) -> int:
        """Queue what was committed and begin with whoever is due; returns without waiting for them. How many lines were begun."""
        await dispatch(self._telling.database, self._telling.clock)
        begun = 0
        for troubled in (False, True):
            free = LINES - len(self._running)
            if troubled:
                free = min(free, LINES // 2 - sum(self._running.values()))
            begun += len(found := await _claim(self._telling, max(free, 0), troubled=troubled)) if free > 0 else 0
            for one in found if free > 0 else ():
                task = asyncio.create_task(self._tell(one), name=f"subscription {one.id}")
                self._running[task] = troubled
                task.add_done_callback(self._running.pop)
        return begun

    async def _tell(self, claimed: Claimed) -> None:
        try:
            await tell(self._telling, claimed, self._stopping)
        except Exception:  # the database is away: the lease ends by itself
            log.exception("subscriber not told", subscription=str(claimed.id))

    async def settle(self) -> None:
        """Wait until every line that was begun has ended."""
        while self._running:
            await asyncio.wait(list(self._running))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        if self._running:
            await asyncio.wait(list(self._running), timeout=_ENDING_SECONDS)
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


async def _claim(telling: Telling, limit: int, *, troubled: bool) -> list[Claimed]:
    now, lease = telling.clock.now(), uuid.uuid4()
    row = SubscriptionRow
    waiting = select(DeliveryRow.sequence).where(DeliveryRow.subscription_id == row.id, DeliveryRow.state == "waiting").exists()
    due = (
        select(row.id)
        .where(row.state == "active", row.due_at <= now, or_(row.lease_until.is_(None), row.lease_until < now), waiting)
        .where(row.failures > 0 if troubled else row.failures == 0)
        .order_by(row.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    async with telling.database.begin() as session:
        ids = list(await session.scalars(due))
        taken = update(row).where(row.id.in_(ids)).values(lease_owner=lease, lease_until=now + LEASE).returning(row)
        rows = list(await session.scalars(taken)) if ids else []
    return [Claimed(one.id, one.url, good_secrets(telling.personal, now, one), lease, one.failures) for one in rows]


async def tell(telling: Telling, claimed: Claimed, stopping: asyncio.Event) -> None:
    """One round for one subscriber: what waits in its queue, until it is empty, something fails, or the time is over."""
    until = time.monotonic() + ROUND_SECONDS
    async with telling.sender.line(claimed.url) as line:
        while not stopping.is_set() and time.monotonic() < until:
            waiting = await _waiting(telling, claimed)
            if not waiting:
                break
            if not await _send_some(telling, claimed, line, waiting, stopping):
                return
    await _release(telling, claimed)


async def _send_some(telling: Telling, claimed: Claimed, line: Line, waiting: Sequence[Queued], stopping: asyncio.Event) -> bool:
    """Whether the round may go on: all was taken, and the lease is still ours."""
    taken: list[Queued] = []
    since = time.monotonic()
    for one in waiting:
        answer = await _send(telling, claimed, line, one)
        verdict = judge(answer)
        if verdict is not Verdict.DELIVERED:
            await _failed(telling, claimed, taken, one, answer, verdict)
            return False
        taken.append(one)
        if len(taken) >= TOGETHER or time.monotonic() - since > _CAUTIOUS_SECONDS:
            if not await _delivered(telling, claimed, taken):
                return False
            taken, since = [], time.monotonic()
        if stopping.is_set():
            break
    return await _delivered(telling, claimed, taken)


async def _send(telling: Telling, claimed: Claimed, line: Line, one: Queued) -> Answer:
    message = Message(str(one.event_id), telling.clock.now(), one.body)
    return await line.post(one.body, sign(message, claimed.secrets))


async def _waiting(telling: Telling, claimed: Claimed) -> list[Queued]:
    statement = (
        select(DeliveryRow, OutboxRow)
        .join(OutboxRow, OutboxRow.id == DeliveryRow.event_id)
        .where(DeliveryRow.subscription_id == claimed.id, DeliveryRow.state == "waiting")
        .order_by(DeliveryRow.sequence)
        .limit(_READ_AT_ONCE)
    )
    async with telling.database.session() as session:
        found = (await session.execute(statement)).all()
    return [
        Queued(queued.sequence, queued.event_id, queued.attempts, queued.queued_at, orjson.dumps(told(event, telling.base_url)))
        for queued, event in found
    ]


def told(event: OutboxRow, base_url: str) -> dict[str, Any]:
    """An event as it leaves the house: what its topic allows, and where to read more. The same at every attempt."""
    known = TOPICS.get(event.topic)
    members = {name: value for name, value in event.payload.items() if known and name in known.members}
    links = {"event": f"{base_url}/api/v1/events/{event.id}"}
    if event.type_code is not None:
        links["certificate"] = f"{base_url}/api/v1/certificates/{event.subject}"
    if event.topic.startswith("import."):
        links["import"] = f"{base_url}/api/v1/imports/{event.subject}"
    return {
        "type": event.topic, "timestamp": event.created_at.isoformat(), "id": str(event.id), "sequence": event.sequence,
        "data": members, "links": links,
    }  # fmt: skip


async def _delivered(telling: Telling, claimed: Claimed, taken: Sequence[Queued]) -> bool:
    """Record what was taken; whether the lease is still ours, which this renews."""
    now = telling.clock.now()
    well = {"succeeded_at": now, "trouble": None, "failures": 0} if taken else {}
    async with telling.database.begin() as session:
        held = await _hold(session, claimed, lease_until=now + LEASE, **well)
        await _record_taken(session, claimed, taken, now)
    return held


async def _record_taken(session: AsyncSession, claimed: Claimed, taken: Sequence[Queued], now: dt.datetime) -> None:
    """Whoever holds the lease now: it was taken."""
    if taken:
        values = {"state": "delivered", "attempts": DeliveryRow.attempts + 1, "tried_at": now, "ended_at": now, "trouble": None}
        await session.execute(update(DeliveryRow).where(_these(claimed, taken)).values(answer=200, **values))


def _these(claimed: Claimed, queued: Sequence[Queued]) -> ColumnElement[bool]:
    """Their rows, but for those that were put into the queue anew since they were read."""
    known = tuple_(DeliveryRow.sequence, DeliveryRow.queued_at).in_([(one.sequence, one.queued_at) for one in queued])
    return (DeliveryRow.subscription_id == claimed.id) & (DeliveryRow.state == "waiting") & known


async def _failed(telling: Telling, claimed: Claimed, taken: Sequence[Queued], one: Queued, answer: Answer, verdict: Verdict) -> None:
    now, word = telling.clock.now(), answer.trouble or f"HTTP {answer.status}"
    dead = is_dead(verdict, one.attempts + 1, now - one.queued_at)
    ended = {"state": "dead", "ended_at": now} if dead else {}
    async with telling.database.begin() as session:
        before = await session.scalar(select(SubscriptionRow.failures).where(SubscriptionRow.id == claimed.id).with_for_update())
        failures = (0 if taken else before or 0) + 1
        await _record_taken(session, claimed, taken, now)
        failed = update(DeliveryRow).where(_these(claimed, [one]))
        await session.execute(
            failed.values(attempts=DeliveryRow.attempts + 1, tried_at=now, answer=answer.status, trouble=word, **ended)
        )  # fmt: skip
        await _give_up_old(session, claimed, now, word)
        # A message that was refused for good says nothing about the address: the next one has its turn.
        rest: dict[str, Any] = {"failures": failures, "due_at": now + pause(failures, telling.chance(), answer.retry_after)}
        if dead and verdict is Verdict.REFUSED:
            rest = {"failures": 0, "due_at": now}
        state = {"state": "gone"} if verdict is Verdict.GONE else {}
        await _hold(session, claimed, lease_owner=None, lease_until=None, failed_at=now, trouble=word, **rest, **state)
    log.info("subscriber did not take an event", subscription=str(claimed.id), event_id=str(one.event_id), answer=word, dead=dead)


async def _give_up_old(session: AsyncSession, claimed: Claimed, now: dt.datetime, word: str) -> None:
    row = DeliveryRow
    old = update(row).where(row.subscription_id == claimed.id, row.state == "waiting", row.queued_at <= now - PATIENCE)
    await session.execute(old.values(state="dead", ended_at=now, trouble=word))


async def _release(telling: Telling, claimed: Claimed) -> None:
    async with telling.database.begin() as session:
        await _hold(session, claimed, lease_owner=None, lease_until=None, due_at=telling.clock.now())


async def _hold(session: AsyncSession, claimed: Claimed, **values: Any) -> bool:
    """Write to the subscription while the lease is ours; whether it was."""
    row = SubscriptionRow
    mine = update(row).where(row.id == claimed.id, row.lease_owner == claimed.lease).values(**values).returning(row.id)
    return await session.scalar(mine) is not None
