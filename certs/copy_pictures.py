"""Pictures of an original's pages for its annotated copy: every page as drawn with its seal, the copy's purpose written across it.

The words are part of the picture: whoever takes the picture out of the file takes them along. CPU-bound: runs where rendering runs.
"""

import contextlib
import io
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pypdfium2
from PIL import Image, ImageDraw, ImageFont

from certs.fonts import REQUIRED_FONTS
from certs.pictures import MOST_OCTETS, PictureFailed, draw_page, one_at_a_time

DPI = 150
QUALITY = 84
MOST_PAGES = 12
MOST_WORDS = 60
POINTS_PER_INCH = 72
MM_PER_INCH = 25.4
TURN = 27
INK = (126, 38, 34)
OPACITY = 46
"""Of 255: seen at a glance, and no word beneath it is lost."""


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page as JPEG, and its size on paper."""

    jpeg: bytes
    width_mm: float
    height_mm: float


def page_pictures(pdf: bytes, words: str) -> tuple[PagePicture, ...]:
    """Every page of the original with ``words`` across it. Raises ``PictureFailed``: damaged, too large, too many pages."""
    if len(pdf) > MOST_OCTETS:
        raise PictureFailed(f"{len(pdf)} octets")
    with one_at_a_time():
        try:
            sizes = _sizes(pdf)
            images = [draw_page(pdf, number, DPI / POINTS_PER_INCH) for number in range(len(sizes))]
        except pypdfium2.PdfiumError as error:
            raise PictureFailed(str(error)) from error
    return tuple(PagePicture(_jpeg(marked(image, words)), *size) for image, size in zip(images, sizes, strict=True))


def _sizes(pdf: bytes) -> list[tuple[float, float]]:
    with contextlib.closing(pypdfium2.PdfDocument(pdf)) as document:
        if not 0 < len(document) <= MOST_PAGES:
            raise PictureFailed(f"{len(document)} pages")
        points = [document.get_page_size(number) for number in range(len(document))]
    return [(width / POINTS_PER_INCH * MM_PER_INCH, height / POINTS_PER_INCH * MM_PER_INCH) for width, height in points]


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def marked_page(page: PagePicture, words: str) -> PagePicture:
    """A page that was drawn elsewhere, with the words across it."""
    with Image.open(io.BytesIO(page.jpeg)) as image:
        return PagePicture(_jpeg(marked(image.convert("RGB"), words)), page.width_mm, page.height_mm)


def marked(image: Image.Image, words: str) -> Image.Image:
    """The picture with the words slanting across all of it."""
    tile = _tile(words[:MOST_WORDS], max(18, min(image.size) // 34))
    side = math.ceil(math.hypot(*image.size))
    layer = Image.new("L", (side, side))
    width, height = tile.size
    for line, top in enumerate(range(0, side, height * 5)):
        for place in range(-(line % 2) * width // 2, side, width):
            layer.paste(tile, (place, top))
    turned = layer.rotate(TURN, Image.Resampling.BILINEAR)
    corner = ((side - image.width) // 2, (side - image.height) // 2)
    mask = turned.crop((*corner, corner[0] + image.width, corner[1] + image.height))
    return Image.composite(Image.new("RGB", image.size, INK), image, mask)


@lru_cache(maxsize=8)
def _tile(words: str, size: int) -> Image.Image:
    """The words once, as a mask, with room behind them."""
    font = _font(size)
    box = font.getbbox(words)
    tile = Image.new("L", (math.ceil(box[2]) + 4 * size, math.ceil(box[3]) + size // 3))
    ImageDraw.Draw(tile).text((0, 0), words, fill=OPACITY, font=font)
    return tile


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    path: Path = REQUIRED_FONTS.required()[1]
    return ImageFont.truetype(path, size)
