"""When a sealed file must be stamped again, as plain functions of dates (EN 319 142-1 §5.5, ETSI TS 119 312).

A document time stamp proves the file as long as three things hold: its signer's certificate can be checked, the digest it covers
the file by is not broken, and so are those within. Before the first of them ends another time stamp goes over everything.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

MARGIN = dt.timedelta(days=180)
LEAST = dt.timedelta(days=1)
"""Nothing is stamped again within it."""

Sunsets = Mapping[str, dt.datetime | None]
SUNSETS: Sunsets = {"sha1": dt.datetime(2017, 1, 1, tzinfo=dt.UTC), "sha256": None, "sha384": None, "sha512": None, "sm3": None}
"""Until when a digest is believed; None: no end is announced. An operator moves one nearer by ``FUJIE_HASH_SUNSETS``."""

_PREFERRED = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True)
class Renewal:
    """What an operator decides. ``margin``: how long before an end the next time stamp is due."""

    sunsets: Sunsets = field(default_factory=lambda: SUNSETS)
    margin: dt.timedelta = MARGIN

    def algorithm(self, now: dt.datetime) -> str:
        """The digest for a time stamp of this instant: the first that outlasts the margin, else the last of them."""
        return next((name for name in _PREFERRED if _outlasts(self.sunsets.get(name), now + self.margin)), _PREFERRED[-1])

    def due(self, stamped: "Stamping") -> dt.datetime:
        """When the next time stamp is due: the margin before the first end, but not in the first half of what there is.

        Never within a day: where everything has ended already, another stamp at once would be no better.
        """
        sunset = self.sunsets.get(stamped.algorithm)
        end = stamped.ends if sunset is None else min(stamped.ends, sunset)
        half = stamped.instant + max(end - stamped.instant, dt.timedelta()) / 2
        return max(end - self.margin, half, stamped.instant + LEAST)


@dataclass(frozen=True, slots=True)
class Stamping:
    """A document time stamp: its genTime, the end of its signer's certificate, the digest over the file."""

    instant: dt.datetime
    ends: dt.datetime
    algorithm: str


def _outlasts(sunset: dt.datetime | None, instant: dt.datetime) -> bool:
    return sunset is None or sunset > instant


def read_sunsets(text: str) -> dict[str, dt.datetime | None]:
    """``sha256=2035-01-01,sha384=2040-01-01`` over what is known anyway. Raises ``ValueError``."""
    told = dict(SUNSETS)
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, day = part.partition("=")
        if name not in SUNSETS:
            raise ValueError(f"unknown digest {name[:20]!r}")
        told[name] = dt.datetime.combine(dt.date.fromisoformat(day), dt.time(), dt.UTC)
    return told
