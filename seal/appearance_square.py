"""Square seals: finance seals and personal names. Columns run from right to left, characters fill their cells.

Raised relief (阳文): a frame and characters. Sunk relief (阴文): a solid ground with blank characters, drawn as one outline
with holes, so that the paper shows through whatever it is stamped on.
"""

import math
from dataclasses import dataclass

from seal.appearance_geometry import rounded_rectangle
from seal.appearance_text import INK_CENTRE, weight
from seal.designs import Relief, SealDesign
from seal.drawing import Drawing, Layer, Mapping, SegmentPath, mapped, scaled
from seal.engraving import coverage
from seal.outlines import Face, Outline, outline
from seal.tracing import contours, simplified

PLAN = 20.0
"""Side of the plan, mm; a rectangle keeps its own proportions at this width."""
FRAME = 0.8
CORNER = 0.9
MARGIN_RAISED, MARGIN_SUNK = 1.55, 1.35
"""From the edge to the characters."""
GAP_RAISED, GAP_SUNK = 0.75, 1.05
"""Between two cells."""
SUNK_MORE = 0.16
"""Blank strokes are cut wider than printed ones: ink creeps into them."""
_TRACE_DPI, _TOLERANCE_MM = 1500, 0.006
COLUMNS = {2: 2, 3: 2, 4: 2, 5: 2, 6: 3, 7: 3, 8: 3, 9: 3}
"""By the number of characters; more stand in as many columns as rows."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Margin, gap, and what is added to every stem, mm."""

    margin: float
    gap: float
    more: float


_RAISED, _SUNK = Setting(MARGIN_RAISED, GAP_RAISED, 0.04), Setting(MARGIN_SUNK, GAP_SUNK, SUNK_MORE)


def drawn(design: SealDesign) -> Drawing:
    """The seal in real millimetres. The design has passed ``check``."""
    scale = design.width_mm / PLAN
    layers = layers_of(design, PLAN, design.height / scale)
    return Drawing(tuple(scaled(layer, scale) for layer in layers), design.width_mm, design.height)


def layers_of(design: SealDesign, width: float, height: float) -> tuple[Layer, ...]:
    if design.relief is Relief.SUNK:
        return (_sunk(design.upper, width, height),)
    side = FRAME / 2
    frame = Layer(rounded_rectangle(width - FRAME, height - FRAME, CORNER - side), fill=False, stroke=FRAME)
    return (frame, *characters(design.upper, width, height, _RAISED))


def columns_of(text: str) -> list[str]:
    """The text in columns, the right one first; where they are not equal the first are the shorter ones (a surname stands alone)."""
    count = COLUMNS.get(len(text), math.ceil(math.sqrt(len(text))))
    least, longer = divmod(len(text), count)
    lengths = [least] * (count - longer) + [least + 1] * longer
    ends = [sum(lengths[: index + 1]) for index in range(count)]
    return [text[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def characters(text: str, width: float, height: float, setting: Setting) -> tuple[Layer, ...]:
    """Each character in its cell."""
    columns, margin, gap = columns_of(text), setting.margin, setting.gap
    cell_width = (width - 2 * margin - (len(columns) - 1) * gap) / len(columns)
    layers = []
    for index, column in enumerate(columns):
        right = width / 2 - margin - index * (cell_width + gap)
        cell_height = (height - 2 * margin - (len(column) - 1) * gap) / len(column)
        for row, character in enumerate(column):
            top = height / 2 - margin - row * (cell_height + gap)
            glyph = outline(Face.SONG, character)
            path = _filling(glyph, right - cell_width / 2, top - cell_height / 2, cell_width, cell_height)
            layers.append(Layer(path, fill=True, stroke=weight(glyph, min(cell_width, cell_height)) + setting.more))
    return tuple(layers)


def _filling(glyph: Outline, x: float, y: float, width: float, height: float) -> SegmentPath:
    """The glyph about the middle of its cell, filling it: a flat or narrow one (一, 卜) is stretched less than the rest."""
    across = width / max(glyph.right - glyph.left, 0.72)
    up = height / max(glyph.top - glyph.bottom, 0.72)
    middle, centre = (glyph.left + glyph.right) / 2, (glyph.bottom + glyph.top) / 2
    if glyph.top - glyph.bottom < 0.5:
        centre = INK_CENTRE
    return mapped(glyph.path, _placing(x, y, middle, centre, across, up))


def _placing(x: float, y: float, middle: float, centre: float, across: float, up: float) -> Mapping:
    return lambda point: (x + (point[0] - middle) * across, y + (point[1] - centre) * up)


def _sunk(text: str, width: float, height: float) -> Layer:
    """The ground, and in it the outlines of the characters as they would print."""
    blank = Drawing(characters(text, width, height, _SUNK), width, height)
    path = list(rounded_rectangle(width, height, CORNER))
    picture = coverage(blank, _TRACE_DPI)
    across, down = width / picture.width, height / picture.height
    for contour in contours(picture):
        points = [(x * across - width / 2, height / 2 - y * down) for x, y in contour]
        first, *rest = simplified(points, _TOLERANCE_MM)
        path += [("M", (first,)), *(("L", (point,)) for point in rest), ("Z", ())]
    return Layer(tuple(path), fill=True, stroke=0, even_odd=True)
