"""Draws the woven borders and rosettes of the certificates' sheets; ``python -m certs.linework`` writes them to ``certs/assets/*.svg``.

A guilloche is a bundle of sine curves. Computing it at every rendering would cost hundreds of milliseconds, so it is
drawn once and committed. Curves are cubic Béziers fitted to value and slope (Hermite), which needs a tenth of the
points a polyline would; drawn coordinates are whole fiftieths of a millimetre. Both keep rendering fast: its cost is the
number of digits in this file. Lengths in the code are millimetres; angles radians.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Point = tuple[float, float]
Curve = Callable[[float], Point]

ASSETS = Path(__file__).parent / "assets"
TURN = 2 * math.pi
UNITS = 50
EDGE = 12.5  # from the paper's edge to the middle of the border band


@dataclass(frozen=True, slots=True)
class Band:
    """The border's weave: ``strands`` curves of ``height``, one wave per ``wave`` mm, swelling once per ``swell`` waves."""

    strands: int
    height: float
    wave: float
    swell: int
    depth: float


@dataclass(frozen=True, slots=True)
class Ring:
    """``copies`` turned copies of a ring of ``lobes`` waves of ``amplitude``, its ``radius`` swelling into ``petals``."""

    radius: float
    amplitude: float
    lobes: int
    copies: int
    petals: int = 0
    swell: float = 0.0


@dataclass(frozen=True, slots=True)
class Rosette:
    """The watermark: rings about a point ``centre_y`` down the page, stretched to an ellipse by ``stretch``."""

    rings: tuple[Ring, ...]
    stretch: float
    centre_y: float


@dataclass(frozen=True, slots=True)
class Design:
    """One type's line work. ``dark``, ``light``, ``accent``, ``veil`` are inks; ``paper`` and ``band_paper`` fills.

    It is drawn on a sheet of ``width`` by ``height`` and printed at ``scale``: a smaller page has a narrower border.
    """

    name: str
    width: float
    height: float
    paper: str
    band_paper: str
    dark: str
    light: str
    accent: str
    veil: str
    band: Band
    rosette: Rosette
    medallion: int
    scale: float = 1.0


DESIGNS = (
    Design(
        "food_business_licence", 297, 210, "#fffdf7", "#fcf3dc", "#9c6f1e", "#d3af68", "#b3261e", "#f6e6cc",
        Band(strands=6, height=3.3, wave=19, swell=2, depth=0.42),
        Rosette((Ring(46, 6, 24, 6, 12, 4.5), Ring(31, 6, 18, 5, 12, 3), Ring(16.5, 5, 12, 5, 6, 1)), 1.55, 111), 12,
    ),
    Design(
        "sewage_discharge_permit", 297, 210, "#fbfefd", "#e4f3f1", "#12656f", "#6cb3b5", "#1f5590", "#d3e9ea",
        Band(strands=6, height=3.3, wave=27, swell=1, depth=0.0),
        Rosette((Ring(45, 8, 9, 10, 0, 0), Ring(30, 8, 7, 8, 0, 0), Ring(15, 5.5, 6, 6, 0, 0)), 1.55, 111), 8,
    ),
    Design(
        "real_estate_registration_proof", 210, 297, "#fffcf9", "#f8ebe1", "#7a3b24", "#c39474", "#8c1d18", "#f3dfd6",
        Band(strands=6, height=3.3, wave=14, swell=3, depth=0.55),
        Rosette((Ring(62, 6, 32, 5, 4, 5), Ring(45, 6, 24, 5, 4, 4), Ring(29, 6, 20, 4, 4, 2.5), Ring(13, 5, 8, 4, 4, 1)), 1.0, 152), 12,
    ),
    Design(
        "business_licence", 297, 210, "#fffbf2", "#f7e9cb", "#6f4a12", "#c79f57", "#9a1f1a", "#f3e3c3",
        Band(strands=8, height=3.4, wave=16, swell=4, depth=0.6),
        Rosette((Ring(47, 5, 36, 5, 6, 6), Ring(33, 5, 28, 5, 6, 5), Ring(20, 4.5, 18, 4, 6, 2), Ring(9, 3.5, 10, 3)), 1.45, 111), 14,
    ),
    Design(
        "real_estate_ownership", 238.8, 338.8, "#fffdfb", "#f6e8e2", "#8a3a34", "#cf9f92", "#84171c", "#f4e2dc",
        Band(strands=6, height=3.3, wave=15, swell=2, depth=0.5),
        Rosette((Ring(72, 7, 28, 6, 8, 5), Ring(52, 7, 20, 5, 8, 4), Ring(32, 6, 14, 5, 8, 2)), 1.0, 170), 10, scale=148 / 238.8,
    ),
    Design(
        "general_portrait", 210, 297, "#fcfdff", "#e9eef6", "#27457a", "#93aacd", "#9a1f1a", "#dde5f1",
        Band(strands=6, height=3.3, wave=16, swell=2, depth=0.35),
        Rosette((Ring(60, 7, 16, 8, 8, 4), Ring(41, 7, 12, 6, 8, 3), Ring(21, 6, 8, 5, 8, 1.5)), 1.0, 152), 10,
    ),
    Design(
        "general_landscape", 297, 210, "#fcfdff", "#e9eef6", "#27457a", "#93aacd", "#9a1f1a", "#dde5f1",
        Band(strands=6, height=3.3, wave=22, swell=2, depth=0.35),
        Rosette((Ring(46, 7, 16, 8, 8, 4), Ring(31, 6, 12, 6, 8, 3), Ring(16, 5, 8, 5, 8, 1.5)), 1.5, 111), 10,
    ),
)  # fmt: skip


def units(length: float) -> int:
    """Drawn units: 0.02 mm is finer than any printer."""
    return round(length * UNITS)


def path(curve: Curve, start: float, end: float, pieces: int) -> str:
    """The curve from ``start`` to ``end`` as ``pieces`` Béziers in SVG path syntax, relative coordinates."""
    step = (end - start) / pieces
    at = _drawn(curve(start))
    parts = [f"M{at[0]} {at[1]}c"]
    for index in range(pieces):
        here, there = start + index * step, start + (index + 1) * step
        (x0, y0), (x1, y1) = curve(here), curve(there)
        (u0, v0), (u1, v1) = _slope(curve, here), _slope(curve, there)
        knots = (
            _drawn((x0 + u0 * step / 3, y0 + v0 * step / 3)),
            _drawn((x1 - u1 * step / 3, y1 - v1 * step / 3)),
            _drawn((x1, y1)),
        )
        parts.append(" ".join(f"{x - at[0]} {y - at[1]}" for x, y in knots))
        at = knots[2]
    return parts[0] + " ".join(parts[1:])


def _drawn(point: Point) -> tuple[int, int]:
    return units(point[0]), units(point[1])


def _slope(curve: Curve, t: float) -> Point:
    h = 1e-5
    (x0, y0), (x1, y1) = curve(t - h), curve(t + h)
    return (x1 - x0) / (2 * h), (y1 - y0) / (2 * h)


def strand(band: Band, length: float, phase: float) -> Callable[[float], float]:
    """The height of one strand over the middle of the band, ``s`` mm from the corner; whole swells fit the side."""
    swells = max(1, round(length / (band.wave * band.swell)))
    waves = swells * band.swell

    def height(s: float) -> float:
        swell = 1 - band.depth * (0.5 - 0.5 * math.cos(TURN * swells * s / length))
        return band.height * swell * math.sin(TURN * waves * s / length + phase)

    return height


def sides(design: Design) -> Iterator[tuple[float, Callable[[float, float], Point]]]:
    """Each side's length between the corner medallions' centres, and the map from (along, across) to the page."""
    w, h = design.width, design.height
    yield w - 2 * EDGE, lambda s, y: (EDGE + s, EDGE - y)
    yield w - 2 * EDGE, lambda s, y: (w - EDGE - s, h - EDGE + y)
    yield h - 2 * EDGE, lambda s, y: (w - EDGE + y, EDGE + s)
    yield h - 2 * EDGE, lambda s, y: (EDGE - y, h - EDGE - s)


def border(design: Design, parity: int) -> str:
    """Every second strand of the weave, all four sides: two inks make the two halves."""
    band, parts = design.band, []
    for length, place in sides(design):
        pieces = round(length / band.wave * 3.5)
        for index in range(parity, band.strands, 2):
            height = strand(band, length, TURN * index / band.strands)
            parts.append(path(lambda s, place=place, height=height: place(s, height(s)), 4.0, length - 4.0, pieces))  # type: ignore[misc]
    return "".join(parts)


def ring(centre: Point, form: Ring, phase: float, stretch: float = 1.0) -> str:
    """One closed wavy line."""

    def at(angle: float) -> Point:
        radius = form.radius + form.swell * math.cos(form.petals * angle) + form.amplitude * math.sin(form.lobes * angle + phase)
        return centre[0] + stretch * radius * math.cos(angle), centre[1] + radius * math.sin(angle)

    return path(at, 0, TURN, max(24, form.lobes * 3)) + "z"


def rings(centre: Point, form: Ring, stretch: float = 1.0) -> str:
    return "".join(ring(centre, form, TURN * copy / form.copies, stretch) for copy in range(form.copies))


def veil(design: Design) -> str:
    """The watermark rosette behind the text."""
    rose = design.rosette
    return "".join(rings((design.width / 2, rose.centre_y), form, rose.stretch) for form in rose.rings)


def corners(design: Design) -> Iterator[Point]:
    for x in (EDGE, design.width - EDGE):
        for y in (EDGE, design.height - EDGE):
            yield x, y


def medallion(centre: Point, lobes: int) -> str:
    """A corner's small rosette."""
    return rings(centre, Ring(5.0, 1.7, lobes, 3)) + rings(centre, Ring(2.1, 0.75, max(6, lobes // 2), 2))


def rules(design: Design, *insets: float) -> str:
    """Rectangles at the given distances from the paper's edge."""
    w, h = design.width, design.height
    return "".join(f"M{units(i)} {units(i)}H{units(w - i)}V{units(h - i)}H{units(i)}z" for i in insets)


def stroke(ink: str, width: float, d: str) -> str:
    return f'<path fill="none" stroke="{ink}" stroke-width="{units(width)}" d="{d}"/>'


def circles(design: Design, radius: float) -> str:
    return "".join(f'<circle cx="{units(x)}" cy="{units(y)}" r="{units(radius)}"/>' for x, y in corners(design))


def draw(design: Design) -> str:
    """The whole background as an SVG of the paper's size."""
    w, h = units(design.width), units(design.height)
    body = (
        f'<path fill="{design.paper}" d="M0 0H{w}V{h}H0z"/>',
        f'<path fill="{design.band_paper}" fill-rule="evenodd" d="{rules(design, 7.4, 17.4)}"/>',
        stroke(design.veil, 0.14, veil(design)),
        stroke(design.dark, 0.5, rules(design, 7.4)),
        stroke(design.light, 0.14, rules(design, 8.3, 16.5)),
        stroke(design.dark, 0.26, rules(design, 17.4)),
        stroke(design.light, 0.14, border(design, 1)),
        stroke(design.dark, 0.14, border(design, 0)),
        f'<g fill="{design.paper}">{circles(design, 7.6)}</g>',
        f'<g fill="none" stroke="{design.dark}" stroke-width="{units(0.3)}">{circles(design, 7.2)}</g>',
        stroke(design.accent, 0.12, "".join(medallion(c, design.medallion) for c in corners(design))),
    )
    size = f'width="{design.width * design.scale:g}mm" height="{design.height * design.scale:g}mm" viewBox="0 0 {w} {h}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>' + "".join(body) + "</svg>\n"
