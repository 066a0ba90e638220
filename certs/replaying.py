"""Sending events again: by their numbers, by their time, by name, or all that are dead. Ids stay the same; the order of numbers too.

1. own    the subscription is the actor's organisation's
2. queue  every event of the range that concerns it and it asked for, whether it was sent before or is older than the subscription
3. audit  what was asked for and how many it came to
"""

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Uuid, bindparam, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from certs.connections import record_done
from certs.dispatch import WANTED
from certs.event_models import DeliveryRow, SubscriptionRow
from certs.subscriptions import Subscribing, own_subscription
from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import InvalidInput

MOST_NAMED = 1000


@dataclass(frozen=True, slots=True)
class Range:
    """Which events: all of the conditions hold. ``since`` and ``until`` (excluded): when they were written; ``dead``: those given up."""

    first: int | None = None
    last: int | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    events: tuple[uuid.UUID, ...] = field(default=())
    dead: bool = False

    @property
    def is_bounded(self) -> bool:
        """Whether it says anything: a replay of everything there ever was must be asked for by its first number."""
        return self.first is not None or self.since is not None or bool(self.events) or self.dead


_DEAD = """EXISTS (SELECT 1 FROM certs.deliveries d WHERE d.subscription_id = s.id AND d.sequence = o.sequence AND d.state = 'dead')"""


def _again(asked: Range) -> tuple[str, dict[str, Any]]:
    """The conditions as SQL over an event ``o``, and their values."""
    given = {
        "o.sequence >= :first": ("first", asked.first), "o.sequence <= :last": ("last", asked.last),
        "o.created_at >= :since": ("since", asked.since), "o.created_at < :until": ("until", asked.until),
        "o.id = ANY(:events)": ("events", list(asked.events) or None),
    }  # fmt: skip
    used = {condition: pair for condition, pair in given.items() if pair[1] is not None}
    conditions = [*used, *([_DEAD] if asked.dead else [])]
    return " AND ".join(conditions), dict(used.values())


async def replay(subscribing: Subscribing, actor: Actor, subscription_id: uuid.UUID, asked: Range) -> int:
    """Put events into the queue again; how many wait now because of it.

    Raises InvalidInput where nothing bounds the range, ``SubscriptionNotFound``, ``ConnectionForbidden``.
    """
    if not asked.is_bounded or len(asked.events) > MOST_NAMED:
        raise InvalidInput("range", errors=[{"field": "first", "message": "first, since, events (1,000 at most) or dead"}])
    async with subscribing.database.begin() as session:
        row = await own_subscription(session, actor, subscription_id, held=True)
        now = subscribing.clock.now()
        count = await _queue(session, row.id, asked, now)
        row.due_at, row.failures = now, 0
        details = {"first": asked.first, "last": asked.last, "named": len(asked.events), "dead": asked.dead, "count": count}
        await record_done(session, now, actor, "subscription", row.id, "replay", details)
    return count


async def _queue(session: AsyncSession, subscription_id: uuid.UUID, asked: Range, now: dt.datetime) -> int:
    conditions, values = _again(asked)
    statement = text(f"""
        INSERT INTO certs.deliveries AS q (subscription_id, sequence, event_id, state, attempts, queued_at)
        SELECT s.id, o.sequence, o.id, 'waiting', 0, :now FROM certs.outbox o JOIN certs.subscriptions s ON {WANTED}
        WHERE s.id = :subscription AND o.sequence IS NOT NULL AND {conditions} ORDER BY o.sequence
        ON CONFLICT (subscription_id, sequence) DO UPDATE
        SET state = 'waiting', attempts = 0, queued_at = :now, ended_at = NULL, trouble = NULL
        RETURNING q.sequence""")  # noqa: S608 - conditions of ours, values of theirs
    if "events" in values:
        statement = statement.bindparams(bindparam("events", type_=ARRAY(Uuid)))
    done = await session.scalars(statement, values | {"subscription": subscription_id, "now": now})
    return len(list(done))


async def set_aside(subscribing: Subscribing, actor: Actor, subscription_id: uuid.UUID, sequence: int) -> bool:
    """Take an event out of the queue, as dead: the next one has its turn. Whether it was waiting."""
    now, row = subscribing.clock.now(), DeliveryRow
    async with subscribing.database.begin() as session:
        own = await own_subscription(session, actor, subscription_id, held=True)
        waiting = update(row).where(row.subscription_id == own.id, row.sequence == sequence, row.state == "waiting")
        done = await session.scalar(waiting.values(state="dead", ended_at=now, trouble="set aside").returning(row.sequence))
        await session.execute(update(SubscriptionRow).where(SubscriptionRow.id == own.id).values(due_at=now, failures=0))
        await record_done(session, now, actor, "subscription", own.id, "set_aside", {"sequence": sequence, "was_waiting": done is not None})
    return done is not None
