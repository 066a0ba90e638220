"""Writing drawn paths: SVG, PDF operators, and a small transparent PNG for inside the SESeal."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pypdfium2
from PIL import Image

from seal.outlines import Point, SegmentPath

SEAL_RED = (0xC8, 0x16, 0x1D)
POINTS_PER_MM = 72 / 25.4
PNG_DPI = 300
_SHADES = 16
"""Levels of transparency in the PNG: four bits a pixel."""

Place: TypeAlias = Callable[[Point], Point]


@dataclass(frozen=True, slots=True)
class Layer:
    """A path (mm, origin in the centre, y up) that is filled, or stroked ``stroke`` mm wide, or both."""

    path: SegmentPath
    fill: bool
    stroke: float


@dataclass(frozen=True, slots=True)
class SealPicture:
    """A seal's impression on transparent ground.

    ``svg``          viewBox in mm
    ``png``          300 dpi, palette, transparent
    ``pdf_content``  PDF operators, in points, bounding box [0 0 w h] with the origin lower left; needs no resources
    """

    svg: bytes
    png: bytes
    pdf_content: bytes
    width_mm: float
    height_mm: float


def engrave(layers: Sequence[Layer], size_mm: float, scale: float) -> SealPicture:
    """Every form of one drawing; ``scale`` turns the plan's millimetres into real ones."""
    content = pdf_content(layers, size_mm, scale)
    return SealPicture(
        svg=_svg(layers, size_mm, scale),
        png=rasterise(content, size_mm, PNG_DPI),
        pdf_content=content,
        width_mm=size_mm,
        height_mm=size_mm,
    )


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _svg(layers: Sequence[Layer], size: float, scale: float) -> bytes:
    colour = "#{:02X}{:02X}{:02X}".format(*SEAL_RED)
    length = _number(size, 2)
    body = "".join(_svg_path(layer, size / 2, scale, colour) for layer in layers)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{length}mm" height="{length}mm" viewBox="0 0 {length} {length}">'
    return f"{head}{body}</svg>\n".encode()


def _svg_path(layer: Layer, centre: float, scale: float, colour: str) -> str:
    def place(point: Point) -> Point:
        return centre + point[0] * scale, centre - point[1] * scale

    data = "".join(operator + " ".join(_pair(place(point), 3) for point in points) for operator, points in layer.path)
    fill = colour if layer.fill else "none"
    stroke = (
        f' stroke="{colour}" stroke-width="{_number(layer.stroke * scale, 3)}" stroke-linejoin="miter" stroke-miterlimit="2.4"'
        if layer.stroke
        else ""
    )
    return f'<path fill="{fill}"{stroke} d="{data}"/>'


def _pair(point: Point, digits: int) -> str:
    return f"{_number(point[0], digits)} {_number(point[1], digits)}"


_PDF_OPERATORS = {"M": "m", "L": "l", "C": "c", "Z": "h"}


def pdf_content(layers: Sequence[Layer], size_mm: float, scale: float) -> bytes:
    """The drawing as a content stream; fonts are outlines, colour is DeviceRGB."""
    centre, unit = size_mm / 2 * POINTS_PER_MM, scale * POINTS_PER_MM
    colour = " ".join(_number(part / 255, 4) for part in SEAL_RED)
    lines = ["q", f"{colour} rg", f"{colour} RG", "0 j 2.4 M"]
    for layer in layers:
        lines.append(f"{_number(layer.stroke * unit, 3)} w")
        lines.extend(_pdf_segment(operator, points, centre, unit) for operator, points in layer.path)
        lines.append(("B" if layer.fill else "S") if layer.stroke else "f")
    return "\n".join([*lines, "Q", ""]).encode()


def _pdf_segment(operator: str, points: Sequence[Point], centre: float, unit: float) -> str:
    placed = [_pair((centre + x * unit, centre + y * unit), 2) for x, y in points]
    return " ".join([*placed, _PDF_OPERATORS[operator]])


def rasterise(content: bytes, size_mm: float, dpi: int) -> bytes:
    """A PNG of the drawing: one colour, sixteen degrees of transparency."""
    side = size_mm * POINTS_PER_MM
    document = pypdfium2.PdfDocument(_page(content, side))
    try:
        picture = document[0].render(scale=dpi / 72).to_pil().convert("RGB")
    finally:
        document.close()
    green = SEAL_RED[1]
    cover = picture.getchannel("G").point([round((255 - max(level, green)) / (255 - green) * (_SHADES - 1)) for level in range(256)])
    picture = Image.frombytes("P", cover.size, cover.tobytes())
    picture.putpalette(bytes(SEAL_RED) * _SHADES)
    out = io.BytesIO()
    opacity = bytes(round(shade * 255 / (_SHADES - 1)) for shade in range(_SHADES))
    picture.save(out, "PNG", transparency=opacity, bits=4, optimize=True, dpi=(dpi, dpi))
    return out.getvalue()


def _page(content: bytes, side: float) -> bytes:
    """The least PDF that shows the drawing, for the renderer."""
    box = _number(side, 3)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {box} {box}]/Contents 4 0 R/Resources<<>>>>".encode(),
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
    ]
    data, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj%s endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(data)
    return data + b"xref\n0 5\n0000000000 65535 f \n" + table + trailer
