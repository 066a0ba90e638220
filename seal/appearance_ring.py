"""Round and oval seals: a ring, the name along it, a star or a line in the middle, the lower text and the code.

Characters are cut tall, as a seal cutter does it: their height is the largest at which the name fits its arc without being
squeezed beyond what reads well. On a circle and on an oval alike they stand at equal lengths along the line through their
middles, each with its head along the normal. Two plans: round at 42 mm, oval at 30 mm of height; both scale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from seal import appearance_text as text
from seal.appearance_geometry import Spot, Track, oval, star
from seal.appearance_text import Size
from seal.designs import LowerStyle, SealDesign, Shape
from seal.drawing import Drawing, Layer, Point, Segment, mapped, scaled
from seal.outlines import Face, outline

AIR = 0.95
"""Least distance between the name and anything else, mm."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The measures of a ring seal, in mm of its plan.

    ``heads``   from the outer edge of the ring to the heads of the name; ``foot``: to the feet of the code
    ``arcs``    degrees the name runs round by the number of its characters; ``bare``: degrees it leaves at the foot at least
    ``tallest``  (height of a very short name, what every character takes from it, the most)
    """

    a: float
    b: float
    ring: float
    heads: float
    foot: float
    arcs: tuple[tuple[float, float], ...]
    bare: float
    tallest: tuple[float, float, float]
    star_radius: float
    lower_y: float
    lower_size: Size
    lower_pitch: float
    lower_span: float
    middle_height: float
    middle_span: float
    code_height: float
    code_pitch: float


_ROUND_ARCS = ((2, 64.0), (4, 122.0), (6, 172.0), (8, 208.0), (10, 232.0), (13, 252.0), (20, 272.0), (30, 288.0), (40, 296.0))
_OVAL_ARCS = ((2, 44.0), (4, 88.0), (6, 128.0), (8, 160.0), (10, 184.0), (13, 210.0), (20, 240.0), (30, 268.0), (40, 280.0))


def plan_of(design: SealDesign) -> tuple[Plan, float]:
    """The plan, and what turns its millimetres into real ones."""
    if design.shape is Shape.ROUND:
        return _ROUND, design.width_mm / (2 * _ROUND.a)
    scale = design.height / 30
    return _oval_plan(design.width_mm / scale / 2), scale


_ROUND = Plan(
    a=21, b=21, ring=1.1, heads=2.55, foot=2.7, arcs=_ROUND_ARCS, bare=52, tallest=(8.4, 0.12, 7.2), star_radius=6.9,
    lower_y=-11.0, lower_size=Size(3.5, 3.4), lower_pitch=3.25, lower_span=24.5, middle_height=4.2, middle_span=21, code_height=1.5,
    code_pitch=1.32,
)  # fmt: skip


def _oval_plan(a: float) -> Plan:
    """30 mm high. 国家税务总局公告2011年第7号 for an invoice seal: the name 4.2 high, the number 3.7 and 26 wide, below 4.6 × 3."""
    return Plan(
        a=a, b=15, ring=1.0, heads=1.7, foot=1.75, arcs=_OVAL_ARCS, bare=64, tallest=(4.7, 0.04, 4.2), star_radius=3.9,
        lower_y=-7.2, lower_size=Size(4.4, 3.1), lower_pitch=3.75, lower_span=0.9 * a, middle_height=3.7, middle_span=26, code_height=1.2,
        code_pitch=1.02,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Box:
    """Half width, bottom and top of the lower line with its air."""

    half: float
    bottom: float
    top: float

    def holds(self, x: float, y: float) -> bool:
        return abs(x) < self.half and self.bottom < y < self.top


@dataclass(frozen=True, slots=True)
class Cut:
    """How the name is cut: its characters, the line through their middles, and the length it takes of it."""

    size: Size
    track: Track
    length: float


def drawn(design: SealDesign) -> Drawing:
    """The seal in real millimetres. The design has passed ``check``."""
    plan, scale = plan_of(design)
    layers = tuple(scaled(layer, scale) for layer in layers_of(design, plan))
    return Drawing(layers, design.width_mm, design.height)


def layers_of(design: SealDesign, plan: Plan) -> tuple[Layer, ...]:
    """Ring, middle, name, lower text, code; in millimetres of the plan."""
    cut = cut_of(design, plan)
    half = plan.ring / 2
    layers = [Layer(oval(plan.a - half, plan.b - half), fill=False, stroke=plan.ring)]
    layers.extend(_middle(design, plan, cut))
    layers.extend(name_of(design.upper, cut))
    layers.extend(_lower(design, plan))
    if design.code:
        layers.append(_code(design.code, plan))
    return tuple(layers)


# The name


def name_of(upper: str, cut: Cut) -> tuple[Layer, ...]:
    """The name's characters, those of many strokes cut finer than the others."""
    glyphs = [outline(Face.SONG, character) for character in upper]
    layers = [
        Layer(mapped(text.centred(glyph, cut.size), spot.upright()), fill=True, stroke=text.weight(glyph, cut.size.height))
        for glyph, spot in zip(glyphs, spots_of(upper, cut), strict=True)
    ]
    return text.joined(layers)


def spots_of(upper: str, cut: Cut) -> list[Spot]:
    """Where the middle of each character stands."""
    return [cut.track.at(place) for place in _places(_shares(upper), cut.length)]


def cut_of(design: SealDesign, plan: Plan) -> Cut:
    """The tallest characters that fit; a character is 0.8 as wide as tall, down to 0.66 where the name is long."""
    shares = _shares(design.upper)
    lower = _lower_box(design, plan)
    first, less, most = plan.tallest
    height = min(most, first - less * sum(shares))
    while True:
        cut = _cut_at(height, shares, plan, lower, _bare_end(design, plan))
        if cut.size.width >= 0.66 * height or height < 1.6:
            return cut
        height -= 0.05


def _cut_at(height: float, shares: Sequence[float], plan: Plan, lower: Box | None, bare_end: float) -> Cut:
    track = Track(plan.a, plan.b, plan.heads + height / 2)
    whole = track.length
    length = min(_preferred_arc(plan, sum(shares)) / 360 * whole, 2 * track.place_of(bare_end) - 0.8 * height)
    while lower is not None and length > whole / 4 and _touches(track.at(length / 2), height, lower):
        length -= whole / 360
    return Cut(Size(height, min(0.8 * height, 0.95 * _least_pitch(track, shares, length, height))), track, length)


def _shares(upper: str) -> list[float]:
    return [text.share(outline(Face.SONG, character)) for character in upper]


def _places(shares: Sequence[float], length: float) -> list[float]:
    """The middles of the characters about the top, each in its share; ``length`` runs from the first middle to the last."""
    step = length / (sum(shares) - (shares[0] + shares[-1]) / 2)
    place = -length / 2 - step * shares[0] / 2
    places = []
    for one in shares:
        places.append(place + step * one / 2)
        place += step * one
    return places


def _least_pitch(track: Track, shares: Sequence[float], length: float, height: float) -> float:
    """The narrowest room of a full character between its neighbours' feet, which stand closer together than the heads."""
    spots = [track.at(place) for place in _places(shares, length)]
    feet = [(spot.x - spot.out_x * height / 2, spot.y - spot.out_y * height / 2) for spot in spots]
    return min(math.dist(*two) / ((left + right) / 2) for two, left, right in zip(pairwise(feet), shares, shares[1:], strict=False))


def _preferred_arc(plan: Plan, count: float) -> float:
    for (low, arc), (high, wider) in pairwise(plan.arcs):
        if count <= high:
            return arc + (wider - arc) * max(0.0, count - low) / (high - low)
    return plan.arcs[-1][1]


def _touches(last: Spot, height: float, lower: Box) -> bool:
    """Whether the last character of the name comes into the lower line's air."""
    place = last.upright()
    return any(lower.holds(*place(corner)) for corner in _box(Size(height, 0.8 * height)))


def _bare_end(design: SealDesign, plan: Plan) -> float:
    """The parameter of the oval up to which the name may reach: what stands along the foot begins behind it."""
    ends = [math.pi - math.radians(plan.bare) / 2]
    for track, length in _foot_lines(design, plan):
        ends.append(track.parameter_at(track.length / 2 - length / 2 - 2.6 * AIR))
    return min(ends)


def _foot_lines(design: SealDesign, plan: Plan) -> list[tuple[Track, float]]:
    lines = []
    if design.code:
        lines.append((_code_track(plan), len(design.code) * plan.code_pitch))
    if design.lower and design.lower_style is LowerStyle.ARC:
        size, pitch = _lower_size(design, plan)
        lines.append((_lower_track(design, plan, size), (len(design.lower) - 1) * pitch + size.width))
    return lines


# What stands in the middle and below


def _middle(design: SealDesign, plan: Plan, cut: Cut) -> tuple[Layer, ...]:
    if design.star:
        raised = 0.9 * plan.star_radius / 6.9 if design.lower and design.lower_style is LowerStyle.LINE else 0.0
        if design.shape is Shape.OVAL:
            raised = 0.6 if design.lower and design.lower_style is LowerStyle.LINE else -0.4
        return (Layer(star(plan.star_radius, raised), fill=True, stroke=0),)
    if not design.middle:
        return ()
    plain = design.middle.isascii()
    span = min(plan.middle_span, 2 * _clear(design.upper, cut, plan.middle_height / 2 + AIR / 2))
    pitch = span / max(len(design.middle), 6 if plain else 4)
    pitch = min(pitch, plan.middle_height * (0.62 if plain else 1.15))
    if plain:
        return text.figures(design.middle, 0, Size(min(plan.middle_height, pitch * 2.6), pitch * 0.9), pitch)
    height = min(plan.middle_height, pitch * 1.3)
    return text.line(design.middle, 0, Size(height, min(height, pitch * 0.95)), pitch)


def _clear(upper: str, cut: Cut, height: float) -> float:
    """How far a line across the middle, ``height`` up and down, may reach before it comes into the air of the name."""
    feet = cut.track.a - cut.track.inset - cut.size.height / 2
    reach = [
        abs(x)
        for spot in spots_of(upper, cut)
        for x, y in map(spot.upright(), _box(cut.size))
        if abs(y) < height
    ]  # fmt: skip
    return min([feet, *reach]) - AIR


def _box(size: Size) -> list[Point]:
    """Points about the edge of a character."""
    return [(across * size.width, up * size.height) for across in (-0.5, -0.25, 0, 0.25, 0.5) for up in (-0.5, -0.25, 0, 0.5)]


_AIRY = {5: 1.12, 6: 1.06}
"""How much farther apart the characters of a short lower text stand."""


def _lower_size(design: SealDesign, plan: Plan) -> tuple[Size, float]:
    """The lower text's characters and their pitch: smaller under a long name, so that they stay the lesser of the two."""
    count = max(len(design.lower), 1)
    usual = plan.lower_size
    factor = min(1.0, plan.lower_span / (count * plan.lower_pitch), 1.0 - 0.01 * (len(design.upper) - 16))
    factor = min(factor, 0.92) if design.lower_style is LowerStyle.ARC else factor
    airy = _AIRY.get(count, 1.0 if count > 4 else 1.2)
    return Size(usual.height * factor, usual.width * factor), plan.lower_pitch * factor * airy


def _lower_box(design: SealDesign, plan: Plan) -> Box | None:
    if not design.lower or design.lower_style is LowerStyle.ARC:
        return None
    size, pitch = _lower_size(design, plan)
    return Box(len(design.lower) * pitch / 2 + AIR, plan.lower_y - size.height / 2 - AIR, plan.lower_y + size.height / 2 + AIR)


def _lower(design: SealDesign, plan: Plan) -> tuple[Layer, ...]:
    if not design.lower:
        return ()
    size, pitch = _lower_size(design, plan)
    if design.lower_style is LowerStyle.LINE:
        return text.line(design.lower, plan.lower_y, size, pitch)
    track = _lower_track(design, plan, size)
    layers = []
    for character, spot in zip(design.lower, foot_spots(track, len(design.lower), pitch), strict=True):
        glyph = outline(Face.SONG, character)
        layers.append(Layer(mapped(text.centred(glyph, size), spot.hanging()), fill=True, stroke=text.weight(glyph, size.height)))
    return text.joined(layers)


def _lower_track(design: SealDesign, plan: Plan, size: Size) -> Track:
    """Along the foot of the ring, or above the code."""
    feet = plan.foot + plan.code_height + 1.15 if design.code else plan.heads
    return Track(plan.a, plan.b, feet + size.height / 2)


def foot_spots(track: Track, count: int, pitch: float) -> list[Spot]:
    """Places about the foot of the ring, left to right."""
    return [track.at(track.length / 2 - (index - (count - 1) / 2) * pitch) for index in range(count)]


def _code_track(plan: Plan) -> Track:
    return Track(plan.a, plan.b, plan.foot + plan.code_height / 2)


def _code(code: str, plan: Plan) -> Layer:
    """Digits along the foot of the ring, read from below: heads towards the centre."""
    size = Size(plan.code_height, 0.62 * plan.code_height)
    path: list[Segment] = []
    for character, spot in zip(code, foot_spots(_code_track(plan), len(code), plan.code_pitch), strict=True):
        path.extend(mapped(text.digit(outline(Face.HEI, character), size), spot.hanging()))
    return Layer(tuple(path), fill=True, stroke=0.06)
