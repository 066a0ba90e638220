"""Drawing pages with PDFium, within a child process: pictures for the approver, and whether two documents show the same.

PDFium is not safe across threads; a child has one.
"""
# mypy: allow-untyped-calls

import io
from collections.abc import Iterator
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image, ImageChops

from seal.sanitising_errors import ChangedByRebuilding, Malformed, NoSuchPage

COMPARED_DPI = 72
MOST_COMPARED_PIXELS = 4_000_000
MOST_PIXELS = 24_000_000
TOLERANCE = 24
"""Of 255, in any colour of any pixel: what rounding moves at the edge of a flattened annotation; a missing dot makes more."""
COLOURS = 256


def require_same_pictures(before: bytes, after: bytes) -> None:
    """Draw both, page by page. Raises :class:`ChangedByRebuilding` with the first page that differs, or :class:`Malformed`."""
    try:
        with _opened(before) as source, _opened(after) as rebuilt:
            if len(source) != len(rebuilt):
                raise ChangedByRebuilding("pages", page=min(len(source), len(rebuilt)) + 1)
            for number in range(len(source)):
                _require_same(source, rebuilt, number)
    except pypdfium2.PdfiumError as error:
        raise Malformed("not drawn") from error


def pages_as_png(pdf: bytes, numbers: list[int], dpi: int) -> Iterator[bytes]:
    """The pages (counted from 0) as opaque PNG, annotations included. Raises :class:`NoSuchPage`, :class:`Malformed`."""
    try:
        with _opened(pdf) as document:
            for number in numbers:
                if not 0 <= number < len(document):
                    raise NoSuchPage(str(number))
                width, height = _fitting(document[number].get_size(), dpi, MOST_PIXELS)
                yield _png(_drawn(document, number, width, height))
    except pypdfium2.PdfiumError as error:
        raise Malformed("not drawn") from error


def _opened(pdf: bytes) -> Any:
    document = pypdfium2.PdfDocument(pdf)
    document.init_forms()  # before a page is loaded: fields are drawn by the form layer
    return document


def _require_same(source: Any, rebuilt: Any, number: int) -> None:
    width, height = _fitting(source[number].get_size(), COMPARED_DPI, MOST_COMPARED_PIXELS)
    difference = ImageChops.difference(_drawn(source, number, width, height), _drawn(rebuilt, number, width, height))
    extrema: Any = difference.getextrema()
    if max(high for _, high in extrema) > TOLERANCE:
        raise ChangedByRebuilding(f"page {number + 1}", page=number + 1)


def _fitting(size: tuple[float, float], dpi: int, pixels: int) -> tuple[int, int]:
    """The picture's sides in pixels, smaller than asked for where the page is so large that it would not fit."""
    width, height = (max(1.0, side * dpi / 72) for side in size)
    shrink = min(1.0, (pixels / (width * height)) ** 0.5)
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def _drawn(document: Any, number: int, width: int, height: int) -> Image.Image:
    page = document[number]
    bitmap = pypdfium2.PdfBitmap.new_native(width, height, pdfium.FPDFBitmap_BGRA)  # with BGRx text over text is smoothed otherwise
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, pdfium.FPDF_ANNOT)
    if page.formenv:
        pdfium.FPDF_FFLDraw(page.formenv, bitmap, page, 0, 0, width, height, 0, pdfium.FPDF_ANNOT)
    drawn: Image.Image = bitmap.to_pil().convert("RGB")
    page.close()
    return drawn


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(buffer, "PNG")
    return buffer.getvalue()
