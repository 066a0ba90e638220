"""What must hold before anything new is issued: the clock is trusted, and no time stamp is overdue."""

import datetime as dt

from keys.base.clock import Clock
from keys.time.errors import TimestampsOverdue

MAX_AGE = dt.timedelta(hours=1)


class Backlog:
    """Since when the oldest time stamp waits, as far as this process knows; None where none does."""

    def __init__(self, max_age: dt.timedelta = MAX_AGE) -> None:
        self.max_age = max_age
        self.oldest: dt.datetime | None = None

    def overdue(self, now: dt.datetime) -> bool:
        return self.oldest is not None and now - self.oldest > self.max_age


class IssuingClock:
    """The clock of issuing: ``now`` raises ``ClockUntrusted`` or ``TimestampsOverdue`` while nothing may be issued."""

    def __init__(self, guard: Clock, backlog: Backlog) -> None:
        self._guard, self._backlog = guard, backlog

    def now(self) -> dt.datetime:
        instant = self._guard.now()
        if self._backlog.overdue(instant):
            raise TimestampsOverdue(f"the oldest waits since {self._backlog.oldest}")
        return instant
