"""The clock guard: a clock that tells no time it does not trust.

What may make it doubt, each from another witness:

- the clock itself, call by call: it shows an earlier instant than it did                          → ``BACKWARDS``
- the machine's uptime, which nobody sets: the clock ran more than 5 s ahead of it                 → ``JUMPED``
- the database, which remembers across restarts: a process was trusted at a later instant          → ``BEHIND``
- the time source, where one is configured: more than 5 s away, or not heard for too long          → ``DRIFTED``, ``UNCONFIRMED``

It recovers by itself: ``BACKWARDS`` and ``BEHIND`` once the clock has passed the instant that was known, ``JUMPED`` once the clock
is back or the time source confirms it, ``DRIFTED`` and ``UNCONFIRMED`` with the next good answer. An operator who knows that the
clock is right acknowledges it (``fujie clock acknowledge``): then the present instant is where everything starts anew.

:func:`judge` is a plain function of what the witnesses say; :class:`ClockGuard` keeps what they said; ``keys.time.watch`` asks them.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from keys.base.clock import Clock, uptime
from keys.time.errors import ClockUntrusted

LIMIT = dt.timedelta(seconds=5)
"""Farther apart than this, a witness contradicts the clock."""

PATIENCE = 12 * 3600.0
"""Seconds that a time source may stay silent: no crystal drifts 5 s in that time, and a step is seen otherwise."""


class Doubt(StrEnum):
    """Why the clock is not trusted."""

    BACKWARDS = "backwards"
    BEHIND = "behind"
    JUMPED = "jumped"
    DRIFTED = "drifted"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class Reading:
    """Both clocks at one moment: ``wall`` may be set by anybody, ``uptime`` (seconds) by nobody."""

    wall: dt.datetime
    uptime: float

    @property
    def origin(self) -> dt.datetime:
        """The instant at which the uptime began, by the wall clock: it changes only when that is set."""
        return self.wall - dt.timedelta(seconds=self.uptime)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the time source said: ``offset`` is how far it is ahead of our clock; ``origin`` and ``uptime`` are of that moment."""

    offset: dt.timedelta
    origin: dt.datetime
    uptime: float

    def drift(self, reading: Reading) -> dt.timedelta:
        """How far our clock is from the source by now, either way: it may have been set since."""
        return abs(self.offset - (reading.origin - self.origin))


@dataclass(frozen=True, slots=True)
class Witnesses:
    """What is known besides the clock.

    ``origin``     the wall clock's origin when it was last trusted for a reason
    ``highest``    the latest instant this process was told
    ``remembered`` the latest instant any process was trusted at
    ``asks``       whether there is a time source; ``source`` is its last answer
    """

    origin: dt.datetime
    highest: dt.datetime
    remembered: dt.datetime
    asks: bool = False
    source: Comparison | None = None


def judge(reading: Reading, known: Witnesses) -> Doubt | None:
    """The gravest doubt, or None."""
    source = known.source
    if reading.wall < known.highest:
        return Doubt.BACKWARDS
    if known.remembered - reading.wall > LIMIT:
        return Doubt.BEHIND
    if source is not None and source.drift(reading) > LIMIT:
        return Doubt.DRIFTED
    if known.asks and (source is None or reading.uptime - source.uptime > PATIENCE):
        return Doubt.UNCONFIRMED
    if not known.asks and reading.origin - known.origin > LIMIT:
        return Doubt.JUMPED
    return None


class ClockGuard:
    """A :class:`Clock` whose ``now`` raises ``ClockUntrusted`` while there is doubt. One for each process.

    ``asks``  whether a time source will be asked: then nothing is trusted before its first answer
    """

    def __init__(self, clock: Clock, uptime: Callable[[], float] = uptime, *, asks: bool = False) -> None:
        self._clock, self._uptime = clock, uptime
        reading = self.reading()
        self._known = Witnesses(reading.origin, reading.wall, dt.datetime.min.replace(tzinfo=dt.UTC), asks)

    def reading(self) -> Reading:
        """Both clocks, now, without judgement."""
        return Reading(self._clock.now(), self._uptime())

    def now(self) -> dt.datetime:
        """The present instant; ``ClockUntrusted``."""
        reading = self.reading()
        doubt = judge(reading, self._known)
        if doubt is not None:
            raise ClockUntrusted(doubt, reason=str(doubt))
        self._note(highest=reading.wall)
        return reading.wall

    def doubt(self) -> Doubt | None:
        """What speaks against the clock now, if anything."""
        return judge(self.reading(), self._known)

    def drift(self) -> dt.timedelta | None:
        """How far the clock is from the time source, by its last answer; None without one."""
        source = self._known.source
        return None if source is None else source.drift(self.reading())

    def remember(self, instant: dt.datetime) -> None:
        """The latest instant that any process was trusted at, from the database."""
        self._note(remembered=instant)

    def compared(self, comparison: Comparison) -> None:
        """The time source's answer."""
        self._note(source=comparison, origin=comparison.origin)

    def acknowledged(self) -> None:
        """An operator vouches for the present instant. The time source is not overruled."""
        reading = self.reading()
        self._note(origin=reading.origin, highest=reading.wall, remembered=reading.wall)

    def _note(self, **known: Any) -> None:
        self._known = replace(self._known, **known)


class StampingClock:
    """The clock of time stamps: it must be as right as they promise. ``now`` raises ``ClockUntrusted`` where the source says it is not."""

    def __init__(self, guard: ClockGuard, accuracy: dt.timedelta) -> None:
        self._guard, self._accuracy = guard, accuracy

    def now(self) -> dt.datetime:
        instant, drift = self._guard.now(), self._guard.drift()
        if self._accuracy and drift is not None and drift > self._accuracy:
            raise ClockUntrusted(f"{drift} away from the time source", reason=str(Doubt.DRIFTED))
        return instant
