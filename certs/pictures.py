"""Pictures of PDF pages, annotations (a seal's appearance) included.

PDFium is not safe across threads: one lock a process. Rendering is progressive and gives up after ``SECONDS``; the size
of the file and of the picture are bounded.
"""

import ctypes
import io
import time
from threading import Lock

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from keys.base.errors import FujieError

MOST_OCTETS = 32 << 20
MOST_PIXELS = 24_000_000
SECONDS = 5.0
RESOLUTIONS = range(36, 301)
COLOURS = 256  # a quarter of the octets of full colour in half the time; a certificate's inks lose nothing

_drawing = Lock()


class PictureFailed(FujieError):
    """The page cannot be drawn within the bounds: damaged, too large, too slow, or not there."""

    code = "PICTURE_FAILED"
    status = 422
    public = ("无法生成该文件的图像。", "No picture can be made of this file.")


def picture(pdf: bytes, page: int = 0, dpi: int = 110) -> bytes:
    """The page (counted from 0) as an opaque PNG at ``dpi`` (36 to 300). Raises PictureFailed."""
    if dpi not in RESOLUTIONS or len(pdf) > MOST_OCTETS:
        raise PictureFailed(f"{len(pdf)} octets at {dpi} dpi")
    with one_at_a_time():
        try:
            image = draw_page(pdf, page, dpi / 72)
        except pypdfium2.PdfiumError as error:
            raise PictureFailed(str(error)) from error
    return as_png(image)


def as_png(image: Image.Image) -> bytes:
    """The picture in few colours."""
    buffer = io.BytesIO()
    image.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(buffer, "PNG")
    return buffer.getvalue()


def one_at_a_time() -> Lock:
    """What everything that calls PDFium in this process holds."""
    return _drawing


def draw_page(pdf: bytes, number: int, scale: float) -> Image.Image:
    """The page in full colour; the caller holds :func:`one_at_a_time`. Raises PictureFailed and PdfiumError."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        document.init_forms()  # before the page is loaded: a signature's widget is drawn by the form layer
        if not 0 <= number < len(document):
            raise PictureFailed(f"no page {number}")
        page = document[number]
        width, height = (max(1, round(side * scale)) for side in page.get_size())
        if width * height > MOST_PIXELS:
            raise PictureFailed(f"{width} x {height} pixels")
        bitmap = pypdfium2.PdfBitmap.new_native(width, height, pdfium.FPDFBitmap_BGRx)
        bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
        _render_in_time(page, bitmap, width, height)
        drawn: Image.Image = bitmap.to_pil().convert("RGB")
        return drawn
    finally:
        document.close()


def _render_in_time(page: pypdfium2.PdfPage, bitmap: pypdfium2.PdfBitmap, width: int, height: int) -> None:
    deadline = time.monotonic() + SECONDS
    out_of_time = type(pdfium.IFSDK_PAUSE().NeedToPauseNow)(lambda _: time.monotonic() > deadline)
    pause = pdfium.IFSDK_PAUSE(version=1, NeedToPauseNow=out_of_time, user=None)
    state = pdfium.FPDF_RenderPageBitmap_Start(bitmap, page, 0, 0, width, height, 0, pdfium.FPDF_ANNOT, ctypes.byref(pause))
    pdfium.FPDF_RenderPage_Close(page)
    if state != pdfium.FPDF_RENDER_DONE:
        raise PictureFailed("out of time" if state == pdfium.FPDF_RENDER_TOBECONTINUED else "not drawn")
    if page.formenv:
        pdfium.FPDF_FFLDraw(page.formenv, bitmap, page, 0, 0, width, height, 0, pdfium.FPDF_ANNOT)
