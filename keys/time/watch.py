"""Asking the guard's witnesses every two seconds, in every process: the time source when it is due, the database each time.

One statement carries the trusted instant to the database, and brings back the latest one of all processes, whether an operator
acknowledged, and since when the oldest time stamp waits. Doubt and its end are audited and logged.
"""

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import cast

import structlog
from sqlalchemy import DateTime, Table, bindparam, func, select, update

from keys.base.actor import SYSTEM, Actor
from keys.base.db import Database
from keys.base.hot import Statement
from keys.evidence.audit import Event, Outcome, record, record_alone
from keys.time.backlog import Backlog
from keys.time.errors import ClockUntrusted
from keys.time.guard import ClockGuard, Doubt
from keys.time.models import TimeMarkRow, TimestampRow
from keys.time.sntp import NoAnswer, TimeServer, compare

log = structlog.get_logger("fujie.time.watch")

STEP_SECONDS = 2.0
ASK_SECONDS = 32.0
"""How often the time source is asked; while there is doubt, at every step."""

_MARKS, _STAMPS = cast(Table, TimeMarkRow.__table__), cast(Table, TimestampRow.__table__)
# GREATEST passes over NULL: an instant that is not trusted moves nothing.
_EXCHANGE = Statement(
    update(_MARKS)
    .where(_MARKS.c.name == "clock")
    .values(instant=func.greatest(_MARKS.c.instant, bindparam("now", type_=DateTime(timezone=True))))
    .returning(
        _MARKS.c.instant,
        _MARKS.c.count,
        select(func.min(_STAMPS.c.enqueued_at)).where(_STAMPS.c.token.is_(None)).scalar_subquery().label("oldest"),
    )
)


class Watch:
    """Keeps one process's guard and backlog informed."""

    def __init__(self, database: Database, guard: ClockGuard, backlog: Backlog, servers: Sequence[TimeServer] = ()) -> None:
        self._database, self._guard, self._backlog, self._servers = database, guard, backlog, tuple(servers)
        self._ask_again = 0.0
        self._acknowledged: int | None = None
        self._doubt: Doubt | None = None

    async def run(self) -> None:
        """Step until cancelled; a failure is logged and tried again."""
        while True:
            await asyncio.sleep(STEP_SECONDS)
            try:
                await self.step()
            except Exception:
                log.exception("the clock's witnesses were not heard")

    async def step(self) -> None:
        """1. ask the source if it is due  2. exchange with the database  3. say so if the doubt changed."""
        await self._ask()
        row = await self._database.hot.row(_EXCHANGE, {"now": self._trusted()})
        if row is not None:
            if self._acknowledged not in (None, row["count"]):
                self._guard.acknowledged()
            self._acknowledged = row["count"]
            self._guard.remember(row["instant"])
            self._backlog.oldest = row["oldest"]
        await self._tell()

    async def _ask(self) -> None:
        uptime = self._guard.reading().uptime
        if not self._servers or (uptime < self._ask_again and self._guard.doubt() is None):
            return
        self._ask_again = uptime + ASK_SECONDS
        try:
            self._guard.compared(await compare(self._servers, self._guard.reading))
        except NoAnswer as silence:
            log.warning("the time source does not answer", detail=str(silence))

    def _trusted(self) -> dt.datetime | None:
        try:
            return self._guard.now()
        except ClockUntrusted:
            return None

    async def _tell(self) -> None:
        before, self._doubt = self._doubt, self._guard.doubt()
        if self._doubt is before:
            return
        drift = self._guard.drift()
        details = {"doubt": self._doubt and str(self._doubt), "drift_ms": None if drift is None else drift // dt.timedelta(milliseconds=1)}
        log.warning("the clock is in doubt" if self._doubt else "the clock is trusted again", **details)
        outcome, code = (Outcome.FAILED, ClockUntrusted.code) if self._doubt else (Outcome.DONE, None)
        await record_alone(self._database, self._guard.reading().wall, Event("keys.time.guard", "clock", outcome, SYSTEM, details, code))


async def acknowledge(database: Database, guard: ClockGuard, actor: Actor, reason: str) -> None:
    """An operator vouches for the present instant: what was trusted or stamped at later ones no longer stands in the way.

    Every process hears of it within two seconds. ``reason`` stands in the log as it is.
    """
    now = guard.reading().wall
    async with database.begin() as session:
        await session.execute(update(TimeMarkRow).where(TimeMarkRow.name == "clock").values(instant=now, count=TimeMarkRow.count + 1))
        await session.execute(update(TimeMarkRow).where(TimeMarkRow.name == "tsa").values(instant=func.least(TimeMarkRow.instant, now)))
        await record(session, now, Event("keys.time.acknowledge", "clock", Outcome.DONE, actor, {"reason": reason}))
    guard.acknowledged()
