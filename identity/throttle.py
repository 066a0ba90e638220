"""How often somebody may try: an account name, a remote address, a client.

An attempt is charged *before* it is judged and given back when it was good, so a thousand at once get no more tries than
a thousand in a row. PostgreSQL counts what must not be lost: account names, whether such an account exists or not, so
flushing Redis unlocks nobody. Redis counts what may be lost: addresses and clients; where it does not answer, PostgreSQL
counts those too.

Anyone who knows a username can lock it for a quarter of an hour; that is the price of a lock, and why it is short.
"""

import asyncio
import datetime as dt
import math
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import case, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from identity.models import ThrottleRow
from keys.base.db import AsyncSession, Database
from keys.base.errors import Throttled

log = structlog.get_logger(__name__)

_REDIS_PATIENCE = 0.5
_FRESH = dt.timedelta(seconds=2)
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True, slots=True)
class Limit:
    """``attempts`` within ``window``, then none for ``lock``. ``durable``: counted in PostgreSQL only."""

    name: str
    attempts: int
    window: dt.timedelta
    lock: dt.timedelta
    durable: bool = False


ACCOUNT = Limit("account", 5, dt.timedelta(minutes=15), dt.timedelta(minutes=15), durable=True)
REMOTE = Limit("remote", 60, dt.timedelta(minutes=15), dt.timedelta(minutes=15))
BINDING = Limit("binding", 10, dt.timedelta(hours=24), dt.timedelta(hours=24), durable=True)
CHECKS = Limit("checks", 600, dt.timedelta(minutes=1), dt.timedelta(minutes=1))


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a limit counts: ``key`` is a keyed digest, so that neither store holds names or addresses."""

    limit: Limit
    key: bytes

    @property
    def row(self) -> bytes:
        return self.limit.name.encode() + b":" + self.key


@dataclass(frozen=True, slots=True)
class Charge:
    """One attempt, charged. ``cell``: the counter in Redis; None where PostgreSQL counted."""

    subject: Subject
    cell: str | None


@dataclass(frozen=True, slots=True)
class Throttle:
    """The two stores of counts. ``redis`` None: PostgreSQL counts everything."""

    database: Database
    redis: Redis | None

    async def charge(self, now: dt.datetime, subject: Subject) -> Charge:
        """Counts one attempt. Raises :class:`Throttled` (``retry_after``, seconds) where there are no more."""
        limit = subject.limit
        length = limit.window.total_seconds()
        window = int(now.timestamp() // length)
        cell = f"fujie:throttle:{limit.name}:{subject.key.hex()}:{window}"
        used = None if limit.durable else await self._add(cell, 1, limit)
        if used is None:
            await self._charge_row(now, subject)
            return Charge(subject, None)
        if used > limit.attempts:
            raise _refusal(limit, (window + 1) * length - now.timestamp())
        return Charge(subject, cell)

    async def give_back(self, charge: Charge) -> None:
        """Takes one charge back: the attempt was good."""
        if charge.cell is not None:
            await self._add(charge.cell, -1, charge.subject.limit)
            return
        one_less = case((ThrottleRow.attempts > 0, ThrottleRow.attempts - 1), else_=0)
        async with self.database.begin() as session:
            statement = update(ThrottleRow).where(ThrottleRow.subject == charge.subject.row)
            await session.execute(statement.values(attempts=one_less, locked_until=None))

    async def _charge_row(self, now: dt.datetime, subject: Subject) -> None:
        """A lock set this very moment may be five good attempts not yet judged: those are waited for, a little."""
        for pause in (*_PAUSES, None):
            async with self.database.begin() as session:
                locked_until = await _charge(session, now, subject)
            if locked_until is None:
                return
            if pause is None or locked_until < now + subject.limit.lock - _FRESH:
                raise _refusal(subject.limit, (locked_until - now).total_seconds())
            await asyncio.sleep(pause)

    async def _add(self, cell: str, amount: int, limit: Limit) -> int | None:
        """The counter after adding, or None where Redis does not answer."""
        if self.redis is None:
            return None
        try:
            async with asyncio.timeout(_REDIS_PATIENCE), self.redis.pipeline(transaction=True) as pipeline:
                pipeline.incrby(cell, amount)
                pipeline.expire(cell, math.ceil(limit.window.total_seconds()) + 60)
                return int((await pipeline.execute())[0])
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("throttle.redis_unavailable", error=type(error).__name__)
            return None


async def clear(session: AsyncSession, subject: Subject) -> None:
    """Forgets the subject's attempts, within the transaction that proves it good (or unlocks it by hand)."""
    await session.execute(delete(ThrottleRow).where(ThrottleRow.subject == subject.row))


async def forget_old(session: AsyncSession, now: dt.datetime, keep: dt.timedelta = dt.timedelta(days=2)) -> None:
    """Housekeeping: rows whose window and lock are long past."""
    unlocked = or_(ThrottleRow.locked_until.is_(None), ThrottleRow.locked_until < now)
    await session.execute(delete(ThrottleRow).where(ThrottleRow.window_started < now - keep, unlocked))


async def _charge(session: AsyncSession, now: dt.datetime, subject: Subject) -> dt.datetime | None:
    """Charges the row in one statement; the end of the lock where it is locked, and then charges nothing.

    The last attempt allowed sets the lock and is still judged; if it is good, the row is cleared.
    """
    limit = subject.limit
    over = or_(ThrottleRow.window_started <= now - limit.window, ThrottleRow.locked_until.is_not(None))
    attempts = case((over, 1), else_=ThrottleRow.attempts + 1)
    lock = now + limit.lock
    statement = insert(ThrottleRow).values(
        subject=subject.row, attempts=1, window_started=now, locked_until=lock if limit.attempts <= 1 else None
    )
    charged = await session.scalar(
        statement.on_conflict_do_update(
            index_elements=["subject"],
            set_={
                "attempts": attempts,
                "window_started": case((over, now), else_=ThrottleRow.window_started),
                "locked_until": case((attempts >= limit.attempts, lock), else_=None),
            },
            where=or_(ThrottleRow.locked_until.is_(None), ThrottleRow.locked_until <= now),
        ).returning(ThrottleRow.attempts)
    )
    if charged is not None:
        return None
    return await session.scalar(select(ThrottleRow.locked_until).where(ThrottleRow.subject == subject.row)) or now


def _refusal(limit: Limit, seconds: float) -> Throttled:
    return Throttled(limit.name, retry_after=max(1, math.ceil(seconds)))
