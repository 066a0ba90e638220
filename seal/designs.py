"""What is cut into a seal, as values: shape, size, texts, star, colour, relief (国发〔1999〕25号; STANDARDS.md §3).

Pure: no font is read here. :mod:`seal.appearance` draws a :class:`SealDesign`; the national emblem is never drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from keys.base.errors import InvalidInput

MIN_NAME, MAX_NAME, MAX_LOWER, MAX_MIDDLE = 2, 40, 12, 20
MAX_SQUARE = 25
"""Characters of a square seal: five columns of five."""
CODE_DIGITS = (13, 14)


class Shape(StrEnum):
    ROUND = "round"
    OVAL = "oval"
    SQUARE = "square"


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"
    BLACK = "black"


class LowerStyle(StrEnum):
    """How the lower text runs: in a straight line, or along the foot of the ring."""

    LINE = "line"
    ARC = "arc"


class Relief(StrEnum):
    """阳文: the characters print; 阴文: the ground prints and the characters stay blank (square seals)."""

    RAISED = "raised"
    SUNK = "sunk"


INKS: dict[Colour, tuple[int, int, int]] = {
    Colour.RED: (0xC8, 0x16, 0x1D),
    Colour.BLUE: (0x1D, 0x3F, 0x94),
    Colour.BLACK: (0x1C, 0x1C, 0x1C),
}
"""sRGB of each ink."""

SIZES: dict[Shape, tuple[tuple[float, float], tuple[float, float]]] = {
    Shape.ROUND: ((30, 45), (30, 45)),
    Shape.OVAL: ((36, 50), (26, 36)),
    Shape.SQUARE: ((14, 30), (14, 30)),
}
"""Least and largest width and height, mm. No round seal that may be drawn is larger than 4.5 cm (国发〔1999〕25号)."""


class SealTextUnsuitable(InvalidInput):
    code = "SEAL_TEXT_UNSUITABLE"
    public = ("印章文字过长、过短或含有不能刻制的字符。", "The text is too long, too short or cannot be cut into a seal.")


class SealShapeUnsuitable(InvalidInput):
    """A size, a star or a relief that the shape does not have."""

    code = "SEAL_SHAPE_UNSUITABLE"
    public = ("印章的形状、尺寸或样式不符合规定。", "The seal's shape, size or style is not allowed.")


@dataclass(frozen=True, slots=True)
class SealDesign:
    """A seal to be drawn.

    ``upper``   the name on the arc, left to right (2–40 characters); the whole text of a square seal (2–25), right to left in columns
    ``lower``   below the middle (0–12)
    ``middle``  a line across the middle (0–20; a tax number), in the place of the star
    ``width_mm``, ``height_mm``  of the impression; no height: as wide as high
    ``code``    13 or 14 digits along the foot of the ring, or none
    """

    upper: str
    lower: str = ""
    width_mm: float = 42.0
    star: bool = True
    code: str = ""
    shape: Shape = Shape.ROUND
    height_mm: float | None = None
    middle: str = ""
    lower_style: LowerStyle = LowerStyle.LINE
    colour: Colour = Colour.RED
    relief: Relief = Relief.RAISED

    @property
    def height(self) -> float:
        return self.width_mm if self.height_mm is None else self.height_mm


def check_design(design: SealDesign) -> None:
    """Whether the numbers agree with each other. Raises :class:`SealTextUnsuitable` or :class:`SealShapeUnsuitable`."""
    if texts := list(_wrong_texts(design)):
        raise SealTextUnsuitable("; ".join(texts))
    if shapes := list(_wrong_shapes(design)):
        raise SealShapeUnsuitable("; ".join(shapes))


def _wrong_texts(design: SealDesign) -> Iterator[str]:
    longest = MAX_SQUARE if design.shape is Shape.SQUARE else MAX_NAME
    if not MIN_NAME <= len(design.upper) <= longest:
        yield f"{len(design.upper)} characters above"
    if len(design.lower) > MAX_LOWER or len(design.middle) > MAX_MIDDLE:
        yield f"{len(design.middle)} characters in the middle, {len(design.lower)} below"
    if design.code and not (design.code.isascii() and design.code.isdigit() and len(design.code) in CODE_DIGITS):
        yield "a code is 13 or 14 digits"


def _wrong_shapes(design: SealDesign) -> Iterator[str]:
    (narrow, wide), (low, high) = SIZES[design.shape]
    if not (narrow <= design.width_mm <= wide and low <= design.height <= high):
        yield f"a {design.shape} seal measures {narrow} to {wide} by {low} to {high} mm"
    if (design.shape is Shape.OVAL) != (design.width_mm > design.height):
        yield "an oval is wider than high, and nothing else is"
    if design.star and design.middle:
        yield "either a star or a text stands in the middle"
    if design.shape is Shape.SQUARE:
        if design.star or design.lower or design.middle or design.code:
            yield "a square seal has characters only"
    elif design.relief is Relief.SUNK:
        yield "only a square seal is cut in sunk relief"
