"""How long token keys are announced, used and kept: durations, and what follows from them."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long what takes.

    ``period``   a key signs for so long
    ``cached``   a client may keep the JWK Set for so long (``Cache-Control: max-age``)
    ``read``     a process of ours may keep the plan for so long
    ``skew``     the clocks of our machines may differ by so much
    ``life``     what a key signs may be checked for so long after
    """

    period: dt.timedelta = dt.timedelta(days=90)
    cached: dt.timedelta = dt.timedelta(minutes=5)
    read: dt.timedelta = dt.timedelta(seconds=5)
    skew: dt.timedelta = dt.timedelta(seconds=10)
    life: dt.timedelta = dt.timedelta(minutes=30)

    @property
    def notice(self) -> dt.timedelta:
        """A change of the plan takes effect so long after it was written: by then every process has read it."""
        return self.read + self.skew

    @property
    def lead(self) -> dt.timedelta:
        """A new key is published for at least so long before it signs: the last process has read the plan, and whoever asked
        that process just before has thrown its answer away."""
        return self.notice + self.cached

    @property
    def overlap(self) -> dt.timedelta:
        """An old key is published for so long after it last signed: the last token has expired, wherever the set was kept."""
        return self.notice + self.life + self.cached


DEFAULT = Schedule()
