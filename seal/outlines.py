"""Glyph outlines of the house's fonts, as paths: a seal is drawn without any font at the reader's side."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import pylopdf_fonts_zh_cn
from fontTools.pens.boundsPen import BoundsPen
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.ttLib import TTFont

from keys.base.errors import FujieError
from seal.drawing import SegmentPath

_OPERATORS = {"moveTo": "M", "lineTo": "L", "curveTo": "C", "closePath": "Z", "endPath": "Z"}


class Face(StrEnum):
    """Noto Serif SC for words (a Songti, as seals are cut), Noto Sans SC for digits. Both under the SIL Open Font Licence."""

    SONG = "NotoSerifSC-Regular.otf"
    HEI = "NotoSansSC-Regular.otf"


class GlyphMissing(FujieError):
    """No font here can draw some of the characters; ``extra['characters']`` lists them."""

    code = "GLYPH_MISSING"
    status = 422
    public = ("有字符在字库中没有字形，无法刻制。", "The fonts have no glyph for some of the characters.")


@dataclass(frozen=True, slots=True)
class Outline:
    """A glyph in units of the em (1 = its height, y up, baseline 0): its path, its advance and the bounds of its ink."""

    path: SegmentPath
    advance: float
    left: float
    bottom: float
    right: float
    top: float


@lru_cache(maxsize=len(Face))
def _font(face: Face) -> TTFont:
    return TTFont(Path(pylopdf_fonts_zh_cn.__file__).parent / face.value, lazy=True)


@lru_cache(maxsize=len(Face))
def _characters(face: Face) -> dict[int, str]:
    """Code point → glyph name."""
    mapping: dict[int, str] = _font(face).getBestCmap()
    return mapping


def require(face: Face, text: Iterable[str]) -> None:
    """Every character has a glyph with ink. Raises :class:`GlyphMissing`."""
    known = _characters(face)
    missing = [character for character in dict.fromkeys(text) if ord(character) not in known or not outline(face, character).path]
    if missing:
        names = " ".join(f"U+{ord(character):04X}" for character in missing)
        raise GlyphMissing(names, characters=missing)


@lru_cache(maxsize=2048)
def outline(face: Face, character: str) -> Outline:
    """The glyph of one character that :func:`require` has passed."""
    font = _font(face)
    glyphs = font.getGlyphSet()
    name = _characters(face)[ord(character)]
    em = font["head"].unitsPerEm
    pen, bounds = DecomposingRecordingPen(glyphs), BoundsPen(glyphs)
    glyphs[name].draw(pen)
    glyphs[name].draw(bounds)
    left, bottom, right, top = bounds.bounds or (0, 0, 0, 0)
    path = tuple((_OPERATORS[operator], tuple((x / em, y / em) for x, y in points)) for operator, points in pen.value)
    return Outline(path, glyphs[name].width / em, left / em, bottom / em, right / em, top / em)
