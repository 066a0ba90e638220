"""Where on a page a seal goes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Placement:
    """The centre of the seal: ``page`` counts from 0; ``x_mm`` and ``y_mm`` run from the page's top left corner."""

    page: int
    x_mm: float
    y_mm: float
