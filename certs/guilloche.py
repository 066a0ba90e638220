"""Draws the static line work of the certificates: ``python -m certs.guilloche`` writes ``certs/assets/*.svg``.

A guilloche is a bundle of sine curves. Computing it at every rendering would cost hundreds of milliseconds, so it is
drawn once and committed. Curves are cubic Béziers fitted to value and slope (Hermite), which needs a tenth of the
points a polyline would. Lengths are millimetres; angles radians.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Point = tuple[float, float]
Curve = Callable[[float], Point]

ASSETS = Path(__file__).parent / "assets"
TURN = 2 * math.pi
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
class Rosette:
    """The watermark: rings of ``(radius, amplitude, lobes, copies)``, stretched to an ellipse by ``stretch``."""

    rings: tuple[tuple[float, float, int, int], ...]
    stretch: float = 1.0
    centre_y: float = 0.0


@dataclass(frozen=True, slots=True)
class Design:
    """One type's line work. ``paper`` shades from centre to edge; ``dark``, ``light``, ``accent`` are the inks."""

    name: str
    width: float
    height: float
    paper: tuple[str, str]
    dark: str
    light: str
    accent: str
    veil: tuple[str, str]
    band: Band
    rosette: Rosette
    medallion: int


DESIGNS = (
    Design(
        "food_business_licence", 297, 210, ("#fffdf6", "#fdf5e2"), "#a67a26", "#d2ad63", "#b3261e", ("#f0dca8", "#f3d5c0"),
        Band(strands=6, height=3.0, wave=17, swell=2, depth=0.35),
        Rosette(((62, 13, 18, 6), (40, 9, 15, 5), (22, 6, 12, 5)), 1.28, 112), 12,
    ),
    Design(
        "sewage_discharge_permit", 297, 210, ("#fbfefd", "#e8f4f2"), "#0f6b73", "#63aeb0", "#1f4f8a", ("#bfe0dd", "#c3d9ec"),
        Band(strands=5, height=3.0, wave=24, swell=1, depth=0.0),
        Rosette(((64, 10, 10, 8), (43, 12, 8, 7), (22, 7, 8, 5)), 1.25, 112), 8,
    ),
    Design(
        "real_estate_registration_proof", 210, 297, ("#fffcf9", "#f9efe8"), "#7a3b24", "#bd8a68", "#8c1d18", ("#ecd2c0", "#e9cfc8"),
        Band(strands=6, height=3.0, wave=13, swell=3, depth=0.5),
        Rosette(((66, 9, 24, 6), (46, 8, 20, 5), (29, 7, 16, 5), (13, 5, 8, 4)), 1.0, 150), 16,
    ),
)  # fmt: skip


def number(value: float) -> str:
    """Hundredths of a millimetre are finer than any printer."""
    return f"{value:.2f}".rstrip("0").rstrip(".").replace("-0.", "-.").removeprefix("0") or "0"


def path(curve: Curve, start: float, end: float, pieces: int) -> str:
    """The curve from ``start`` to ``end`` as ``pieces`` Béziers in SVG path syntax, relative coordinates."""
    step = (end - start) / pieces
    at = _rounded(curve(start))
    parts = [f"M{number(at[0])} {number(at[1])}c"]
    for index in range(pieces):
        here, there = start + index * step, start + (index + 1) * step
        leave, arrive, goal = _slope(curve, here), _slope(curve, there), _rounded(curve(there))
        first = (curve(here)[0] + leave[0] * step / 3, curve(here)[1] + leave[1] * step / 3)
        second = (goal[0] - arrive[0] * step / 3, goal[1] - arrive[1] * step / 3)
        parts.append(" ".join(f"{number(p[0] - at[0])} {number(p[1] - at[1])}" for p in (first, second, goal)))
        at = goal
    return parts[0] + " ".join(parts[1:])


def _rounded(point: Point) -> Point:
    return round(point[0], 2), round(point[1], 2)


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
        pieces = round(length / band.wave * 5)
        for index in range(parity, band.strands, 2):
            height = strand(band, length, TURN * index / band.strands)
            parts.append(path(lambda s, place=place, height=height: place(s, height(s)), 4.0, length - 4.0, pieces))  # type: ignore[misc]
    return "".join(parts)


def ring(centre: Point, radius: float, amplitude: float, lobes: int, phase: float, stretch: float = 1.0) -> str:
    """A closed wavy ring of ``lobes`` waves."""

    def at(angle: float) -> Point:
        r = radius + amplitude * math.sin(lobes * angle + phase)
        return centre[0] + stretch * r * math.cos(angle), centre[1] + r * math.sin(angle)

    return path(at, 0, TURN, max(24, lobes * 4)) + "z"


def veil(design: Design) -> str:
    """The watermark rosette behind the text."""
    rose = design.rosette
    centre = (design.width / 2, rose.centre_y)
    return "".join(
        ring(centre, radius, amplitude, lobes, TURN * copy / copies, rose.stretch)
        for radius, amplitude, lobes, copies in rose.rings
        for copy in range(copies)
    )


def corners(design: Design) -> Iterator[Point]:
    for x in (EDGE, design.width - EDGE):
        for y in (EDGE, design.height - EDGE):
            yield x, y


def medallion(centre: Point, lobes: int) -> str:
    """A corner's small rosette."""
    outer = "".join(ring(centre, 5.0, 1.7, lobes, TURN * copy / 4) for copy in range(4))
    return outer + "".join(ring(centre, 2.1, 0.75, max(6, lobes // 2), TURN * copy / 3) for copy in range(3))


def rules(design: Design, insets: tuple[float, ...]) -> str:
    """Rectangles at the given distances from the paper's edge."""
    return "".join(f"M{i} {i}H{number(design.width - i)}V{number(design.height - i)}H{i}z" for i in insets)


def stroke(ink: str, width: float, d: str) -> str:
    return f'<path fill="none" stroke="{ink}" stroke-width="{width}" d="{d}"/>'


def draw(design: Design) -> str:
    """The whole background as an SVG of the paper's size."""
    w, h = design.width, design.height
    discs = "".join(f'<circle cx="{x}" cy="{y}" r="7.6" fill="{design.paper[0]}"/>' for x, y in corners(design))
    circles = "".join(f'<circle cx="{x}" cy="{y}" r="7.2"/>' for x, y in corners(design))
    body = (
        f'<rect width="{w}" height="{h}" fill="url(#p)"/>',
        stroke("url(#v)", 0.14, veil(design)),
        stroke(design.dark, 0.45, rules(design, (7.4,))),
        stroke(design.light, 0.12, rules(design, (8.3, 16.7))),
        stroke(design.dark, 0.3, rules(design, (17.4,))),
        stroke(design.light, 0.13, border(design, 1)),
        stroke(design.dark, 0.13, border(design, 0)),
        discs,
        f'<g fill="none" stroke="{design.dark}" stroke-width=".3">{circles}</g>',
        stroke(design.accent, 0.11, "".join(medallion(c, design.medallion) for c in corners(design))),
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}mm" height="{h}mm" viewBox="0 0 {w} {h}">'
        f'<defs><radialGradient id="p" cx=".5" cy=".5" r=".75"><stop offset=".35" stop-color="{design.paper[0]}"/>'
        f'<stop offset="1" stop-color="{design.paper[1]}"/></radialGradient>'
        f'<linearGradient id="v" x1="0" y1="0" x2="1" y2="0"><stop stop-color="{design.veil[0]}"/>'
        f'<stop offset=".5" stop-color="{design.veil[1]}"/><stop offset="1" stop-color="{design.veil[0]}"/></linearGradient></defs>'
        + "".join(body)
        + "</svg>\n"
    )


def main() -> None:
    ASSETS.mkdir(exist_ok=True)
    for design in DESIGNS:
        (ASSETS / f"{design.name}.svg").write_text(draw(design), encoding="utf-8")


if __name__ == "__main__":
    main()
