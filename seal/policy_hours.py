"""Weekly hours in civil time (UTC+8): ``mon-fri 08:30-17:30``, ``sat 09:00-12:00``. Pure."""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

from keys.base.clock import CHINA_STANDARD_TIME
from keys.base.errors import InvalidInput

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? (?P<since>[0-2][0-9]:[0-5][0-9])-(?P<until>[0-2][0-9]:[0-5][0-9])")
_MOST = 21


@dataclass(frozen=True, slots=True)
class Hours:
    """On the weekdays ``first`` to ``last`` (Monday is 0; Sunday to Monday goes round), from ``since`` until before ``until``.

    Minutes of the day; 1440 is midnight at its end.
    """

    first: int
    last: int
    since: int
    until: int

    def hold(self, instant: dt.datetime) -> bool:
        civil = instant.astimezone(CHINA_STANDARD_TIME)
        minute = civil.hour * 60 + civil.minute
        return (civil.weekday() - self.first) % 7 <= (self.last - self.first) % 7 and self.since <= minute < self.until


def parse_hours(text: str) -> Hours:
    """One span. Raises ``InvalidInput``.

    >>> parse_hours("mon-fri 08:30-17:30")
    Hours(first=0, last=4, since=510, until=1050)
    """
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None or not {found["first"], found["last"] or found["first"]} <= set(DAYS):
        raise _malformed()
    since, until = _minutes(found["since"]), _minutes(found["until"])
    if not since < until <= 24 * 60:
        raise _malformed()
    return Hours(DAYS.index(found["first"]), DAYS.index(found["last"] or found["first"]), since, until)


def check_hours(spans: Sequence[str]) -> tuple[str, ...]:
    """The spans as they are kept. Raises ``InvalidInput``."""
    if len(spans) > _MOST:
        raise _malformed()
    for span in spans:
        parse_hours(span)
    return tuple(" ".join(span.lower().split()) for span in spans)


def within_hours(spans: Sequence[str], instant: dt.datetime) -> bool:
    """Whether the instant lies in one of the spans; without any, always."""
    return not spans or any(parse_hours(span).hold(instant) for span in spans)


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _malformed() -> InvalidInput:
    return InvalidInput("hours", errors=[{"field": "hours", "message": "as in: mon-fri 08:30-17:30"}])


_DAY = 24 * 60


def minutes_of_week(spans: Sequence[str]) -> frozenset[int]:
    """The minutes of the week (from Monday's midnight) that the spans hold; without any, all of them."""
    if not spans:
        return frozenset(range(7 * _DAY))
    hours = [parse_hours(span) for span in spans]
    return frozenset(
        day * _DAY + minute
        for one in hours
        for day in range(7)
        if (day - one.first) % 7 <= (one.last - one.first) % 7
        for minute in range(one.since, one.until)
    )
