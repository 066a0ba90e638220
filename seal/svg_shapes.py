"""The geometry of SVG (SVG 1.1, chapters 7 to 9): path data, basic shapes and transforms, to our own segments."""

import math
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from fontTools.pens.recordingPen import RecordingPen
from fontTools.svgLib.path import parse_path

from seal.drawing import Point, Segment, SegmentPath
from seal.impressions import SvgMalformed

Matrix: TypeAlias = tuple[float, float, float, float, float, float]
"""a b c d e f: x' = a x + c y + e, y' = b x + d y + f."""
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
LARGEST = 1e6

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_PATH = re.compile(r"\s*[Mm][MmZzLlHhVvCcSsQqTtAa0-9eE+\-.,\s]*")
_LENGTH = re.compile(rf"({_NUMBER})(?:px)?")
_SEPARATED = re.compile(r"[\s,]+")
_FUNCTION = re.compile(r"\s*,?\s*([A-Za-z]+)\s*\(([^()]*)\)\s*")
_HANDLE = 4 / 3 * math.tan(math.pi / 8)


def numbers(text: str) -> list[float]:
    """Numbers apart by spaces or commas. Raises ``SvgMalformed``."""
    return [_number(part) for part in _SEPARATED.split(text.strip()) if part]


def _number(text: str) -> float:
    if re.fullmatch(_NUMBER, text) is None:
        raise SvgMalformed("not a number")
    value = float(text)
    if not abs(value) <= LARGEST:
        raise SvgMalformed("a number out of bounds")
    return value


def length(text: str) -> float:
    """A length in the file's own units (``px`` or none). Raises ``SvgMalformed``."""
    found = _LENGTH.fullmatch(text.strip())
    if found is None:
        raise SvgMalformed("not a length")
    return _number(found[1])


# Transforms


def times(first: Matrix, second: Matrix) -> Matrix:
    """``second`` applied before ``first``."""
    a, b, c, d, e, f = first
    g, h, i, j, k, m = second
    return (a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * m + e, b * k + d * m + f)


def applied(matrix: Matrix, point: Point) -> Point:
    a, b, c, d, e, f = matrix
    x, y = point
    return a * x + c * y + e, b * x + d * y + f


def transform(text: str) -> Matrix:
    """A list of transforms. Raises ``SvgMalformed``."""
    matrix, at = IDENTITY, 0
    while at < len(text.rstrip()):
        found = _FUNCTION.match(text, at)
        if found is None or found[1] not in _TRANSFORMS:
            raise SvgMalformed("no such transform")
        matrix = times(matrix, _TRANSFORMS[found[1]](numbers(found[2])))
        at = found.end()
    if not all(abs(part) <= LARGEST for part in matrix) or matrix[0] * matrix[3] == matrix[1] * matrix[2]:
        raise SvgMalformed("a transform that leaves no area")
    return matrix


def _count(values: list[float], *allowed: int) -> list[float]:
    if len(values) not in allowed:
        raise SvgMalformed("a transform with too many or too few numbers")
    return values


def _matrix(values: list[float]) -> Matrix:
    a, b, c, d, e, f = _count(values, 6)
    return a, b, c, d, e, f


def _translate(values: list[float]) -> Matrix:
    x, y = (*_count(values, 1, 2), 0.0)[:2]
    return 1.0, 0.0, 0.0, 1.0, x, y


def _scale(values: list[float]) -> Matrix:
    x, y = (*_count(values, 1, 2), values[0])[:2]
    return x, 0.0, 0.0, y, 0.0, 0.0


def _rotate(values: list[float]) -> Matrix:
    degrees, x, y = (*_count(values, 1, 3), 0.0, 0.0)[:3]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned: Matrix = (cosine, sine, -sine, cosine, 0.0, 0.0)
    return times(times(_translate([x, y]), turned), _translate([-x, -y]))


def _skew_x(values: list[float]) -> Matrix:
    return 1.0, 0.0, math.tan(math.radians(_count(values, 1)[0])), 1.0, 0.0, 0.0


def _skew_y(values: list[float]) -> Matrix:
    return 1.0, math.tan(math.radians(_count(values, 1)[0])), 0.0, 1.0, 0.0, 0.0


_TRANSFORMS: dict[str, Callable[[list[float]], Matrix]] = {
    "matrix": _matrix, "translate": _translate, "scale": _scale, "rotate": _rotate, "skewX": _skew_x, "skewY": _skew_y,
}  # fmt: skip


# Paths and shapes


def path_data(data: str) -> SegmentPath:
    """The ``d`` of a path. Raises ``SvgMalformed``."""
    if not data.strip():
        return ()
    if _PATH.fullmatch(data) is None:
        raise SvgMalformed("the data of a path")
    pen = RecordingPen()
    try:
        parse_path(data, pen)
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, ArithmeticError, AssertionError) as error:
        raise SvgMalformed("the data of a path") from error
    return _segments(pen.value)


def _segments(recorded: list[tuple[str, tuple[Point, ...]]]) -> SegmentPath:
    path: list[Segment] = []
    at: Point = (0.0, 0.0)
    for operator, points in recorded:
        if not all(math.isfinite(part) and abs(part) <= LARGEST for point in points for part in point):
            raise SvgMalformed("a point out of bounds")
        if operator == "endPath":  # an open line: nothing is drawn back to its start
            continue
        path.append(_segment(operator, points, at))
        at = points[-1] if points else at
    return tuple(path)


def _segment(operator: str, points: tuple[Point, ...], at: Point) -> Segment:
    if operator == "qCurveTo" and len(points) == 2:
        (control_x, control_y), (x, y) = points
        first = (at[0] + 2 / 3 * (control_x - at[0]), at[1] + 2 / 3 * (control_y - at[1]))
        return "C", (first, (x + 2 / 3 * (control_x - x), y + 2 / 3 * (control_y - y)), (x, y))
    if operator not in _OPERATORS or len(points) != _OPERATORS[operator][1]:
        raise SvgMalformed("the data of a path")
    return _OPERATORS[operator][0], points


_OPERATORS = {"moveTo": ("M", 1), "lineTo": ("L", 1), "curveTo": ("C", 3), "closePath": ("Z", 0)}


def _lengths(attributes: Mapping[str, str], *names: str) -> list[float]:
    return [length(attributes.get(name, "0")) for name in names]


def _ellipse(x: float, y: float, across: float, down: float) -> SegmentPath:
    if across < 0 or down < 0:
        raise SvgMalformed("a negative radius")
    if not across or not down:
        return ()
    path: list[Segment] = [("M", ((x + across, y),))]
    handles = ((1, _HANDLE, _HANDLE, 1, 0, 1), (-_HANDLE, 1, -1, _HANDLE, -1, 0), (-1, -_HANDLE, -_HANDLE, -1, 0, -1),
               (_HANDLE, -1, 1, -_HANDLE, 1, 0))  # fmt: skip
    for a, b, c, d, e, f in handles:
        path.append(("C", ((x + a * across, y + b * down), (x + c * across, y + d * down), (x + e * across, y + f * down))))
    return (*path, ("Z", ()))


def _rectangle(attributes: Mapping[str, str]) -> SegmentPath:
    x, y, width, height = _lengths(attributes, "x", "y", "width", "height")
    rounded = [name for name in ("rx", "ry") if name in attributes]
    if width < 0 or height < 0:
        raise SvgMalformed("a negative size")
    if not width or not height:
        return ()
    across = min(length(attributes[rounded[0]]), width / 2) if rounded else 0.0
    down = min(length(attributes[rounded[-1]]), height / 2) if rounded else 0.0
    if not across or not down:
        return path_data(f"M{x} {y}H{x + width}V{y + height}H{x}Z")
    corner = f"A{across} {down} 0 0 1 "
    return path_data(
        f"M{x + across} {y}H{x + width - across}{corner}{x + width} {y + down}V{y + height - down}{corner}{x + width - across} {y + height}"
        f"H{x + across}{corner}{x} {y + height - down}V{y + down}{corner}{x + across} {y}Z"
    )


def _polygon(attributes: Mapping[str, str]) -> SegmentPath:
    points = _points(attributes)
    return (*points, ("Z", ())) if points else ()


def _points(attributes: Mapping[str, str]) -> SegmentPath:
    values = numbers(attributes.get("points", ""))
    if len(values) % 2:
        raise SvgMalformed("half a point")
    pairs = list(zip(values[::2], values[1::2], strict=True))
    return tuple(("L" if index else "M", (pair,)) for index, pair in enumerate(pairs))


def _line(attributes: Mapping[str, str]) -> SegmentPath:
    x, y, end_x, end_y = _lengths(attributes, "x1", "y1", "x2", "y2")
    return ("M", ((x, y),)), ("L", ((end_x, end_y),))


def _circle(attributes: Mapping[str, str]) -> SegmentPath:
    x, y, radius = _lengths(attributes, "cx", "cy", "r")
    return _ellipse(x, y, radius, radius)


SHAPES: dict[str, Callable[[Mapping[str, str]], SegmentPath]] = {
    "path": lambda attributes: path_data(attributes.get("d", "")),
    "rect": _rectangle,
    "circle": _circle,
    "ellipse": lambda attributes: _ellipse(*_lengths(attributes, "cx", "cy", "rx", "ry")),
    "line": _line,
    "polyline": _points,
    "polygon": _polygon,
}
ATTRIBUTES = {
    "path": frozenset({"d"}),
    "rect": frozenset({"rx", "ry"}),
    "circle": frozenset({"cx", "cy", "r"}),
    "ellipse": frozenset({"cx", "cy", "rx", "ry"}),
    "line": frozenset({"x1", "y1", "x2", "y2"}),
    "polyline": frozenset({"points"}),
    "polygon": frozenset({"points"}),
}
