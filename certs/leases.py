"""Who works on a certificate: a lease in its row, kept alive while the work goes on and anybody's when it ran out.

The lease's owner is a random number of one run, so that a process that was thought dead cannot finish what another took over:
every closing write asks for the lease it began with.
"""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator

from sqlalchemy import DateTime, func, literal, or_, select, update

from certs.models import IssuingRow
from certs.records import Stage
from certs.stages import Issuing
from keys.base.db import AsyncSession

LEASE = dt.timedelta(seconds=15)
RENEWAL_SECONDS = 4.0
_LONGEST_PAUSE = 9  # the power of two, in seconds


def new_lease() -> uuid.UUID:
    """A run's own mark."""
    return uuid.uuid4()


async def claim(session: AsyncSession, now: dt.datetime, certificate_id: uuid.UUID, stage: Stage) -> uuid.UUID | None:
    """Take the work on a certificate in ``stage`` if nobody holds it; the lease, or ``None``."""
    lease = new_lease()
    statement = (
        update(IssuingRow)
        .where(IssuingRow.certificate_id == certificate_id, IssuingRow.stage == stage)
        .where(or_(IssuingRow.lease_until.is_(None), IssuingRow.lease_until < now))
        .values(lease_owner=lease, lease_until=now + LEASE, attempts=IssuingRow.attempts + 1)
        .returning(IssuingRow.certificate_id)
    )
    return lease if await session.scalar(statement) else None


async def release(issuing: Issuing, certificate_id: uuid.UUID, lease: uuid.UUID, failure: str) -> None:
    """Give the work back after a failure of ours, for somebody to take up at once."""
    statement = update(IssuingRow).where(IssuingRow.certificate_id == certificate_id, IssuingRow.lease_owner == lease)
    async with issuing.database.begin() as session:
        await session.execute(statement.values(lease_owner=None, lease_until=None, failure=failure))


async def postpone(issuing: Issuing, certificate_id: uuid.UUID, lease: uuid.UUID, failure: str) -> None:
    """Give the work back after a failure of ours, to be tried again in 2, 4, 8 … 512 seconds: a full disk is not emptied at once."""
    pause = func.make_interval(0, 0, 0, 0, 0, 0, func.power(2.0, func.least(IssuingRow.attempts, _LONGEST_PAUSE)))
    until = literal(issuing.clock.now(), DateTime(timezone=True)) + pause
    statement = update(IssuingRow).where(IssuingRow.certificate_id == certificate_id, IssuingRow.lease_owner == lease)
    async with issuing.database.begin() as session:
        await session.execute(statement.values(lease_owner=None, lease_until=until, failure=failure))


async def abandoned(session: AsyncSession, now: dt.datetime, limit: int) -> list[uuid.UUID]:
    """Reserved certificates that nobody works on, the longest forgotten first."""
    statement = (
        select(IssuingRow.certificate_id)
        .where(IssuingRow.stage == Stage.RESERVED.value)
        .where(or_(IssuingRow.lease_until.is_(None), IssuingRow.lease_until < now))
        .order_by(IssuingRow.lease_until.nulls_first())
        .limit(limit)
    )
    return list(await session.scalars(statement))


@contextlib.asynccontextmanager
async def kept(issuing: Issuing, certificate_id: uuid.UUID, lease: uuid.UUID) -> AsyncIterator[None]:
    """Renew the lease until leaving."""
    task = asyncio.create_task(_renew(issuing, certificate_id, lease), name=f"lease {certificate_id}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _renew(issuing: Issuing, certificate_id: uuid.UUID, lease: uuid.UUID) -> None:
    statement = update(IssuingRow).where(IssuingRow.certificate_id == certificate_id, IssuingRow.lease_owner == lease)
    while True:
        await asyncio.sleep(RENEWAL_SECONDS)
        # A failed renewal is no reason to stop: the closing write decides whether the lease still held.
        with contextlib.suppress(OSError):
            async with issuing.database.begin() as session:
                await session.execute(statement.values(lease_until=issuing.clock.now() + LEASE))
