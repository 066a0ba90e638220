"""The pages of a scan: a PDF or a picture from a scanner, drawn anew as JPEG. Runs in the sandbox only: the file may be anything.

What is drawn holds nothing but what can be seen: no text layer, no script, no note about camera or place.
"""

import base64
import contextlib
import datetime as dt
import io
from dataclasses import dataclass
from typing import Any

import pypdfium2
from PIL import Image, ImageOps, ImageSequence

from seal.trust import Trust

DPI = 150
QUALITY = 78
MOST_PAGES = 12
MOST_PIXELS = 40_000_000
MOST_OCTETS = 5 << 20
A4_MM = (210.0, 297.0)
_MM = 25.4


@dataclass(frozen=True, slots=True)
class Scan:
    """``pages``: (JPEG, width in mm, height in mm)."""

    pages: tuple[tuple[bytes, float, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"pages": [[base64.b64encode(jpeg).decode(), width, height] for jpeg, width, height in self.pages]}


def draw_scan(data: bytes, _trust: Trust, _at: dt.datetime) -> Scan:
    """The pages; none where it cannot be read, has too many, or would be too large. Shaped as a room's judge."""
    try:
        images = _of_pdf(data) if b"%PDF-" in data[:1024] else _of_picture(data)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, pypdfium2.PdfiumError):
        return Scan()
    pages = tuple((_jpeg(image), *_size(image)) for image in images)
    return Scan(pages) if sum(len(page[0]) for page in pages) <= MOST_OCTETS else Scan()


def _of_pdf(data: bytes) -> list[Image.Image]:
    with contextlib.closing(pypdfium2.PdfDocument(data)) as document:
        if len(document) > MOST_PAGES:
            return []
        images: list[Image.Image] = []
        for number in range(len(document)):
            with contextlib.closing(document[number]) as page:
                width, height = page.get_size()
                scale = min(DPI / 72, (MOST_PIXELS / max(1.0, width * height)) ** 0.5, A4_MM[1] / _MM * DPI / max(width, height))
                images.append(page.render(scale=scale).to_pil())
    return images


def _of_picture(data: bytes) -> list[Image.Image]:
    images: list[Image.Image] = []
    with Image.open(io.BytesIO(data)) as picture:
        for frame in ImageSequence.Iterator(picture):
            if len(images) == MOST_PAGES or frame.width * frame.height > MOST_PIXELS:
                return []
            turned = ImageOps.exif_transpose(frame).convert("RGB")
            turned.thumbnail((int(A4_MM[1] / _MM * DPI),) * 2, Image.Resampling.LANCZOS)
            images.append(turned.copy())
    return images


def _size(image: Image.Image) -> tuple[float, float]:
    """As on paper: the long side of A4 for what fills it."""
    return image.width / DPI * _MM, image.height / DPI * _MM


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
