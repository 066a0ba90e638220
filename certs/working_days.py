"""Working days (工作日): when something that must be answered within so many of them is due. Pure but for the two statements at the end.

A day works by its weekday unless the calendar says otherwise. The yearly arrangement of holidays (国务院办公厅关于部分节假日安排的通知)
lies in ``certs/data/working_days.csv`` as far as it was published when this was built; what an operator enters stands above it.
A period of days begins on the day after the event and ends with its last day (民法典 §201, §203): one working day, asked for on a Friday
at noon, is over when Monday is.
"""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from certs.copy_models import WorkingDayRow
from keys.base.actor import Actor
from keys.base.clock import CHINA_STANDARD_TIME, civil_date
from keys.base.db import AsyncSession
from keys.base.errors import InvalidInput
from keys.evidence.audit import Event, Outcome, record

SATURDAY = 5
MOST_DAYS = 366
LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """A day that differs from its weekday. ``works``: a Saturday or Sunday that is worked, else a holiday."""

    day: dt.date
    works: bool
    name: str


@dataclass(frozen=True, slots=True)
class Calendar:
    """``special``: the days that differ from their weekdays."""

    special: Mapping[dt.date, SpecialDay] = field(default_factory=dict)

    def works(self, day: dt.date) -> bool:
        """Whether the day is a working day."""
        found = self.special.get(day)
        return found.works if found else day.weekday() < SATURDAY

    def knows(self, year: int) -> bool:
        """Whether the holidays of the year were entered; before, every weekday of it counts as a working day."""
        return any(day.year == year for day in self.special)

    def after(self, day: dt.date, days: int) -> dt.date:
        """The ``days``-th working day after ``day``."""
        for _ in range(days):
            day += dt.timedelta(days=1)
            while not self.works(day):
                day += dt.timedelta(days=1)
        return day

    def due(self, since: dt.datetime, days: int) -> dt.datetime:
        """The instant at which ``days`` working days from ``since`` are over: midnight after the last of them, in UTC."""
        ends = self.after(civil_date(since), days) + dt.timedelta(days=1)
        return dt.datetime.combine(ends, dt.time(), CHINA_STANDARD_TIME).astimezone(dt.UTC)


@cache
def shipped() -> tuple[SpecialDay, ...]:
    """The years whose arrangement was published when this was built."""
    return parse(resources.files("certs").joinpath("data/working_days.csv").read_bytes())


def parse(document: bytes) -> tuple[SpecialDay, ...]:
    """Days from CSV with the columns ``day`` (YYYY-MM-DD), ``works`` (0 or 1), ``name``. Raises ``InvalidInput`` with the line."""
    try:
        rows = list(csv.DictReader(io.StringIO(document.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error):
        raise InvalidInput("calendar", errors=[{"field": "file", "message": "no CSV in UTF-8"}]) from None
    if not 0 < len(rows) <= MOST_DAYS:
        raise InvalidInput("calendar", errors=[{"field": "file", "message": f"1 to {MOST_DAYS} rows"}])
    return tuple(_special(number, row) for number, row in enumerate(rows, 2))


def _special(line: int, row: Mapping[str, str]) -> SpecialDay:
    try:
        found = SpecialDay(dt.date.fromisoformat(row["day"]), {"0": False, "1": True}[row["works"]], row["name"].strip())
    except (KeyError, ValueError, TypeError, AttributeError):
        raise InvalidInput("calendar", errors=[{"field": f"line {line}", "message": "day (YYYY-MM-DD), works (0 or 1), name"}]) from None
    if not 0 < len(found.name) <= LONGEST_NAME:
        raise InvalidInput("calendar", errors=[{"field": f"line {line}", "message": f"name: 1 to {LONGEST_NAME} characters"}])
    return found


async def calendar_of(session: AsyncSession) -> Calendar:
    """The shipped days, and above them those that were entered here."""
    entered = [SpecialDay(row.day, row.works, row.name) for row in await session.scalars(select(WorkingDayRow))]
    return Calendar({one.day: one for one in (*shipped(), *entered)})


async def enter_days(session: AsyncSession, now: dt.datetime, actor: Actor, days: Iterable[SpecialDay]) -> int:
    """Enter days, in place of what stood for them; how many."""
    values = [{"day": one.day, "works": one.works, "name": one.name, "set_at": now, "set_by": actor.id} for one in days]
    statement = insert(WorkingDayRow).values(values)
    changed = {name: statement.excluded[name] for name in ("works", "name", "set_at", "set_by")}
    await session.execute(statement.on_conflict_do_update(index_elements=["day"], set_=changed))
    await record(session, now, Event("certs.calendar.enter", "calendar", Outcome.DONE, actor, {"days": len(values)}))
    return len(values)
