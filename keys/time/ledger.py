"""What an authority did since it last said so. One event for every token would drown the log; numbers do not.

Each process counts for itself and writes an event a minute, if there is anything to tell.
"""

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field

from keys.base.actor import SYSTEM
from keys.base.db import Database
from keys.evidence.audit import JSON, Event, Outcome, record_alone
from keys.time.request import Failure


@dataclass(slots=True)
class Ledger:
    """Counts since the last event: tokens with the first and the last instant, refusals by PKIFailureInfo."""

    tokens: int = 0
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    refusals: Counter[Failure] = field(default_factory=Counter)

    def granted(self, instant: dt.datetime) -> None:
        self.tokens += 1
        self.first, self.last = self.first or instant, instant

    def refused(self, failure: Failure) -> None:
        self.refusals[failure] += 1

    def take(self) -> dict[str, JSON]:
        """What there is to tell, if anything; the counts begin anew."""
        told: dict[str, JSON] = {}
        if self.tokens and self.first and self.last:
            told |= {"tokens": self.tokens, "first": self.first.isoformat(), "last": self.last.isoformat()}
        if self.refusals:
            told["refusals"] = {failure.name.lower(): count for failure, count in sorted(self.refusals.items())}
        self.tokens, self.first, self.last, self.refusals = 0, None, None, Counter()
        return told


async def tell(database: Database, now: dt.datetime, ledger: Ledger) -> None:
    """Write the event."""
    if told := ledger.take():
        await record_alone(database, now, Event("keys.time.stamped", "authority:tsa", Outcome.DONE, SYSTEM, told))
