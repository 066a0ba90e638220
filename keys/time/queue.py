"""Time stamps that wait their turn: written with what they are of, obtained afterwards, kept with it.

1. :func:`enqueue`   in the transaction that makes the thing: there is no certificate without a place in the queue
2. :func:`obtain`    in the background: take the oldest that are due, ask the source outside any transaction, keep the tokens

A source that is down leaves everything where it is: what was taken is due again after a pause. Several processes may obtain at
once; nobody takes what another has in hand.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import structlog
from sqlalchemy import Table, insert, select, update

from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.base.ids import new_id
from keys.time.models import TimestampRow
from keys.time.source import TimestampSource

log = structlog.get_logger("fujie.time.queue")

BATCH = 50
IN_HAND = dt.timedelta(seconds=60)
PAUSE = dt.timedelta(seconds=10)

_ROWS = cast(Table, TimestampRow.__table__)
_INSERT = insert(_ROWS)  # prepared once: building it costs more than running it


@dataclass(frozen=True, slots=True)
class Kept:
    """A time stamp of ``subject``: ``token`` is None while it waits."""

    subject: str
    digest: bytes
    algorithm: str
    token: bytes | None
    stamped_at: dt.datetime | None


async def enqueue(session: AsyncSession, now: dt.datetime, subject: str, digest: bytes, algorithm: str = "sha256") -> None:
    """Ask for a time stamp over ``digest``, in the caller's transaction."""
    values = {"id": new_id(), "subject": subject, "digest": digest, "algorithm": algorithm, "enqueued_at": now, "next_attempt_at": now}
    await session.execute(_INSERT, values)


async def kept_of(session: AsyncSession, subject: str) -> Kept | None:
    """The newest time stamp of ``subject``, if one was ever asked for."""
    newest = select(TimestampRow).where(TimestampRow.subject == subject).order_by(TimestampRow.enqueued_at.desc()).limit(1)
    row = await session.scalar(newest)
    return None if row is None else Kept(row.subject, row.digest, row.algorithm, row.token, row.stamped_at)


async def obtain(database: Database, clock: Clock, source: TimestampSource) -> int:
    """Obtain what is due until nothing is left or the source fails; how many tokens were kept."""
    count = 0
    while taken := await _take(database, clock.now()):
        got = await _ask(source, taken)
        await _keep(database, clock.now(), got)
        count += len(got)
        if len(got) < len(taken):
            await _put_back(database, clock.now(), [row.id for row in taken[len(got) :]])
            break
    return count


async def _take(database: Database, now: dt.datetime) -> Sequence[TimestampRow]:
    """The oldest that are due, in hand for a while."""
    due = (
        select(TimestampRow.id)
        .where(TimestampRow.token.is_(None), TimestampRow.next_attempt_at <= now)
        .order_by(TimestampRow.enqueued_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    async with database.begin() as session:
        statement = update(TimestampRow).where(TimestampRow.id.in_(due)).values(next_attempt_at=now + IN_HAND).returning(TimestampRow)
        rows = await session.scalars(statement, execution_options={"synchronize_session": False})
        return sorted(rows, key=lambda row: row.enqueued_at)


async def _ask(source: TimestampSource, taken: Sequence[TimestampRow]) -> dict[uuid.UUID, bytes]:
    """A token for each, in order, as far as the source goes along."""
    tokens: dict[uuid.UUID, bytes] = {}
    for row in taken:
        try:
            tokens[row.id] = await source.stamp(row.digest, row.algorithm)
        except FujieError as error:
            log.warning("time stamps wait", code=error.code, detail=error.detail)
            break
        except Exception:  # whatever the source met with, the others are kept and this one is asked for again
            log.exception("time stamps wait")
            break
    return tokens


async def _keep(database: Database, now: dt.datetime, tokens: dict[uuid.UUID, bytes]) -> None:
    if not tokens:
        return
    async with database.begin() as session:
        for row_id, token in tokens.items():
            kept = update(TimestampRow).where(TimestampRow.id == row_id, TimestampRow.token.is_(None))
            await session.execute(kept.values(token=token, stamped_at=now), execution_options={"synchronize_session": False})


async def _put_back(database: Database, now: dt.datetime, ids: Sequence[uuid.UUID]) -> None:
    async with database.begin() as session:
        await session.execute(update(TimestampRow).where(TimestampRow.id.in_(ids)).values(next_attempt_at=now + PAUSE))
