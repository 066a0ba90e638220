"""What can be seen on a paper: the codes on its pages and the text that lies in it. Runs in the sandbox only: the file may be anything.

Text is what a PDF says it prints. Of a picture there is none: nothing here guesses at letters.
"""

import contextlib
import datetime as dt
import io
from dataclasses import dataclass
from typing import Any

import pypdfium2
from PIL import Image
from zxingcpp import BarcodeFormat, BarcodeFormats, read_barcodes

from seal.trust import Trust

DPI = 200
MOST_PAGES = 3
MOST_PIXELS = 40_000_000
MOST_TEXT = 60_000
MOST_CODES = 16
CODES_OF_A_CERTIFICATE = 2


@dataclass(frozen=True, slots=True)
class Paper:
    """``codes``: what the QR codes say, each once, in the order of the pages; ``text``: of those pages, as it lies in the file."""

    codes: tuple[str, ...] = ()
    text: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"codes": list(self.codes), "text": self.text}


def read_paper(data: bytes, _trust: Trust, _at: dt.datetime) -> Paper:
    """The paper in a PDF or a picture; an empty one where neither can be read. Shaped as a room's judge (:mod:`seal.sandbox_room`)."""
    try:
        if b"%PDF-" in data[:1024]:
            return _of_pdf(data)
        with Image.open(io.BytesIO(data)) as picture:
            return Paper(codes_on(picture.convert("L")))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, pypdfium2.PdfiumError):
        return Paper()


def _of_pdf(data: bytes) -> Paper:
    pictures, texts = [], []
    with contextlib.closing(pypdfium2.PdfDocument(data)) as document:
        for number in range(min(len(document), MOST_PAGES)):
            with contextlib.closing(document[number]) as page:
                width, height = page.get_size()
                scale = min(DPI / 72, (MOST_PIXELS / max(1.0, width * height)) ** 0.5)
                pictures.append(page.render(scale=scale, grayscale=True).to_pil())
                texts.append(page.get_textpage().get_text_bounded())
    return Paper(_codes(pictures), "\n".join(texts)[:MOST_TEXT])


def codes_on(picture: Image.Image) -> tuple[str, ...]:
    """What the QR codes of a photograph or scan say. A certificate has two: where fewer are found it is looked at again at twice the size,
    for the cells of an offline code are two or three points wide at 150 dpi."""
    found = _codes([picture])
    if len(found) >= CODES_OF_A_CERTIFICATE or picture.width * picture.height * 4 > MOST_PIXELS:
        return found
    enlarged = picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.BICUBIC)
    return tuple(dict.fromkeys((*found, *_codes([enlarged]))))[:MOST_CODES]


def _codes(pictures: list[Image.Image]) -> tuple[str, ...]:
    formats = BarcodeFormats(BarcodeFormat.QRCodeModel2)
    found = [one.text for picture in pictures for one in read_barcodes(picture, formats=formats)]
    return tuple(dict.fromkeys(found))[:MOST_CODES]
