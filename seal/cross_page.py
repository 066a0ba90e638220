"""骑缝章: one seal cut into equal strips over several pages, so that no page can be exchanged unseen.

Fanned out, or with the strips put side by side in the order of the pages, the pages show the whole seal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from seal.placing import Edge
from seal.placing_errors import PlanContradictory

FEWEST, MOST = 2, 100
"""Pages that share one seal."""


@dataclass(frozen=True, slots=True)
class Strip:
    """Strip ``index`` of ``count``, in the order of the pages."""

    page: int
    index: int
    count: int

    def clip(self, edge: Edge, width: float, height: float) -> tuple[float, float, float, float]:
        """The part of the picture (origin lower left, any unit): left, bottom, right, top. Strips of the top edge run downwards."""
        first, last = self.index / self.count, (self.index + 1) / self.count
        if edge is Edge.TOP:
            return 0.0, height * (1 - last), width, height * (1 - first)
        return width * first, 0.0, width * last, height


def cut(pages: Sequence[int], most: int) -> tuple[Strip, ...]:
    """Every page's strip. More than ``most`` pages are shared out over several seals, whose numbers of pages differ by one at most;
    no seal is left with one page, were it at the price of three in another where ``most`` is 2.

    Raises :class:`PlanContradictory` for fewer than two pages or a ``most`` outside 2 to 100.
    """
    if not FEWEST <= most <= MOST:
        raise PlanContradictory(f"a seal is cut across {FEWEST} to {MOST} pages, not {most}")
    if len(pages) < FEWEST:
        raise PlanContradictory("a seal across pages needs two pages")
    groups = -(-len(pages) // most)
    while groups > 1 and len(pages) // groups < FEWEST:
        groups -= 1
    bounds = [len(pages) * group // groups for group in range(groups + 1)]
    return tuple(Strip(page, index, last - first) for first, last in pairwise(bounds) for index, page in enumerate(pages[first:last]))
