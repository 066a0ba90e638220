"""What a file shows beside the revision that was sealed. Pictures are for the answer to whoever sent the file, and are never kept."""

from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PagePair:
    """A page, counted from 1, as it was sealed and as it is now: PNG in base64, empty where there is no such page."""

    page: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """``pages``: those that look different, counted from 1. ``before`` and ``after``: how many there were and are."""

    pages: tuple[int, ...]
    before: int
    after: int
    pairs: tuple[PagePair, ...] = ()

    def to_json(self) -> JSON:
        """What crosses the process boundary."""
        pairs = [[pair.page, pair.before, pair.after] for pair in self.pairs]
        return {"pages": list(self.pages), "before": self.before, "after": self.after, "pairs": pairs}

    @classmethod
    def from_json(cls, value: JSON) -> "Comparison":
        """The inverse of :meth:`to_json`. Raises KeyError, TypeError, ValueError."""
        pairs = tuple(PagePair(int(page), str(before), str(after)) for page, before, after in value["pairs"])
        return cls(tuple(map(int, value["pages"])), int(value["before"]), int(value["after"]), pairs)
