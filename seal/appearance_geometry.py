"""Plane geometry of seals. Millimetres, the origin in the centre, y up; angles in radians, clockwise from the top."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

from seal.drawing import Mapping, Point, Segment, SegmentPath

_STEPS = 2880
"""Of a turn, in the table of an oval's arc lengths: positions are exact to a ten-thousandth of a millimetre."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on a curve: where, and which way is outwards."""

    x: float
    y: float
    out_x: float
    out_y: float

    def upright(self) -> Mapping:
        """Places what stands on the curve with its head outwards. Its own origin comes to the spot."""
        return self._standing(1.0)

    def hanging(self) -> Mapping:
        """Places what stands with its head inwards, as text along the foot does."""
        return self._standing(-1.0)

    def _standing(self, sign: float) -> Mapping:
        # The right hand of an upright (0, 1) is (1, 0): turned, never mirrored.
        up_x, up_y = sign * self.out_x, sign * self.out_y
        right_x, right_y = up_y, -up_x
        return lambda point: (self.x + point[0] * right_x + point[1] * up_x, self.y + point[0] * right_y + point[1] * up_y)


@dataclass(frozen=True, slots=True)
class Track:
    """The curve that runs ``inset`` mm inside an oval of the half axes ``a`` and ``b`` (a circle where they are equal).

    Places on it are lengths along it, clockwise from the top.
    """

    a: float
    b: float
    inset: float

    @property
    def length(self) -> float:
        return self.place_of(2 * math.pi)

    def place_of(self, parameter: float) -> float:
        """The length from the top to the parameter (0 … 2π) of the oval."""
        lengths, turns = _tables(self.a, self.b)
        at = parameter / (2 * math.pi) * _STEPS
        low = min(int(at), _STEPS - 1)
        here, there = (lengths[one] - self.inset * turns[one] for one in (low, low + 1))
        return here + (there - here) * (at - low)

    def parameter_at(self, place: float) -> float:
        """The oval's parameter (0 … 2π) at a length from the top; lengths beyond a turn, and negative ones, go round."""
        lengths, turns = _tables(self.a, self.b)
        place %= self.length
        low = bisect_right(range(_STEPS), place, key=lambda one: lengths[one] - self.inset * turns[one]) - 1
        here, there = (lengths[one] - self.inset * turns[one] for one in (low, low + 1))
        return (low + (place - here) / (there - here)) / _STEPS * 2 * math.pi

    def at(self, place: float) -> Spot:
        parameter = self.parameter_at(place)
        out_x, out_y = self.b * math.sin(parameter), self.a * math.cos(parameter)
        norm = math.hypot(out_x, out_y)
        out_x, out_y = out_x / norm, out_y / norm
        x, y = self.a * math.sin(parameter), self.b * math.cos(parameter)
        return Spot(x - self.inset * out_x, y - self.inset * out_y, out_x, out_y)


@lru_cache(maxsize=32)
def _tables(a: float, b: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """At each step round the oval: the length so far, and how far its normal has turned. A parallel curve is shorter by inset × turn."""
    lengths, turns = [0.0], [0.0]
    last = (0.0, b)
    for step in range(1, _STEPS + 1):
        parameter = step / _STEPS * 2 * math.pi
        point = (a * math.sin(parameter), b * math.cos(parameter))
        lengths.append(lengths[-1] + math.dist(last, point))
        turn = math.atan2(b * math.sin(parameter), a * math.cos(parameter)) % (2 * math.pi)
        turns.append(turn if step < _STEPS else 2 * math.pi)
        last = point
    return tuple(lengths), tuple(turns)


def turn(point: Point, angle: float) -> Point:
    """Turned clockwise about the origin."""
    x, y = point
    return x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)


def oval(a: float, b: float) -> SegmentPath:
    """Four cubic arcs, clockwise; their largest error is 0.027 % of the half axis."""
    handle = 4 / 3 * math.tan(math.pi / 8)
    path: list[Segment] = [("M", ((a, 0.0),))]
    for quarter in range(4):
        arc = (turn(point, quarter * math.pi / 2) for point in ((1.0, -handle), (handle, -1.0), (0.0, -1.0)))
        path.append(("C", tuple((x * a, y * b) for x, y in arc)))
    return (*path, ("Z", ()))


def star(radius: float, height: float) -> SegmentPath:
    """A regular five-pointed star, one point up, its centre at ``height``."""
    inner = radius * math.sin(math.pi / 10) / math.sin(3 * math.pi / 10)
    corners = [turn((0.0, radius if index % 2 == 0 else inner), index * math.pi / 5) for index in range(10)]
    moved = [(x, y + height) for x, y in corners]
    return (("M", (moved[0],)), *(("L", (corner,)) for corner in moved[1:]), ("Z", ()))


def rounded_rectangle(width: float, height: float, radius: float) -> SegmentPath:
    """Clockwise from the left end of the upper side."""
    right, top, handle = width / 2, height / 2, radius * (1 - 4 / 3 * math.tan(math.pi / 8))
    inner_right, inner_top = right - radius, top - radius
    return (
        ("M", ((-inner_right, top),)),
        ("L", ((inner_right, top),)),
        ("C", ((right - handle, top), (right, top - handle), (right, inner_top))),
        ("L", ((right, -inner_top),)),
        ("C", ((right, handle - top), (right - handle, -top), (inner_right, -top))),
        ("L", ((-inner_right, -top),)),
        ("C", ((handle - right, -top), (-right, handle - top), (-right, -inner_top))),
        ("L", ((-right, inner_top),)),
        ("C", ((-right, top - handle), (handle - right, top), (-inner_right, top))),
        ("Z", ()),
    )
