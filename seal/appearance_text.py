"""Characters of a seal: how much room each takes, how heavy it is cut, and lines of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from seal.drawing import Layer, Mapping, Segment, SegmentPath, mapped
from seal.outlines import Face, Outline, outline

INK = 0.92
"""How much of its em square a Chinese character fills."""
INK_CENTRE = 0.38
"""Height of the middle of its ink above the baseline."""
DIGIT_HEIGHT = 0.733
"""Height of a digit of Noto Sans SC, in em."""
DIGIT_WIDTH = 0.467
"""Width of the ink of most digits; a 1 is narrower, an M wider."""
EMBOLDEN = 0.16
"""Added to every stem, in mm: the cut of a seal is heavier than book type …"""
EMBOLDEN_SHARE = 0.03
"""… but not more than this part of the character's height."""
MANY_SEGMENTS = 130
"""Outlines with more segments are cut finer."""


@dataclass(frozen=True, slots=True)
class Size:
    """A character as it is cut: height and width of its square, mm."""

    height: float
    width: float


def share(glyph: Outline) -> float:
    """The room a glyph takes, 1 for a full character: brackets, digits and letters take what their ink needs."""
    return min(1.0, max(0.42, (glyph.right - glyph.left) / INK + 0.16))


def optical_middle(glyph: Outline) -> float:
    """Between the middle of the ink and that of the body; a narrow sign (a bracket) stands by its ink."""
    ink, body = (glyph.left + glyph.right) / 2, glyph.advance / 2
    return ink if share(glyph) < 0.8 else (ink + body) / 2


def weight(glyph: Outline, height: float) -> float:
    """What the cut adds to every stem, in mm; a character of very many strokes would run together."""
    return min(EMBOLDEN, height * EMBOLDEN_SHARE) * min(1.0, MANY_SEGMENTS / len(glyph.path)) ** 2


def centred(glyph: Outline, size: Size) -> SegmentPath:
    """The glyph in mm about the middle of its square."""
    across, up, middle = size.width / INK, size.height / INK, optical_middle(glyph)
    return mapped(glyph.path, lambda point: ((point[0] - middle) * across, (point[1] - INK_CENTRE) * up))


def digit(glyph: Outline, size: Size) -> SegmentPath:
    """A digit or letter of the plain face about the middle of its ink."""
    up = size.height / DIGIT_HEIGHT
    across = size.width / max(DIGIT_WIDTH, 0.93 * (glyph.right - glyph.left))
    middle = (glyph.left + glyph.right) / 2
    return mapped(glyph.path, lambda point: ((point[0] - middle) * across, point[1] * up - size.height / 2))


def line(text: str, y: float, size: Size, pitch: float) -> tuple[Layer, ...]:
    """A straight line of characters about the vertical, left to right; ``y`` is the middle of their height."""
    layers = []
    for index, character in enumerate(text):
        glyph = outline(Face.SONG, character)
        x = (index - (len(text) - 1) / 2) * pitch
        layers.append(Layer(mapped(centred(glyph, size), _moved(x, y)), fill=True, stroke=weight(glyph, size.height)))
    return joined(layers)


def figures(text: str, y: float, size: Size, pitch: float) -> tuple[Layer, ...]:
    """A straight line of digits and capital letters in the plain face."""
    path: list[Segment] = []
    for index, character in enumerate(text):
        x = (index - (len(text) - 1) / 2) * pitch
        path.extend(mapped(digit(outline(Face.HEI, character), size), _moved(x, y)))
    return (Layer(tuple(path), fill=True, stroke=0.06),)


def _moved(x: float, y: float) -> Mapping:
    return lambda point: (point[0] + x, point[1] + y)


def joined(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Layers of equal weight as one path."""
    weights = dict.fromkeys(round(layer.stroke, 2) for layer in layers)
    return tuple(
        Layer(tuple(segment for layer in layers if round(layer.stroke, 2) == one for segment in layer.path), fill=True, stroke=one)
        for one in weights
    )
