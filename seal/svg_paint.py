"""How an SVG element is painted: ink or nothing. One dark, opaque ink; what the file calls it is not kept."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from PIL import ImageColor

from seal.impressions import SvgElement, SvgPaint
from seal.svg_shapes import length

LIGHTEST = 170
"""Luma above which a paint is no ink but a ground."""
_NOTHING = ("none", "transparent")


@dataclass(frozen=True, slots=True)
class Paint:
    """Whether it is filled and stroked, and by which rule it encloses."""

    fill: bool
    stroke: bool
    stroke_width: float
    even_odd: bool
    visible: bool


INITIAL = Paint(fill=True, stroke=False, stroke_width=1.0, even_odd=False, visible=True)


def painted(outer: Paint, attributes: Mapping[str, str]) -> Paint:
    """What an element paints with, from what it inherits and what it says. Raises ``SvgPaint`` or ``SvgElement``."""
    said = {name: value for name, value in attributes.items() if name in _PROPERTIES} | _style(attributes.get("style", ""))
    paint = outer
    for name, value in said.items():
        paint = _PROPERTIES[name](paint, value.strip())
    return paint


def _style(text: str) -> dict[str, str]:
    said = {}
    for declaration in text.split(";"):
        if not declaration.strip():
            continue
        name, colon, value = declaration.partition(":")
        if not colon or name.strip() not in _PROPERTIES:
            raise SvgElement("a style that is not allowed", name="style")
        said[name.strip()] = value.strip()
    return said


def _inks(value: str) -> bool:
    """Whether a paint is ink. Raises ``SvgPaint`` where it is light."""
    if value.lower() in _NOTHING:
        return False
    if value.lower() in ("currentcolor", "inherit"):
        return True
    try:
        colour: tuple[int, ...] = ImageColor.getrgb(value)
    except ValueError as error:
        raise SvgPaint("a paint that is no plain colour") from error
    red, green, blue, *opacity = colour
    if 0.299 * red + 0.587 * green + 0.114 * blue > LIGHTEST:
        raise SvgPaint("a light paint")
    if opacity not in ([], [255]):
        raise SvgPaint("a half-transparent paint")
    return True


def _whole(value: str) -> bool:
    """Whether an opacity is 1; False where it is 0. Raises ``SvgPaint`` for what lies between."""
    part = float(value)
    if part not in (0.0, 1.0):
        raise SvgPaint("half-transparent")
    return part == 1.0


def _fill(paint: Paint, value: str) -> Paint:
    return replace(paint, fill=_inks(value)) if value != "inherit" else paint


def _stroke(paint: Paint, value: str) -> Paint:
    return replace(paint, stroke=_inks(value)) if value != "inherit" else paint


def _fill_opacity(paint: Paint, value: str) -> Paint:
    return replace(paint, fill=paint.fill and _whole(value))


def _stroke_opacity(paint: Paint, value: str) -> Paint:
    return replace(paint, stroke=paint.stroke and _whole(value))


def _opacity(paint: Paint, value: str) -> Paint:
    return replace(paint, visible=paint.visible and _whole(value))


def _stroke_width(paint: Paint, value: str) -> Paint:
    width = length(value)
    if not (math.isfinite(width) and width >= 0):
        raise SvgPaint("no such width of a stroke")
    return replace(paint, stroke_width=width)


def _rule(paint: Paint, value: str) -> Paint:
    if value not in ("nonzero", "evenodd"):
        raise SvgElement("an unknown rule", name="fill-rule")
    return replace(paint, even_odd=value == "evenodd")


def _display(paint: Paint, value: str) -> Paint:
    return replace(paint, visible=paint.visible and value != "none")


def _visibility(paint: Paint, value: str) -> Paint:
    return replace(paint, visible=paint.visible and value not in ("hidden", "collapse"))


def _no_matter(paint: Paint, value: str) -> Paint:
    return paint


def _only(*allowed: str) -> Callable[[Paint, str], Paint]:
    def check(paint: Paint, value: str) -> Paint:
        if value not in allowed:
            raise SvgElement("a style that would look otherwise here", name="style")
        return paint

    return check


_PROPERTIES: dict[str, Callable[[Paint, str], Paint]] = {
    "fill": _fill,
    "stroke": _stroke,
    "fill-opacity": _fill_opacity,
    "stroke-opacity": _stroke_opacity,
    "opacity": _opacity,
    "stroke-width": _stroke_width,
    "fill-rule": _rule,
    "display": _display,
    "visibility": _visibility,
    "color": _no_matter,
    "stroke-linejoin": _only("miter", "round", "bevel"),
    "stroke-linecap": _only("butt"),
    "stroke-miterlimit": _no_matter,
    "stroke-dasharray": _only("none"),
    "stroke-dashoffset": _only("0"),
    "clip-rule": _no_matter,
    "paint-order": _no_matter,
    "shape-rendering": _no_matter,
    "mix-blend-mode": _only("normal"),
}
ATTRIBUTES = frozenset(_PROPERTIES) - {"mix-blend-mode"} | {"style"}
