"""The impression of a round seal, as vectors: ring, name on the arc, star, lower text, code (国发〔1999〕25号; STANDARDS.md §3).

All lengths are millimetres, the origin is the centre, y runs up; the plan below is for 42 mm and scales with the diameter.
Characters are cut tall, as a seal cutter does it: their height is the largest at which the name fits its arc without
being squeezed beyond what reads well. The national emblem is never drawn: such a seal takes an uploaded impression.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from keys.base.errors import InvalidInput
from seal.engraving import Layer, SealPicture, engrave
from seal.outlines import Face, Outline, Point, SegmentPath, outline, require

PLAN_DIAMETER = 42.0
RING_WIDTH = 1.1
NAME_TOP = 18.45
"""Radius at which the heads of the name end: 1.35 mm of air inside the ring."""
INK = 0.92
"""How much of its em square a Chinese character fills."""
INK_CENTRE = 0.38
"""Height of the middle of the ink above the baseline."""
EMBOLDEN = 0.16
"""Added to every stem, in mm: the cut of a seal is heavier than book type …"""
EMBOLDEN_SHARE = 0.03
"""… but not more than this part of the character's height."""
MANY_SEGMENTS = 130
"""Outlines with more segments are cut finer."""
STAR_RADIUS = 6.9
LOWER_BASE, LOWER_HEIGHT, AIR = -11.0, 3.5, 0.95
CODE_BOTTOM, CODE_HEIGHT, CODE_PITCH = 18.3, 1.5, 1.32
MIN_NAME, MAX_NAME, MAX_LOWER = 2, 40, 12
ARC = ((2, 64.0), (4, 122.0), (6, 172.0), (8, 208.0), (10, 232.0), (13, 252.0), (20, 272.0), (30, 288.0), (40, 296.0))
"""How far round the name runs, in degrees, by the number of its characters."""


_Mapping = Callable[[Point], Point]


class SealTextUnsuitable(InvalidInput):
    code = "SEAL_TEXT_UNSUITABLE"
    public = ("印章文字过长、过短或含有不能刻制的字符。", "The text is too long, too short or cannot be cut into a seal.")


@dataclass(frozen=True, slots=True)
class SealDesign:
    """``upper`` is the organisation's name (2–40 characters), ``lower`` the seal's kind (0–12), ``code`` its digits or none."""

    upper: str
    lower: str = ""
    diameter_mm: float = PLAN_DIAMETER
    star: bool = True
    code: str = ""


@dataclass(frozen=True, slots=True)
class _Box:
    """Half width, bottom and top of the lower text with its air."""

    half: float
    bottom: float
    top: float


@dataclass(frozen=True, slots=True)
class _Cut:
    """How the name is cut: height and width of a character, and the arc it takes, in degrees."""

    height: float
    width: float
    arc: float


def check(design: SealDesign) -> None:
    """Whether the design can be cut. Raises :class:`SealTextUnsuitable` or ``GlyphMissing``."""
    if not MIN_NAME <= len(design.upper) <= MAX_NAME or len(design.lower) > MAX_LOWER:
        raise SealTextUnsuitable(f"{len(design.upper)} characters above, {len(design.lower)} below")
    if design.code and not (design.code.isascii() and design.code.isdigit() and len(design.code) in (13, 14)):
        raise SealTextUnsuitable("a code is 13 or 14 digits")
    if not 30 <= design.diameter_mm <= 45:
        raise SealTextUnsuitable("a round seal measures 30 to 45 mm")
    require(Face.SONG, design.upper + design.lower)


def draw(design: SealDesign) -> SealPicture:
    """Draw a seal: SVG, PDF operators and PNG. Takes a second of CPU the first time, for the font. Raises as :func:`check`."""
    check(design)
    return engrave(_layers(design), design.diameter_mm, design.diameter_mm / PLAN_DIAMETER)


def _layers(design: SealDesign) -> tuple[Layer, ...]:
    layers = [Layer(_circle((PLAN_DIAMETER - RING_WIDTH) / 2), fill=False, stroke=RING_WIDTH)]
    if design.star:
        layers.append(Layer(_star(STAR_RADIUS, 0.9 if design.lower else 0.0), fill=True, stroke=0))
    layers.extend(_name(design))
    if design.lower:
        layers.append(Layer(_lower(design), fill=True, stroke=EMBOLDEN * 0.8))
    if design.code:
        layers.append(Layer(_code(design.code), fill=True, stroke=0.06))
    return tuple(layers)


# The name on the arc


def _name(design: SealDesign) -> tuple[Layer, ...]:
    """The name's characters, those of many strokes cut finer than the others."""
    glyphs = [outline(Face.SONG, character) for character in design.upper]
    shares = [_share(glyph) for glyph in glyphs]
    cut = _cut(shares, _lower_box(design), _code_arc(design.code))
    step = cut.arc / (sum(shares) - _overhang(shares))
    start = -cut.arc / 2 - step * shares[0] / 2
    done = 0.0
    layers = []
    for glyph, share in zip(glyphs, shares, strict=True):
        angle = math.radians(start + step * (done + share / 2))
        layers.append(Layer(_on_arc(glyph, angle, cut), fill=True, stroke=_weight(glyph, cut.height)))
        done += share
    return _joined(layers)


def _weight(glyph: Outline, height: float) -> float:
    """What the cut adds to every stem, in mm; a character of very many strokes would run together."""
    return min(EMBOLDEN, height * EMBOLDEN_SHARE) * min(1.0, MANY_SEGMENTS / len(glyph.path)) ** 2


def _joined(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Layers of equal weight as one path."""
    weights = dict.fromkeys(round(layer.stroke, 2) for layer in layers)
    return tuple(
        Layer(tuple(segment for layer in layers if round(layer.stroke, 2) == weight for segment in layer.path), fill=True, stroke=weight)
        for weight in weights
    )


def _overhang(shares: Sequence[float]) -> float:
    """The arc is measured from the middle of the first character to the middle of the last."""
    return (shares[0] + shares[-1]) / 2


def _share(glyph: Outline) -> float:
    """The room a glyph takes, 1 for a full character: brackets, digits and letters take what their ink needs."""
    return min(1.0, max(0.42, (glyph.right - glyph.left) / INK + 0.16))


def _cut(shares: Sequence[float], lower: _Box | None, code_arc: float) -> _Cut:
    """The tallest characters that fit; a character is 0.8 as wide as tall, down to 0.6 where the name is long."""
    count = sum(shares)
    room = sum(shares) - _overhang(shares)
    height = min(7.2, 8.4 - 0.12 * count)
    while height > 2.4:
        arc = min(_preferred_arc(count), 360 - code_arc)
        while lower is not None and arc > 90 and _touches(arc, height, lower):
            arc -= 1
        pitch = math.radians(arc / room) * (NAME_TOP - height)
        width = min(0.8 * height, 0.95 * pitch)
        if width >= 0.66 * height:
            break
        height -= 0.05
    return _Cut(height, width, arc)


def _preferred_arc(count: float) -> float:
    for (low, arc), (high, wider) in pairwise(ARC):
        if count <= high:
            return arc + (wider - arc) * max(0.0, count - low) / (high - low)
    return ARC[-1][1]


def _touches(arc: float, height: float, lower: _Box) -> bool:
    """Whether the last character of the name comes into the lower text's air."""
    angle, width = math.radians(arc / 2), 0.8 * height
    for across in (-0.5, -0.25, 0, 0.25, 0.5):
        for radius in (NAME_TOP, NAME_TOP - height / 2, NAME_TOP - height):
            x, y = _turn((across * width, radius), angle)
            if abs(x) < lower.half and lower.bottom < y < lower.top:
                return True
    return False


def _on_arc(glyph: Outline, angle: float, cut: _Cut) -> SegmentPath:
    across, up = cut.width / INK, cut.height / INK
    middle = _optical_middle(glyph)
    foot = NAME_TOP - cut.height / 2 - INK_CENTRE * up
    return _mapped(glyph.path, lambda point: _turn(((point[0] - middle) * across, foot + point[1] * up), angle))


def _optical_middle(glyph: Outline) -> float:
    """Between the middle of the ink and that of the body; a narrow sign (a bracket) stands by its ink."""
    ink, body = (glyph.left + glyph.right) / 2, glyph.advance / 2
    return ink if _share(glyph) < 0.8 else (ink + body) / 2


# The lower text and the code


def _lower_size(design: SealDesign) -> tuple[float, float]:
    """(height, pitch) of the lower text: smaller under a long name, so that it stays the lesser of the two."""
    count = len(design.lower)
    height = min(LOWER_HEIGHT, 24.5 / max(count, 1), LOWER_HEIGHT - 0.035 * (len(design.upper) - 16))
    return height, height * (0.93 if count > 4 else 1.12)


def _lower_box(design: SealDesign) -> _Box | None:
    if not design.lower:
        return None
    height, pitch = _lower_size(design)
    return _Box(len(design.lower) * pitch / 2 + AIR, LOWER_BASE - height / 2 - AIR, LOWER_BASE + height / 2 + AIR)


def _lower(design: SealDesign) -> SegmentPath:
    height, pitch = _lower_size(design)
    across, up = min(pitch * 0.95, height) / INK, height / INK
    path: list[tuple[str, tuple[Point, ...]]] = []
    for index, character in enumerate(design.lower):
        glyph = outline(Face.SONG, character)
        x, middle = (index - (len(design.lower) - 1) / 2) * pitch, _optical_middle(glyph)
        path.extend(_mapped(glyph.path, _placer(x, LOWER_BASE - INK_CENTRE * up, middle, across, up)))
    return tuple(path)


def _placer(x: float, base: float, middle: float, across: float, up: float) -> _Mapping:
    return lambda point: (x + (point[0] - middle) * across, base + point[1] * up)


def _code_arc(code: str) -> float:
    """Degrees the code takes from the name's arc, with air on both sides and half a character of each end."""
    return math.degrees(len(code) * CODE_PITCH / CODE_BOTTOM) + 34 if code else 52.0


def _code(code: str) -> SegmentPath:
    """Digits along the foot of the ring, read from below: heads towards the centre."""
    size = CODE_HEIGHT / 0.73
    path: list[tuple[str, tuple[Point, ...]]] = []
    for index, digit in enumerate(code):
        glyph = outline(Face.HEI, digit)
        angle = (index - (len(code) - 1) / 2) * CODE_PITCH / CODE_BOTTOM
        path.extend(_mapped(glyph.path, _foot_placer(glyph, size, angle)))
    return tuple(path)


def _foot_placer(glyph: Outline, size: float, angle: float) -> _Mapping:
    middle = (glyph.left + glyph.right) / 2
    return lambda point: _turn(((point[0] - middle) * size, -CODE_BOTTOM + point[1] * size), -angle)


# Plane geometry


def _turn(point: Point, angle: float) -> Point:
    """Turned clockwise by ``angle`` (radians)."""
    x, y = point
    return x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)


def _mapped(path: SegmentPath, mapping: _Mapping) -> SegmentPath:
    return tuple((operator, tuple(mapping(point) for point in points)) for operator, points in path)


def _circle(radius: float) -> SegmentPath:
    """Four cubic arcs; their largest error is 0.027 % of the radius."""
    handle = radius * 4 / 3 * math.tan(math.pi / 8)
    path: list[tuple[str, tuple[Point, ...]]] = [("M", ((radius, 0.0),))]
    for quarter in range(4):
        angle = -quarter * math.pi / 2
        arc = tuple(_turn(point, angle) for point in ((radius, handle), (handle, radius), (0.0, radius)))
        path.append(("C", arc))
    return (*path, ("Z", ()))


def _star(radius: float, height: float) -> SegmentPath:
    """A five-pointed star, one point up, its centre at ``height``."""
    inner = radius * math.sin(math.pi / 10) / math.sin(3 * math.pi / 10)
    corners = [_turn((0.0, radius if index % 2 == 0 else inner), index * math.pi / 5) for index in range(10)]
    moved = [(x, y + height) for x, y in corners]
    return (("M", (moved[0],)), *(("L", (corner,)) for corner in moved[1:]), ("Z", ()))
