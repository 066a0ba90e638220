"""SVG impressions, drawn anew: what is not on the lists below is refused, and nothing of the file is passed on.

:func:`svg_drawing`
  1. the XML without document type, entities or processing instructions, within bounds of depth and number
  2. elements and attributes of the lists only; no scripts, events, references, animation
  3. paths and basic shapes become outlines under their transforms; one dark opaque ink
  4. the frame has the proportions, and where it says so the size, of the impression; nothing lies outside of it
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from xml.parsers import expat

from seal import svg_paint, svg_shapes
from seal.designs import Shape
from seal.drawing import Drawing, Layer, SegmentPath, mapped
from seal.impressions import (
    ImpressionAnimated,
    ImpressionEmpty,
    ImpressionProportions,
    ImpressionRefused,
    ImpressionSize,
    ImpressionTooComplex,
    SvgElement,
    SvgEntities,
    SvgFrame,
    SvgMalformed,
    SvgReference,
    SvgScript,
    Upload,
)
from seal.svg_shapes import Matrix

NAMESPACE = "http://www.w3.org/2000/svg"
MAX_DEPTH, MAX_ELEMENTS, MAX_SEGMENTS = 32, 5_000, 60_000
SIDEWAYS = 1.02
"""How much more a transform may stretch a stroked line one way than the other."""
_OUTSIDE_MM, _HANDLE_PART = 0.35, 0.25
_OFF_SIZE, _OFF_PROPORTION = 0.05, 0.01

_GROUPS = frozenset({"svg", "g"})
_SILENT = frozenset({"title", "desc", "metadata"})
_EMPTY_ONLY = frozenset({"defs"})
_REFERENCES = frozenset({"a", "use", "image", "feimage", "foreignobject", "iframe", "embed", "object", "link"})
_MOVING = frozenset({"animate", "animatetransform", "animatemotion", "animatecolor", "set", "discard"})
_SCRIPTS = frozenset({"script", "handler", "listener"})
_PLAIN = frozenset(
    {"id", "class", "version", "baseProfile", "role", "x", "y", "width", "height", "viewBox", "preserveAspectRatio", "transform"}
)
_BAD_WORDS = ("url(", "@import", "expression(", "\\")
_BAD_SCHEMES = ("javascript:", "vbscript:", "data:")
_PER_MM = {"mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72, "pc": 25.4 / 6}


@dataclass(frozen=True, slots=True)
class _Scope:
    """What an element hands down to those within."""

    name: str
    matrix: Matrix
    paint: svg_paint.Paint


@dataclass
class _Reading:
    """The state of one reading."""

    upload: Upload
    layers: list[Layer] = field(default_factory=list)
    scopes: list[_Scope] = field(default_factory=list)
    elements: int = 0
    segments: int = 0
    silent: int = 0
    refusal: ImpressionRefused | None = None


def svg_drawing(upload: Upload) -> Drawing:
    """See the module's steps. Raises an :class:`~seal.impressions.ImpressionRefused`."""
    reading = _Reading(upload)
    parser = _parser(reading)
    try:
        parser.Parse(upload.content, True)
    except expat.ExpatError as error:
        raise SvgMalformed(expat.ErrorString(error.code)) from error
    except (ValueError, LookupError, OverflowError, UnicodeError) as error:
        raise SvgMalformed(type(error).__name__) from error
    if not reading.layers:
        raise ImpressionEmpty("nothing is painted")
    return Drawing(tuple(reading.layers), upload.width_mm, upload.height_mm)


def _parser(reading: _Reading) -> expat.XMLParserType:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartElementHandler = lambda name, attributes: _start(reading, name, attributes)
    parser.EndElementHandler = lambda _: _end(reading)
    parser.CharacterDataHandler = lambda data: _words(reading, data)
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.ExternalEntityRefHandler = _refuse_entities
    parser.ProcessingInstructionHandler = parser.SkippedEntityHandler = parser.UnparsedEntityDeclHandler = _refuse_entities
    return parser


def _refuse_entities(*_: Any) -> int:
    raise SvgEntities


# Elements


def _start(reading: _Reading, qualified: str, attributes: dict[str, str]) -> None:
    reading.elements += 1
    if reading.elements > MAX_ELEMENTS or len(reading.scopes) + reading.silent > MAX_DEPTH:
        raise ImpressionTooComplex(f"{reading.elements} elements, {len(reading.scopes)} deep")
    namespace, _, name = qualified.rpartition(" ")
    _refuse_dangerous(name, attributes)
    if reading.silent:
        reading.silent += 1
    elif namespace != NAMESPACE:
        raise SvgElement("an element of another language")
    elif name in _SILENT:
        reading.silent = 1
    else:
        _enter(reading, name, _own(attributes))


def _refuse_dangerous(name: str, attributes: Mapping[str, str]) -> None:
    """Whatever the lists below say of it."""
    lower = name.lower()
    if lower in _SCRIPTS:
        raise SvgScript(lower)
    if lower in _REFERENCES:
        raise SvgReference(lower)
    if lower in _MOVING:
        raise ImpressionAnimated(lower)
    for qualified, value in attributes.items():
        local, said = qualified.rpartition(" ")[2].lower(), "".join(value.lower().split())
        if local.startswith("on") or any(said.startswith(scheme) for scheme in _BAD_SCHEMES):
            raise SvgScript(f"in {lower}")
        if local in ("href", "src", "base") or any(word in said for word in _BAD_WORDS):
            raise SvgReference(f"in {lower}")


def _own(attributes: Mapping[str, str]) -> dict[str, str]:
    """Those of SVG itself; what editors add in their own name spaces says nothing about the picture."""
    return {name: value for name, value in attributes.items() if " " not in name and not name.startswith(("data-", "aria-"))}


def _enter(reading: _Reading, name: str, attributes: dict[str, str]) -> None:
    if (name == "svg") is bool(reading.scopes):
        raise SvgElement("one svg, at the root", name="svg")
    if reading.scopes and reading.scopes[-1].name not in _GROUPS:
        raise SvgElement("only a group holds other elements")
    outlines = svg_shapes.SHAPES.get(name)
    if outlines is None and name not in _GROUPS | _EMPTY_ONLY:
        raise SvgElement(name[:40] if name.isascii() and name.isalnum() else "unknown", name=name[:40] if name.isalnum() else "")
    known = _PLAIN | svg_paint.ATTRIBUTES | (svg_shapes.ATTRIBUTES[name] if outlines else frozenset())
    if unknown := sorted(set(attributes) - known):
        raise SvgElement("an attribute that is not allowed", name=unknown[0][:40] if unknown[0].replace("-", "").isalnum() else "")
    scope = _scope(reading, name, attributes)
    reading.scopes.append(scope)
    if outlines is not None and scope.paint.visible:
        _draw(reading, outlines(attributes), scope)


def _scope(reading: _Reading, name: str, attributes: Mapping[str, str]) -> _Scope:
    if name == "svg":
        return _Scope(name, _frame(attributes, reading.upload), svg_paint.painted(svg_paint.INITIAL, attributes))
    outer = reading.scopes[-1]
    matrix = svg_shapes.times(outer.matrix, svg_shapes.transform(attributes["transform"])) if "transform" in attributes else outer.matrix
    return _Scope(name, matrix, svg_paint.painted(outer.paint, attributes))


def _end(reading: _Reading) -> None:
    if reading.silent:
        reading.silent -= 1
        return
    reading.scopes.pop()


def _words(reading: _Reading, data: str) -> None:
    if not reading.silent and data.strip():
        raise SvgElement("text", name="text")


# The frame


def _frame(attributes: Mapping[str, str], upload: Upload) -> Matrix:
    """From the file's units to millimetres about the centre, y up."""
    left, top, width, height = _view(attributes)
    stated = [_millimetres(attributes.get(name, "")) for name in ("width", "height")]
    for said, wanted in zip(stated, (upload.width_mm, upload.height_mm), strict=True):
        if said is not None and abs(said - wanted) > _OFF_SIZE * wanted:
            raise ImpressionSize(f"the file says {said:.4g} mm, the order {wanted:g}")
    if abs(width / height / (upload.width_mm / upload.height_mm) - 1) > _OFF_PROPORTION:
        raise ImpressionProportions(f"{width:g} × {height:g} for {upload.width_mm:g} × {upload.height_mm:g} mm")
    across, down = upload.width_mm / width, upload.height_mm / height
    return (across, 0.0, 0.0, -down, -left * across - upload.width_mm / 2, top * down + upload.height_mm / 2)


def _view(attributes: Mapping[str, str]) -> tuple[float, float, float, float]:
    if "viewBox" in attributes:
        box = svg_shapes.numbers(attributes["viewBox"])
    else:
        box = [0.0, 0.0, *(svg_shapes.length(attributes.get(name, "")) for name in ("width", "height"))]
    if len(box) != 4 or not (box[2] > 0 and box[3] > 0):
        raise SvgMalformed("no frame: neither a viewBox nor a width and a height")
    return box[0], box[1], box[2], box[3]


def _millimetres(text: str) -> float | None:
    """A length that is one of paper; None where it is said in pixels or not at all."""
    unit = text.strip()[-2:].lower()
    return svg_shapes.numbers(text.strip()[:-2])[0] * _PER_MM[unit] if unit in _PER_MM else None


# Drawing


def _draw(reading: _Reading, path: SegmentPath, scope: _Scope) -> None:
    reading.segments += len(path)
    if reading.segments > MAX_SEGMENTS:
        raise ImpressionTooComplex(f"more than {MAX_SEGMENTS} segments")
    placed = mapped(path, lambda point: svg_shapes.applied(scope.matrix, point))
    stroke = scope.paint.stroke_width * _stretch(scope.matrix) if scope.paint.stroke else 0.0
    layer = Layer(placed, scope.paint.fill, stroke, scope.paint.even_odd)
    if not placed or not (layer.fill or layer.stroke):
        return
    _check_within(replace(layer, stroke=max(stroke, 0.0)), reading.upload)
    reading.layers.append(layer)


def _stretch(matrix: Matrix) -> float:
    """How much wider a line becomes. Raises ``SvgElement`` where that depends on its direction."""
    a, b, c, d = matrix[:4]
    whole, difference = a * a + b * b + c * c + d * d, 2 * abs(a * d - b * c)
    apart = math.sqrt(max(whole * whole - difference * difference, 0.0))
    long, short = math.sqrt((whole + apart) / 2), math.sqrt(max((whole - apart) / 2, 0.0))
    if long > SIDEWAYS * short:
        raise SvgElement("a stroke that is stretched one way only", name="transform")
    return math.sqrt(long * short)


def _check_within(layer: Layer, upload: Upload) -> None:
    half_width, half_height = upload.width_mm / 2, upload.height_mm / 2
    for _, points in layer.path:
        for x, y in points[:-1]:
            if abs(x) > half_width * (1 + 2 * _HANDLE_PART) or abs(y) > half_height * (1 + 2 * _HANDLE_PART):
                raise SvgFrame("a control point far outside")
        for x, y in points[-1:]:
            if not _inside(abs(x) + layer.stroke / 2, abs(y) + layer.stroke / 2, upload, layer.stroke):
                raise SvgFrame(f"{x:.4g}, {y:.4g} mm from the centre")


def _inside(x: float, y: float, upload: Upload, stroke: float) -> bool:
    half_width, half_height = upload.width_mm / 2 + _OUTSIDE_MM, upload.height_mm / 2 + _OUTSIDE_MM
    if upload.shape is Shape.SQUARE:
        return x <= half_width and y <= half_height
    x, y = max(0.0, x - stroke / 2), max(0.0, y - stroke / 2)
    return (x / (half_width - stroke / 2)) ** 2 + (y / (half_height - stroke / 2)) ** 2 <= 1
