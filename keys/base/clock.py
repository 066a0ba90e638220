"""The one place that reads the wall clock.

Rules are functions of the instant they are given; journeys take a :class:`Clock` and read it once per step.
"""

import datetime as dt
import time
from typing import Protocol


class Clock(Protocol):
    """Answers the present instant."""

    def now(self) -> dt.datetime:
        """The present instant, always with ``tzinfo`` UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)


CHINA_STANDARD_TIME = dt.timezone(dt.timedelta(hours=8), "CST")


def civil_date(instant: dt.datetime) -> dt.date:
    """The calendar date printed on certificates: China Standard Time (UTC+8), whatever the machine's zone."""
    return instant.astimezone(CHINA_STANDARD_TIME).date()


def unix_milliseconds() -> int:
    """Milliseconds since the Unix epoch, for time-ordered identifiers only."""
    return time.time_ns() // 1_000_000


def uptime() -> float:
    """Seconds since the machine started, its sleep included where the system counts that: nobody sets this clock."""
    return time.clock_gettime(_UPTIME_CLOCK)


_UPTIME_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
