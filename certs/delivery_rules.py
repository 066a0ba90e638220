"""What follows from a subscriber's answer, and when to try again. Pure.

An event is *refused* when the answer speaks of that one message (400, 409, 413, 415, 422): after :data:`MOST_REFUSALS` it is dead, and the
next one has its turn. Anything else is *trouble* of the address: nothing of its queue is tried before the pause is over, the order stays,
and what waited longer than :data:`PATIENCE` is dead. ``410`` ends the subscription.
"""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

PATIENCE = dt.timedelta(hours=72)
MOST_REFUSALS = 6
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 3600.0
_ABOUT_THE_MESSAGE = frozenset({400, 409, 413, 415, 422})
_GONE = 410


class Verdict(StrEnum):
    DELIVERED = "delivered"
    REFUSED = "refused"
    TROUBLE = "trouble"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` of HTTP; none where the connection failed, and ``trouble`` says why in a word. ``retry_after`` in seconds."""

    status: int | None
    trouble: str = ""
    retry_after: float | None = None


def judge(answer: Answer) -> Verdict:
    """
    >>> [judge(Answer(status)).value for status in (200, 204, 301, 404, 410, 422, 503, None)]
    ['delivered', 'delivered', 'trouble', 'trouble', 'gone', 'refused', 'trouble', 'trouble']
    """
    match answer.status:
        case status if status is not None and 200 <= status < 300:
            return Verdict.DELIVERED
        case status if status == _GONE:
            return Verdict.GONE
        case status if status in _ABOUT_THE_MESSAGE:
            return Verdict.REFUSED
    return Verdict.TROUBLE


def pause(failures: int, chance: float, retry_after: float | None = None) -> dt.timedelta:
    """How long to leave an address alone after so many failures in a row: 1 s, doubled each time, an hour at most, less up to a half.

    Short at first: the order is kept, so a message that fails holds up all behind it, and whoever fails now and then must still keep up.

    ``chance`` from 0 to 1 is drawn anew each time, so that subscribers that failed together do not come back together.

    >>> [pause(failures, 0.0).total_seconds() for failures in (1, 2, 3, 11, 30)]
    [1.0, 2.0, 4.0, 1024.0, 3600.0]
    >>> pause(3, 1.0).total_seconds(), pause(1, 0.5, retry_after=120).total_seconds()
    (2.0, 120.0)
    """
    longest = min(FIRST_PAUSE * 2 ** min(max(failures, 1) - 1, 20), LONGEST_PAUSE)
    asked = min(retry_after or 0.0, LONGEST_PAUSE)
    return dt.timedelta(seconds=max(longest * (1 - chance / 2), asked))


def is_dead(verdict: Verdict, attempts: int, waited: dt.timedelta) -> bool:
    """Whether an event that was not taken is given up."""
    return waited >= PATIENCE or (verdict is Verdict.REFUSED and attempts >= MOST_REFUSALS)
