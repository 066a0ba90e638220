"""Cleaning what pages draw with: fonts, images, forms, patterns, colour spaces, graphics states.

Every dictionary keeps the members of ISO 32000-1 that drawing needs and loses all others; a stream that lies outside the file is
refused. Each object is cleaned once, however often it is used.
"""
# mypy: allow-untyped-calls

from collections.abc import Iterable
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Stream

from seal.sanitising_content import Cleaning, Removed, Used
from seal.sanitising_errors import Malformed, RefersOutside
from seal.sanitising_geometry import Box, Matrix, bounds_of
from seal.sanitising_jpeg import without_metadata
from seal.sanitising_layers import Layers

_DEPTH = 64
_CATEGORIES = ("/Font", "/XObject", "/ExtGState", "/ColorSpace", "/Pattern", "/Shading")
_DEFAULT_SPACES = frozenset({"/DefaultGray", "/DefaultRGB", "/DefaultCMYK"})
_STREAM = {"/Length", "/Filter", "/DecodeParms"}
_FORM = frozenset({"/Type", "/Subtype", "/FormType", "/BBox", "/Matrix", "/Resources", "/Group"} | _STREAM)
_TILE = frozenset(
    {"/Type", "/PatternType", "/PaintType", "/TilingType", "/BBox", "/XStep", "/YStep", "/Resources", "/Matrix"} | _STREAM
)  # fmt: skip
_GLYPH = frozenset(_STREAM)
_GRAPHICS_STATE_MEMBERS = "/Type /LW /LC /LJ /ML /D /RI /Font /FL /SM /SA /BM /SMask /CA /ca /AIS /TK"
_GRAPHICS_STATE = frozenset(_GRAPHICS_STATE_MEMBERS.split())
_IMAGES_AND_FILTERS = """
/Length /Length1 /Length2 /Length3 /Filter /DecodeParms /Type /Subtype /Width /Height /ColorSpace /BitsPerComponent /Intent /ImageMask
/Mask /Decode /Interpolate /SMask /SMaskInData /Matte /Predictor /Colors /Columns /EarlyChange /K /EndOfLine /EncodedByteAlign /Rows
/EndOfBlock /BlackIs1 /DamagedRowsBeforeError /ColorTransform /JBIG2Globals
"""
_FONTS = """
/BaseFont /FirstChar /LastChar /Widths /FontDescriptor /Encoding /ToUnicode /DescendantFonts /CIDSystemInfo /DW /W /DW2 /W2 /CIDToGIDMap
/FontBBox /FontMatrix /CharProcs /Resources /FontName /FontFamily /FontStretch /FontWeight /Flags /ItalicAngle /Ascent /Descent /Leading
/CapHeight /XHeight /StemV /StemH /AvgWidth /MaxWidth /MissingWidth /FontFile /FontFile2 /FontFile3 /CharSet /Style /FD /CIDSet
/BaseEncoding /Differences /CMapName /WMode /UseCMap /Registry /Ordering /Supplement /Panose
"""
_COLOURS = """
/N /Alternate /Range /WhitePoint /BlackPoint /Gamma /Colorants /Process /Components /FunctionType /Domain /Size /BitsPerSample /Order
/Encode /C0 /C1 /Functions /Bounds /Function /ShadingType /Background /BBox /AntiAlias /Coords /Extend /Matrix /BitsPerCoordinate
/BitsPerFlag /VerticesPerRow /PatternType /Shading /S /CS /I /G /BC /TR
"""
_LEAF = frozenset((_IMAGES_AND_FILTERS + _FONTS + _COLOURS).split())
_NAMED = frozenset({"/Colorants", "/CharProcs"})
"""Members whose own members have names of their own choosing."""


class Resources:
    """Cleans resource dictionaries and all they lead to, in place."""

    def __init__(self, pdf: Any, layers: Layers, removed: Removed) -> None:
        self._pdf, self._layers, self._removed = pdf, layers, removed
        self._done: set[tuple[int, int]] = set()
        self.not_embedded: set[str] = set()

    def content(self, streams: Any, resources: Any, page: Box | None = None) -> tuple[list[Any], Used]:
        """The cleaned instructions of a page or stream and the resources they use. Raises :class:`Malformed`."""
        cleaning = Cleaning(
            layer=lambda name: self._layers.shows(_member(resources, "/Properties", name)),
            xobject=lambda name: self._drawable(_member(resources, "/XObject", name)),
            extent=lambda name: _extent(_member(resources, "/XObject", name)),
            page=page,
            removed=self._removed,
        )
        try:
            instructions = pikepdf.parse_content_stream(streams)
        except (pikepdf.PdfError, pikepdf.PdfParsingError) as error:
            raise Malformed(f"content stream: {type(error).__name__}") from error
        try:
            return cleaning.run(instructions), cleaning.used
        except (ValueError, TypeError, IndexError, ArithmeticError) as error:
            raise Malformed(f"operands: {type(error).__name__}") from error

    def kept(self, resources: Any, used: Used, depth: int = 0) -> Any:
        """A new resource dictionary with what is used and nothing else, all of it cleaned."""
        if depth > _DEPTH:
            raise Malformed("resources nested without end")
        kept = Dictionary()
        for category in _CATEGORIES:
            present = resources.get(category) if isinstance(resources, Dictionary) else None
            if not isinstance(present, Dictionary):
                continue
            names = used.names.get(category, set()) | (_DEFAULT_SPACES if category == "/ColorSpace" else set())
            found = {name: present[name] for name in sorted(names) if name in present}
            for one in found.values():
                self._resource(category, one, resources, depth + 1)
            if found:
                kept[category] = Dictionary(found)
        return kept

    def group(self, group: Any) -> None:
        """A page's transparency group."""
        if self._first_time(group):
            self._leaf(group, None, 0)

    def _drawable(self, xobject: Any) -> bool:
        """Whether an XObject is drawn: an image or a form whose layer is shown."""
        if not isinstance(xobject, Stream) or str(xobject.get("/Subtype", "")) not in ("/Image", "/Form"):
            return False
        return self._layers.shows(xobject.get("/OC"))

    def _resource(self, category: str, one: Any, around: Any, depth: int) -> None:
        if self._first_time(one):
            _CLEANERS.get(category, Resources._leaf)(self, one, around, depth)

    def _first_time(self, one: Any) -> bool:
        if not isinstance(one, (Dictionary, Stream, Array)) or not one.is_indirect:
            return True
        if one.objgen in self._done:
            return False
        self._done.add(one.objgen)
        return True

    def _xobject(self, one: Any, around: Any, depth: int) -> None:
        if str(one.get("/Subtype", "")) == "/Form":
            self._drawing(one, _FORM, around, depth)
            if "/Group" in one:
                self._leaf(one["/Group"], around, depth + 1)
            return
        self._leaf(one, around, depth)
        self._removed.add("picture_metadata", without_metadata(one))

    def _drawing(self, one: Any, members: frozenset[str], around: Any, depth: int) -> None:
        """A stream that draws: its content cleaned, its resources its own, nothing else in it."""
        _within(one)
        resources = one.get("/Resources", around)
        instructions, used = self.content(one, resources)
        _keep(one, members)
        one["/Resources"] = self.kept(resources, used, depth + 1)
        one.write(pikepdf.unparse_content_stream(instructions))

    def _pattern(self, one: Any, around: Any, depth: int) -> None:
        if isinstance(one, Stream):
            self._drawing(one, _TILE, around, depth)
        else:
            self._leaf(one, around, depth)

    def _graphics_state(self, one: Any, around: Any, depth: int) -> None:
        """Without overprint, transfer functions and halftones: they make prints differ from what the screen shows."""
        if not isinstance(one, Dictionary):
            return
        _keep(one, _GRAPHICS_STATE)
        mask = one.get("/SMask")
        if isinstance(mask, Dictionary):
            _keep(mask, frozenset({"/Type", "/S", "/G", "/BC", "/TR"}))
            if isinstance(mask.get("/G"), Stream):
                self._resource("/XObject", mask["/G"], around, depth + 1)
            self._leaf(mask.get("/TR"), around, depth + 1)
        font = one.get("/Font")
        if isinstance(font, Array) and len(font):
            self._resource("/Font", font[0], around, depth + 1)

    def _font(self, one: Any, around: Any, depth: int) -> None:
        if not isinstance(one, Dictionary):
            return
        if str(one.get("/Subtype", "")) == "/Type3":
            self._drawn_font(one, around, depth)
        elif not _embedded(one):
            self.not_embedded.add(str(one.get("/BaseFont", "/?"))[1:64])
        self._leaf(one, around, depth)

    def _drawn_font(self, font: Any, around: Any, depth: int) -> None:
        """A Type 3 font: each glyph is a stream that draws, all with the font's resources."""
        resources, together = font.get("/Resources", around), Used()
        for glyph in dict(font.get("/CharProcs", {})).values():
            if isinstance(glyph, Stream) and self._first_time(glyph):
                _within(glyph)
                instructions, used = self.content(glyph, resources)
                _keep(glyph, _GLYPH)
                glyph.write(pikepdf.unparse_content_stream(instructions))
                together.include(used)
        font["/Resources"] = self.kept(resources, together, depth + 1)

    def _leaf(self, one: Any, around: Any, depth: int) -> None:
        """Everything that draws nothing by itself: the members of the table stay, all the way down."""
        if depth > _DEPTH:
            raise Malformed("objects nested without end")
        if isinstance(one, Stream):
            _within(one)
        if isinstance(one, (Dictionary, Stream)):
            _keep(one, _LEAF)
            self._members(one, around, depth)
        elif isinstance(one, Array):
            for item in one:
                self._next(item, around, depth)

    def _members(self, one: Any, around: Any, depth: int) -> None:
        for key in list(one.keys()):
            value = one[key]
            if key in _NAMED and isinstance(value, Dictionary):
                for named in dict(value).values():
                    self._next(named, around, depth)
            elif key == "/Resources":
                continue  # of a Type 3 font: cleaned with its glyphs
            else:
                self._next(value, around, depth)

    def _next(self, value: Any, around: Any, depth: int) -> None:
        if isinstance(value, (Dictionary, Stream, Array)) and self._first_time(value):
            self._leaf(value, around, depth + 1)


_CLEANERS = {
    "/XObject": Resources._xobject, "/Pattern": Resources._pattern, "/ExtGState": Resources._graphics_state, "/Font": Resources._font,
}  # fmt: skip


def _member(resources: Any, category: str, name: str) -> Any:
    present = resources.get(category) if isinstance(resources, Dictionary) else None
    return present.get(name) if isinstance(present, Dictionary) else None


def _keep(one: Any, members: Iterable[str]) -> None:
    present = list(one.keys())
    for key in [key for key in present if key not in members]:
        del one[key]


def _within(stream: Any) -> None:
    if "/F" in stream or "/FFilter" in stream:
        raise RefersOutside("a stream in another file")


def _extent(xobject: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(xobject, Stream):
        return None
    if str(xobject.get("/Subtype", "")) != "/Form":
        return 0.0, 0.0, 1.0, 1.0
    left, bottom, right, top = (float(value) for value in xobject["/BBox"])
    matrix = Matrix.of(xobject.get("/Matrix", (1, 0, 0, 1, 0, 0)))
    box = bounds_of(matrix.apply(x, y) for x in (left, right) for y in (bottom, top))
    return box.left, box.bottom, box.right, box.top


def _embedded(font: Any) -> bool:
    """Whether the font's program is in the file: otherwise every reader draws it with what it has."""
    descendants = font.get("/DescendantFonts")
    holder = descendants[0] if isinstance(descendants, Array) and len(descendants) else font
    descriptor = holder.get("/FontDescriptor")
    return isinstance(descriptor, Dictionary) and any(name in descriptor for name in ("/FontFile", "/FontFile2", "/FontFile3"))
