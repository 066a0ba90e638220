"""A drawing as plain values: paths in millimetres. What is cut, and what an uploaded impression becomes. Pure."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self, TypeAlias

Point: TypeAlias = tuple[float, float]
Segment: TypeAlias = tuple[str, tuple[Point, ...]]
"""``M`` one point, ``L`` one, ``C`` three (two controls, end), ``Z`` none."""
SegmentPath: TypeAlias = tuple[Segment, ...]
Mapping: TypeAlias = Callable[[Point], Point]

_POINTS = {"M": 1, "L": 1, "C": 3, "Z": 0}
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Layer:
    """A path (mm, origin in the centre, y up) that is filled, or stroked ``stroke`` mm wide, or both.

    ``even_odd``: what two outlines enclose is blank; else what they enclose in opposite directions.
    """

    path: SegmentPath
    fill: bool
    stroke: float
    even_odd: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """Layers and the size of the impression they make, mm."""

    layers: tuple[Layer, ...]
    width_mm: float
    height_mm: float

    def points(self) -> Iterable[Point]:
        """Every point and control point."""
        return (point for layer in self.layers for _, points in layer.path for point in points)

    def to_bytes(self) -> bytes:
        """As compact JSON, lengths to a ten-thousandth of a millimetre."""
        layers = [[_flat(layer.path), layer.fill, round(layer.stroke, _DIGITS), layer.even_odd] for layer in self.layers]
        return json.dumps([self.width_mm, self.height_mm, layers], separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, encoded: bytes) -> Self:
        """What :meth:`to_bytes` wrote."""
        width, height, layers = json.loads(encoded)
        return cls(tuple(Layer(_path(flat), fill, stroke, rule) for flat, fill, stroke, rule in layers), width, height)


def mapped(path: Iterable[Segment], mapping: Mapping) -> SegmentPath:
    """Every point moved."""
    return tuple((operator, tuple(mapping(point) for point in points)) for operator, points in path)


def scaled(layer: Layer, factor: float) -> Layer:
    """Larger or smaller about the centre."""
    path = mapped(layer.path, lambda point: (point[0] * factor, point[1] * factor))
    return Layer(path, layer.fill, layer.stroke * factor, layer.even_odd)


def _flat(path: SegmentPath) -> list[str | float]:
    flat: list[str | float] = []
    for operator, points in path:
        flat.append(operator)
        flat.extend(round(number, _DIGITS) for point in points for number in point)
    return flat


def _path(flat: list[str | float]) -> SegmentPath:
    path: list[Segment] = []
    at = 0
    while at < len(flat):
        operator = str(flat[at])
        count = 2 * _POINTS[operator]
        numbers = [float(one) for one in flat[at + 1 : at + 1 + count]]
        path.append((operator, tuple(zip(numbers[::2], numbers[1::2], strict=True))))
        at += 1 + count
    return tuple(path)
