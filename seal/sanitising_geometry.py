"""Matrices and boxes of a page (ISO 32000-1 §8.3), in points. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Matrix:
    """``[a b c d e f]``; ``m @ n`` applies m first."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    @classmethod
    def of(cls, operands: Iterable[Any]) -> Self:
        return cls(*(float(value) for value in operands))

    def __matmul__(self, other: "Matrix") -> "Matrix":
        return Matrix(
            self.a * other.a + self.b * other.c,
            self.a * other.b + self.b * other.d,
            self.c * other.a + self.d * other.c,
            self.c * other.b + self.d * other.d,
            self.e * other.a + self.f * other.c + other.e,
            self.e * other.b + self.f * other.d + other.f,
        )

    def apply(self, x: float, y: float) -> tuple[float, float]:
        return self.a * x + self.c * y + self.e, self.b * x + self.d * y + self.f

    @property
    def scale(self) -> float:
        """The longest that a unit may become."""
        return max(math.hypot(self.a, self.b), math.hypot(self.c, self.d))


IDENTITY = Matrix(1, 0, 0, 1, 0, 0)


@dataclass(frozen=True, slots=True)
class Box:
    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.top - self.bottom

    def touches(self, other: "Box", margin: float = 0.0) -> bool:
        """Whether the two share a point once the other has grown by ``margin``; a box of no numbers touches everything."""
        apart = (
            other.right + margin < self.left
            or other.left - margin > self.right
            or other.top + margin < self.bottom
            or other.bottom - margin > self.top
        )
        return not apart

    def within(self, other: "Box") -> "Box":
        """What both share."""
        return Box(max(self.left, other.left), max(self.bottom, other.bottom), min(self.right, other.right), min(self.top, other.top))


def bounds_of(points: Iterable[tuple[float, float]]) -> Box:
    """The smallest box around the points."""
    across, up = zip(*points, strict=True)
    return Box(min(across), min(up), max(across), max(up))


def upright(box: Box, rotation: int, unit: float) -> Matrix:
    """What turns a page with this box, ``/Rotate`` and ``/UserUnit`` into one that starts at the origin and stands upright."""
    turned = {
        90: Matrix(0, -1, 1, 0, -box.bottom, box.right),
        180: Matrix(-1, 0, 0, -1, box.right, box.top),
        270: Matrix(0, 1, -1, 0, box.top, -box.left),
    }.get(rotation % 360, Matrix(1, 0, 0, 1, -box.left, -box.bottom))
    return turned @ Matrix(unit, 0, 0, unit, 0, 0)
