"""Outlines of rare characters (生僻字) that no font of ours has: checked, and made into a small font for one document. Pure.

An outline is one SVG path in an em square of 1000 units whose y axis points down, as people draw it. It comes from an SVG file of a
square ``viewBox`` with nothing in it but paths, or from a font file whose maker lets it be embedded (OS/2 ``fsType``, OpenType 1.9).
"""

import io
import re
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from xml.parsers import expat

from fontTools.fontBuilder import FontBuilder
from fontTools.misc.transform import Transform
from fontTools.pens.boundsPen import BoundsPen
from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.transformPen import TransformPen
from fontTools.svgLib.path import parse_path
from fontTools.ttLib import TTFont, TTLibError

from keys.base.errors import FujieError

EM, ASCENT = 1000, 880
FAMILY = "Fujie Rare"
MOST_SVG, MOST_FONT, MOST_PATH = 256 << 10, 64 << 20, 60_000
LEAST_SIDE, OVERHANG = 120, 160
RESTRICTED = 0x0002
_PATH = re.compile(r"[MmLlHhVvCcSsQqTtAaZz0-9eE.,+\-\s]+")
_HARMLESS = frozenset({"svg", "g", "path", "title", "desc"})
_FORBIDDEN = frozenset({"transform", "style", "clip-path", "mask", "filter", "href", "stroke"})


class GlyphRefused(FujieError):
    """The outline cannot be printed as a character: ``extra['reason']`` says why, in both languages."""

    code = "GLYPH_REFUSED"
    status = 422
    public = ("该字形不能使用，请按提示修改后再上传。", "This outline cannot be used. Please correct what is said of it and send it again.")


@dataclass(frozen=True, slots=True)
class Glyph:
    """One character and its outline."""

    character: str
    path: str


@dataclass(slots=True)
class _Drawing:
    box: str = ""
    paths: list[str] = field(default_factory=list)


def refused(zh: str, en: str) -> GlyphRefused:
    return GlyphRefused(en, reason=f"{zh} ({en})")


def from_svg(character: str, octets: bytes) -> Glyph:
    """The outline in an SVG file. Raises GlyphRefused."""
    if len(octets) > MOST_SVG:
        raise refused("文件超过 256 KB", "larger than 256 KB")
    drawing = _Drawing()
    parser = expat.ParserCreate()
    parser.StartElementHandler = partial(_element, drawing)
    parser.EntityDeclHandler = _entity
    try:
        parser.Parse(octets, True)
    except expat.ExpatError as error:
        raise refused("不是格式正确的 SVG", f"not a well-formed SVG, line {error.lineno}") from error
    left, top, side = _square(drawing.box)
    scale = EM / side
    return checked(character, _moved(" ".join(drawing.paths), Transform(scale, 0, 0, scale, -left * scale, -top * scale)))


def _entity(*_: object) -> None:
    raise refused("SVG 中不得定义实体", "entities are not allowed")


def _element(drawing: _Drawing, name: str, attributes: dict[str, str]) -> None:
    plain = name.rpartition(":")[2]
    if plain not in _HARMLESS:
        raise refused(f"只许有 path，不许有 {plain[:20]}", f"only paths are allowed, not {plain[:20]}")
    if (found := _FORBIDDEN & set(attributes)) and attributes.get("stroke") != "none":
        raise refused("不许用变换、样式或描边，请先转为轮廓", f"no {min(found)}: please convert it to outlines")
    if plain == "svg":
        drawing.box = attributes.get("viewBox", "")
    if plain == "path":
        drawing.paths.append(attributes.get("d", ""))


def _square(box: str) -> tuple[float, float, float]:
    try:
        left, top, width, height = (float(part) for part in box.replace(",", " ").split())
    except ValueError:
        raise refused("缺少 viewBox", "no viewBox") from None
    if not (0 < width < 1e6 and abs(width - height) <= width * 0.01 and abs(left) < 1e6 and abs(top) < 1e6):
        raise refused("viewBox 须为正方形（一个全角字框）", "the viewBox is not a square: it is the em of one character")
    return left, top, width


def from_font(character: str, octets: bytes) -> Glyph:
    """The outline of ``character`` in a font file. Raises GlyphRefused: unreadable, not in it, or not to be embedded."""
    if len(octets) > MOST_FONT:
        raise refused("字体文件超过 64 MB", "larger than 64 MB")
    try:
        font = TTFont(io.BytesIO(octets), lazy=True)
        if font["OS/2"].fsType & RESTRICTED:
            raise refused("该字体禁止嵌入文档", "its maker forbids embedding (fsType)")
        name = (font.getBestCmap() or {}).get(ord(character))
        if name is None:
            raise refused("该字体中也没有这个字", "the font does not have it either")
        pen, glyphs, size = SVGPathPen(None), font.getGlyphSet(), EM / font["head"].unitsPerEm
        glyphs[name].draw(TransformPen(pen, Transform(size, 0, 0, -size, 0, ASCENT)))
    except (TTLibError, KeyError, AttributeError, ValueError, TypeError, IndexError, AssertionError, OSError) as error:
        raise refused("不是可读的 TrueType 或 OpenType 字体", "not a readable TrueType or OpenType font") from error
    return checked(character, pen.getCommands())


def checked(character: str, path: str) -> Glyph:
    """An outline that prints something, inside its square. Raises GlyphRefused."""
    if len(character) != 1:
        raise refused("须为一个字", "one character at a time")
    if len(path) > MOST_PATH:
        raise refused("轮廓过于复杂", "too complex an outline")
    left, top, right, bottom = _bounds(path)
    if min(right - left, bottom - top) < LEAST_SIDE and max(right - left, bottom - top) < EM / 2:
        raise refused("字形太小或为空", "nothing to be seen: the outline is empty or tiny")
    if min(left, top) < -OVERHANG or max(right, bottom) > EM + OVERHANG:
        raise refused("字形超出字框", "the outline leaves its square")
    return Glyph(character, path)


def _bounds(path: str) -> tuple[float, float, float, float]:
    pen = BoundsPen(None)
    _draw(path, pen)
    return pen.bounds or (0.0, 0.0, 0.0, 0.0)


def _moved(path: str, transform: Transform) -> str:
    pen = SVGPathPen(None, ntos=lambda number: f"{number:.1f}".rstrip("0").rstrip("."))
    _draw(path, TransformPen(pen, transform))
    return str(pen.getCommands())


def _draw(path: str, pen: Any) -> None:
    """Raises GlyphRefused for what is no path."""
    if len(path) > 4 * MOST_PATH or (path and not _PATH.fullmatch(path)):
        raise refused("路径数据不合规", "not path data")
    try:
        parse_path(path, pen)
    except (ValueError, IndexError, TypeError, AssertionError, ArithmeticError) as error:
        raise refused("路径数据不合规", "not path data") from error


def build_font(glyphs: tuple[Glyph, ...]) -> bytes:
    """An OpenType font of :data:`FAMILY` with just these characters; equal glyphs give equal octets."""
    names = {ord(one.character): f"u{ord(one.character):05X}" for one in glyphs}
    builder = FontBuilder(EM, isTTF=False)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names)
    outlines = {".notdef": T2CharStringPen(EM, None).getCharString()}
    for one in glyphs:
        pen = T2CharStringPen(EM, None)
        _draw(one.path, TransformPen(pen, Transform(1, 0, 0, -1, 0, ASCENT)))
        outlines[names[ord(one.character)]] = pen.getCharString()
    builder.setupCFF("FujieRare-Regular", {"FullName": f"{FAMILY} Regular"}, outlines, {})
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names.values()], (EM, 0)))
    builder.setupHorizontalHeader(ascent=ASCENT, descent=ASCENT - EM)
    builder.setupNameTable({"familyName": FAMILY, "styleName": "Regular", "psName": "FujieRare-Regular", "fullName": f"{FAMILY} Regular"})
    builder.setupOS2(sTypoAscender=ASCENT, sTypoDescender=ASCENT - EM, usWinAscent=ASCENT, usWinDescent=EM - ASCENT)
    builder.setupPost()
    builder.font["head"].created = builder.font["head"].modified = 0
    builder.font.recalcTimestamp = False
    buffer = io.BytesIO()
    builder.save(buffer)
    return buffer.getvalue()
