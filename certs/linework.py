"""Writes every static drawing of the templates: ``python -m certs.linework`` makes ``certs/assets/*.svg``.

The sheets with a woven border come from :mod:`certs.guilloche`; the cards and the cover of a booklet are drawn here with the same
strokes. Nothing in them is anybody else's, and none shows an emblem.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from certs.guilloche import ASSETS, DESIGNS, TURN, Ring, draw, path, rings, stroke, units


@dataclass(frozen=True, slots=True)
class Card:
    """Both sides of a card of ID-card size (ISO/IEC 7810 ID-1): a head band with the title, waves and a rosette beneath."""

    name: str
    dark: str
    deep: str
    light: str
    veil: str
    paper: str
    lobes: int
    crossing: float


@dataclass(frozen=True, slots=True)
class Cover:
    """The first page of a booklet: cloth in one colour, a fine woven frame and a rosette in gold leaf."""

    name: str
    width: float
    height: float
    cloth: str
    deep: str
    gold: str


WIDTH, HEIGHT, HEAD = 85.6, 54.0, 12.6
CARDS = (
    Card("safety_management", "#14532f", "#0d3b21", "#8cc3a0", "#d9eddf", "#fbfefb", 12, 1.0),
    Card("special_operations", "#17457d", "#0e2f5a", "#8fb2d9", "#d9e6f4", "#fafcff", 9, 2.0),
)
COVERS = (Cover("real_estate_cover", 148, 210, "#84171c", "#741217", "#d9b26a"),)


def drawings() -> Mapping[str, str]:
    """Every drawing by the stem of its file."""
    sheets = {design.name: draw(design) for design in DESIGNS}
    fronts = {f"{card.name}_front": front(card) for card in CARDS}
    backs = {f"{card.name}_back": back(card) for card in CARDS}
    return sheets | fronts | backs | {cover.name: bound(cover) for cover in COVERS}


def waves(top: float, bottom: float, count: int, crossing: float, phase: float) -> str:
    """Lines across the card that lie close at the sides and open in the middle."""
    parts = []
    for line in range(count):
        share = line / (count - 1)

        def at(x: float, share: float = share) -> tuple[float, float]:
            middle = (top + bottom) / 2 + (bottom - top) * 0.16 * math.sin(TURN * x / WIDTH * crossing + phase)
            spread = (bottom - top) / 2 * (0.55 + 0.45 * math.sin(TURN * x / WIDTH * (crossing + 0.5) - phase))
            return x, middle + (share - 0.5) * 2 * spread

        parts.append(path(at, 0, WIDTH, 12))
    return "".join(parts)


def _card(card: Card, head: float, centre: tuple[float, float], size: float) -> str:
    rose = "".join(
        rings(centre, ring) for ring in (Ring(15 * size, 2.6 * size, card.lobes, 5), Ring(8.6 * size, 2.4 * size, card.lobes, 4))
    )
    w, h, y = units(WIDTH), units(HEIGHT), units(head)
    return _sheet(
        WIDTH,
        HEIGHT,
        f'<path fill="{card.paper}" d="M0 0H{w}V{h}H0z"/>',
        stroke(card.veil, 0.11, waves(head + 3, HEIGHT - 2, 16, card.crossing, 0.4)),
        stroke(card.veil, 0.12, rose),
        f'<path fill="{card.dark}" d="M0 0H{w}V{y}H0z"/>',
        f'<path fill="{card.deep}" d="M0 {units(HEIGHT - 2.1)}H{w}V{h}H0z"/>',
        stroke(card.light, 0.16, f"M0 {units(head + 0.55)}H{w}M0 {units(HEIGHT - 2.6)}H{w}"),
    )


def front(card: Card) -> str:
    """The side with the title, the photograph and the fields."""
    return _card(card, HEAD, (41, 33.5), 1.0)


def back(card: Card) -> str:
    """The side with the offline code and the seal."""
    return _card(card, 2.1, (64.2, 25.2), 1.15)


def bound(cover: Cover) -> str:
    """The cover of a booklet."""
    w, h = cover.width, cover.height
    centre = (w / 2, h * 0.6)
    rose = "".join(rings(centre, ring) for ring in (Ring(40, 6, 24, 6), Ring(27, 6, 18, 5), Ring(14, 5, 12, 5)))
    frame = "".join(_ripple(w, h, phase) for phase in (0.0, TURN / 2))
    return _sheet(
        w,
        h,
        f'<path fill="{cover.cloth}" d="M0 0H{units(w)}V{units(h)}H0z"/>',
        stroke(cover.deep, 0.2, rose),
        stroke(cover.gold, 0.5, _box(w, h, 9)),
        stroke(cover.gold, 0.16, _box(w, h, 10.2) + _box(w, h, 13.4)),
        stroke(cover.gold, 0.16, frame),
    )


def _box(width: float, height: float, inset: float) -> str:
    i, x, y = units(inset), units(width - inset), units(height - inset)
    return f"M{i} {i}H{x}V{y}H{i}z"


def _ripple(width: float, height: float, phase: float) -> str:
    """One strand of the cover's frame, between its two fine rules."""
    inset, parts = 11.8, []
    for length, place in (
        (width - 2 * inset, lambda s, y: (inset + s, inset + y)),
        (width - 2 * inset, lambda s, y: (inset + s, height - inset + y)),
        (height - 2 * inset, lambda s, y: (inset + y, inset + s)),
        (height - 2 * inset, lambda s, y: (width - inset + y, inset + s)),
    ):
        turns = round(length / 7)
        parts.append(path(lambda s, p=place, n=turns, m=length: p(s, 1.15 * math.sin(TURN * n * s / m + phase)), 0, length, turns * 4))  # type: ignore[misc]
    return "".join(parts)


def _sheet(width: float, height: float, *body: str) -> str:
    size = f'width="{width}mm" height="{height}mm" viewBox="0 0 {units(width)} {units(height)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>' + "".join(body) + "</svg>\n"


def main() -> None:
    ASSETS.mkdir(exist_ok=True)
    for name, svg in drawings().items():
        (ASSETS / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
