"""What is asked of one stamping: where the seal shows, what the signature certifies, which seals are to follow.

Pages count from 0. Positions are millimetres from the top left corner of the page **as a person sees it**: inside its CropBox, turned by
its ``/Rotate``, at its real size (``/UserUnit``). A position is the middle of the seal.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TypeAlias

MAX_PICTURES = 1000
"""Pictures of one seal in one document; a form of more fields makes readers slow."""
MAX_TOTAL = 4096
"""Pictures of all seals of a document."""


class Profile(StrEnum):
    """How the stamp stands in the file (docs/stamping.md)."""

    PADES = "pades"  # one PAdES signature that carries the GM/T 0031 stamp: any reader accepts it
    GM = "gm.sm2seal"  # the GM/T 0031 stamp alone: for receivers that know nothing else


class Certification(IntEnum):
    """What the first signature permits afterwards (ISO 32000-1 table 254)."""

    NONE = 0  # an approval signature, which says nothing about later changes
    P1 = 1  # nothing
    P2 = 2  # the seals declared as ``later``


class Edge(StrEnum):
    """Where a seal across pages is cut to: its strips lie at this edge of each page."""

    LEFT = "left"
    RIGHT = "right"
    TOP = "top"


class Which(StrEnum):
    """Which occurrences of a keyword take the seal; a number, counted from 1, chooses one."""

    FIRST = "first"
    LAST = "last"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Pages:
    """From ``first`` to ``last`` (both counted; None: the last of the document), every ``step``-th: 2 for the front sides."""

    first: int = 0
    last: int | None = None
    step: int = 1

    def of(self, count: int) -> range:
        """The pages that a document of ``count`` pages has of these."""
        last = count - 1 if self.last is None else min(self.last, count - 1)
        return range(max(self.first, 0), last + 1, max(self.step, 1))


@dataclass(frozen=True, slots=True)
class AtPoint:
    page: int
    x_mm: float
    y_mm: float


@dataclass(frozen=True, slots=True)
class AtKeyword:
    """The seal's middle lies on the middle of the words found, moved by ``dx_mm`` (right) and ``dy_mm`` (down).

    Words are compared after NFKC and without white space: ``（盖章）`` is found where the page says ``( 盖 章 )``, and across lines.
    """

    text: str
    occurrence: Which | int = Which.LAST
    dx_mm: float = 0.0
    dy_mm: float = 0.0
    pages: Pages = Pages()


@dataclass(frozen=True, slots=True)
class OnEveryPage:
    x_mm: float
    y_mm: float
    pages: Pages = Pages()


@dataclass(frozen=True, slots=True)
class CrossPage:
    """骑缝章: one seal cut into equal strips, one a page, in the order of the pages.

    ``position_mm``    the seal's middle along the edge (from the top, for the top edge from the left); None: the middle of the edge
    ``pages_per_cut``  the most pages that share one seal, 2 to 100; more pages are shared out evenly over several
    """

    edge: Edge = Edge.RIGHT
    position_mm: float | None = None
    pages: Pages = Pages()
    pages_per_cut: int = 100


Place: TypeAlias = AtPoint | AtKeyword | OnEveryPage | CrossPage


@dataclass(frozen=True, slots=True)
class LaterSeal:
    """A seal that is to follow: an empty signature field and the places of its pictures are prepared for it.

    ``title``      what the empty field says to people and screen readers: whose seal goes here
    ``seal_code``  only this seal may fill the field; None: whichever is permitted
    ``width_mm``, ``height_mm``  the size of that seal's impression, which filling must meet
    """

    title: str
    placements: tuple[Place, ...]
    width_mm: float
    height_mm: float
    seal_code: str | None = None


@dataclass(frozen=True, slots=True)
class StampPlan:
    """One stamping of one document.

    ``placements``     empty where a prepared field is filled: its places were declared
    ``certification``  of a first signature; a later one takes what the first has said
    ``later``          the seals to follow, in their order; needs P2 or NONE and is said by the first seal only
    ``field``          the prepared field to fill; None: the one prepared for this seal, else a new one
    ``profile``        PAdES with the GM/T 0031 stamp, or that stamp alone
    """

    placements: tuple[Place, ...] = ()
    certification: Certification = Certification.P1
    later: tuple[LaterSeal, ...] = ()
    field: str | None = None
    profile: Profile = Profile.PADES
