"""Writing a drawing: SVG, PDF operators, and a transparent PNG for inside the SESeal."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pypdfium2
from PIL import Image

from seal.designs import INKS, Colour
from seal.drawing import Drawing, Layer, Point

POINTS_PER_MM = 72 / 25.4
PNG_DPI = 300
_SHADES = 16
"""Levels of transparency in the PNG: four bits a pixel."""
_BLACK = (0, 0, 0)
_MITER = 2.4

Ink: TypeAlias = tuple[int, int, int]
Place: TypeAlias = Callable[[Point], Point]


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


def engrave(drawing: Drawing, colour: Colour = Colour.RED) -> SealPicture:
    """Every form of one drawing, in one ink."""
    return SealPicture(
        svg=svg(drawing, colour),
        png=rasterise(drawing, PNG_DPI, colour),
        pdf_content=pdf_content(drawing, INKS[colour]),
        width_mm=drawing.width_mm,
        height_mm=drawing.height_mm,
    )


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def svg(drawing: Drawing, colour: Colour) -> bytes:
    """An SVG of paths only, in millimetres."""
    ink = "#{:02X}{:02X}{:02X}".format(*INKS[colour])
    width, height = _number(drawing.width_mm, 3), _number(drawing.height_mm, 3)
    centre = drawing.width_mm / 2, drawing.height_mm / 2
    body = "".join(_svg_path(layer, centre, ink) for layer in drawing.layers)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" viewBox="0 0 {width} {height}">'
    return f"{head}{body}</svg>\n".encode()


def _svg_path(layer: Layer, centre: Point, ink: str) -> str:
    def place(point: Point) -> Point:
        return centre[0] + point[0], centre[1] - point[1]

    data = "".join(operator + " ".join(_pair(place(point), 3) for point in points) for operator, points in layer.path)
    fill = ink if layer.fill else "none"
    rule = ' fill-rule="evenodd"' if layer.even_odd else ""
    stroke = (
        f' stroke="{ink}" stroke-width="{_number(layer.stroke, 3)}" stroke-linejoin="miter" stroke-miterlimit="{_MITER}"'
        if layer.stroke
        else ""
    )
    return f'<path fill="{fill}"{rule}{stroke} d="{data}"/>'


def _pair(point: Point, digits: int) -> str:
    return f"{_number(point[0], digits)} {_number(point[1], digits)}"


_PDF_OPERATORS = {"M": "m", "L": "l", "C": "c", "Z": "h"}


def pdf_content(drawing: Drawing, ink: Ink) -> bytes:
    """The drawing as a content stream; fonts are outlines, colour is DeviceRGB."""
    centre = drawing.width_mm / 2 * POINTS_PER_MM, drawing.height_mm / 2 * POINTS_PER_MM
    colour = " ".join(_number(part / 255, 4) for part in ink)
    lines = ["q", f"{colour} rg", f"{colour} RG", f"0 j {_MITER} M"]
    for layer in drawing.layers:
        lines.append(f"{_number(layer.stroke * POINTS_PER_MM, 3)} w")
        lines.extend(_pdf_segment(operator, points, centre) for operator, points in layer.path)
        lines.append(_painting(layer))
    return "\n".join([*lines, "Q", ""]).encode()


def _painting(layer: Layer) -> str:
    if not layer.fill:
        return "S"
    return ("B" if layer.stroke else "f") + ("*" if layer.even_odd else "")


def _pdf_segment(operator: str, points: Sequence[Point], centre: Point) -> str:
    placed = [_pair((centre[0] + x * POINTS_PER_MM, centre[1] + y * POINTS_PER_MM), 2) for x, y in points]
    return " ".join([*placed, _PDF_OPERATORS[operator]])


def rasterise(drawing: Drawing, dpi: int, colour: Colour = Colour.RED) -> bytes:
    """A PNG of the drawing: one colour, sixteen degrees of transparency."""
    cover = coverage(drawing, dpi).point([round(level / 255 * (_SHADES - 1)) for level in range(256)])
    picture = Image.frombytes("P", cover.size, cover.tobytes())
    picture.putpalette(bytes(INKS[colour]) * _SHADES)
    out = io.BytesIO()
    opacity = bytes(round(shade * 255 / (_SHADES - 1)) for shade in range(_SHADES))
    picture.save(out, "PNG", transparency=opacity, bits=4, optimize=True, dpi=(dpi, dpi))
    return out.getvalue()


def coverage(drawing: Drawing, dpi: int) -> Image.Image:
    """How much of each pixel is ink: a picture of mode ``L``, 255 where all of it is."""
    content = pdf_content(drawing, _BLACK)
    document = pypdfium2.PdfDocument(_page(content, drawing.width_mm * POINTS_PER_MM, drawing.height_mm * POINTS_PER_MM))
    try:
        picture: Image.Image = document[0].render(scale=dpi / 72).to_pil().convert("L")
    finally:
        document.close()
    return picture.point([255 - level for level in range(256)])


def _page(content: bytes, width: float, height: float) -> bytes:
    """The least PDF that shows the drawing, for the renderer."""
    box = f"{_number(width, 3)} {_number(height, 3)}"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {box}]/Contents 4 0 R/Resources<<>>>>".encode(),
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
    ]
    data, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj%s endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(data)
    return data + b"xref\n0 5\n0000000000 65535 f \n" + table + trailer
