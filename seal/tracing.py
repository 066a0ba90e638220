"""Outlines of a grey picture: marching squares with interpolation, then as few points as the eye needs. Pure."""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from PIL import Image

from seal.drawing import Point

LEVEL = 127.5
_BINARY = bytes(level > LEVEL for level in range(256))
_LIT = re.compile(rb"\x01")
Contour = list[Point]
"""A closed line; its last point is joined to its first. Inked ground lies to its left, so holes run the other way."""


def contours(picture: Image.Image) -> list[Contour]:
    """The lines between ink (> 127) and ground of a picture of mode ``L``, in pixels; x runs right, y down; pixel centres at halves."""
    framed = Image.new("L", (picture.width + 2, picture.height + 2))
    framed.paste(picture, (1, 1))
    return list(_loops(framed.tobytes(), framed.width, framed.height))


def area(contour: Sequence[Point]) -> float:
    """The signed area it encloses."""
    closed = [*contour, contour[0]]
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(closed)) / 2


def simplified(contour: Contour, tolerance: float) -> Contour:
    """Fewer points, none of the old ones farther than ``tolerance`` from the new line (Douglas and Peucker)."""
    if len(contour) < 4:
        return contour
    far = max(range(len(contour)), key=lambda index: math.dist(contour[0], contour[index]))
    kept = {0, far}
    line = [*contour, contour[0]]
    stack = [(0, far), (far, len(contour))]
    while stack:
        start, end = stack.pop()
        worst, distance = _farthest(line, start, end)
        if distance > tolerance:
            kept.add(worst)
            stack += [(start, worst), (worst, end)]
    return [contour[index] for index in sorted(kept)]


def _farthest(line: Sequence[Point], start: int, end: int) -> tuple[int, float]:
    (x0, y0), (x1, y1) = line[start], line[end]
    across, down = x1 - x0, y1 - y0
    norm = math.hypot(across, down)
    worst, most = start, -1.0
    for index in range(start + 1, end):
        x, y = line[index]
        distance = abs(across * (y - y0) - down * (x - x0)) / norm if norm else math.hypot(x - x0, y - y0)
        if distance > most:
            worst, most = index, distance
    return worst, most


def _loops(levels: bytes, width: int, height: int) -> Iterator[Contour]:
    """Follow the crossings from edge to edge. An edge is numbered 2 × its first pixel, plus one where it runs down."""
    following: dict[int, int] = {}
    for x, y in _mixed_cells(levels, width, height):
        following.update(_cell(levels, width, x, y))
    while following:
        start, edge = following.popitem()
        loop = [_crossing(levels, width, start)]
        while edge != start:
            loop.append(_crossing(levels, width, edge))
            edge = following.pop(edge)
        yield loop


def _mixed_cells(levels: bytes, width: int, height: int) -> Iterator[tuple[int, int]]:
    """Cells of four pixels that are not all ink or all ground."""
    lit = levels.translate(_BINARY)
    rows = [int.from_bytes(lit[y * width : (y + 1) * width], "little") for y in range(height)]
    for y, (here, below) in enumerate(pairwise(rows)):
        if not here | below:
            continue
        both, either = here & below, here | below
        mixed = ((either | either >> 8) ^ (both & both >> 8)).to_bytes(width, "little")
        yield from ((found.start(), y) for found in _LIT.finditer(mixed, 0, width - 1))


_TOP, _RIGHT, _BOTTOM, _LEFT = range(4)
_LINES: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((_LEFT, _TOP),),
    2: ((_TOP, _RIGHT),),
    3: ((_LEFT, _RIGHT),),
    4: ((_RIGHT, _BOTTOM),),
    6: ((_TOP, _BOTTOM),),
    7: ((_LEFT, _BOTTOM),),
    8: ((_BOTTOM, _LEFT),),
    9: ((_BOTTOM, _TOP),),
    11: ((_BOTTOM, _RIGHT),),
    12: ((_RIGHT, _LEFT),),
    13: ((_RIGHT, _TOP),),
    14: ((_TOP, _LEFT),),
}
"""By which corners are ink (1 upper left, 2 upper right, 4 lower right, 8 lower left): a line with the ink on one side."""
_APART = {5: ((_LEFT, _TOP), (_RIGHT, _BOTTOM)), 10: ((_TOP, _RIGHT), (_BOTTOM, _LEFT))}
_TOGETHER = {5: ((_LEFT, _BOTTOM), (_RIGHT, _TOP)), 10: ((_TOP, _LEFT), (_BOTTOM, _RIGHT))}


def _cell(levels: bytes, width: int, x: int, y: int) -> Iterator[tuple[int, int]]:
    first = y * width + x
    corners = levels[first], levels[first + 1], levels[first + width + 1], levels[first + width]
    case = sum((corner > LEVEL) << bit for bit, corner in enumerate(corners))
    edges = (2 * first, 2 * (first + 1) + 1, 2 * (first + width), 2 * first + 1)
    lines = _LINES[case] if case in _LINES else (_TOGETHER if sum(corners) / 4 > LEVEL else _APART)[case]
    return ((edges[start], edges[end]) for start, end in lines)


def _crossing(levels: bytes, width: int, edge: int) -> Point:
    first, down = divmod(edge, 2)
    here, there = levels[first], levels[first + (width if down else 1)]
    part = (LEVEL - here) / (there - here)
    y, x = divmod(first, width)
    # The frame adds one pixel on each side; pixel centres lie at halves.
    return (x - 0.5 + (0 if down else part), y - 0.5 + (part if down else 0))
