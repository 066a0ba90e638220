"""What was changed behind a sealed revision, as people see it: the pages of both drawn and compared.

The octets that the last signature covers are a whole PDF by themselves. It and the file as it is now are drawn page by page; pages
that look different are named, and pictures of the first few are given with the difference framed. Runs in a confined child process.
"""

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pypdfium2
from PIL import Image, ImageChops, ImageDraw

from seal.comparison import Comparison, PagePair
from seal.trust import Trust

MOST_PAGES, MOST_PAIRS = 20, 4
_MOST_REVISIONS = 64
_COMPARED_PIXELS, _COMPARED_DPI = 1_000_000, 72
_TOLERANCE = 24  # of 255: what rounding moves at an edge
_FRAME = (196, 30, 58)
_MARGIN, _WIDTH = 4, 3
_RANGE = re.compile(rb"/ByteRange\s*\[\s*0\s+(\d{1,10})\s+(\d{1,10})\s+(\d{1,10})\s*\]")


@dataclass(frozen=True, slots=True)
class _Opened:
    """A document with its form, so that fields and seals are drawn."""

    document: Any

    @classmethod
    def of(cls, pdf: bytes) -> "_Opened":
        document = pypdfium2.PdfDocument(pdf)
        document.init_forms()
        return cls(document)

    def __len__(self) -> int:
        return len(self.document)

    def drawn(self, number: int) -> Image.Image | None:
        """The page, counted from 0; None where there is none."""
        if number >= len(self.document):
            return None
        page = self.document[number]
        width, height = page.get_size()
        shrink = min(_COMPARED_DPI / 72, (_COMPARED_PIXELS / max(1.0, width * height)) ** 0.5)
        drawn: Image.Image = page.render(scale=shrink, may_draw_forms=True).to_pil().convert("RGB")
        page.close()
        return drawn


def sealed_revision(data: bytes) -> bytes | None:
    """The octets of the newest revision that a signature covers whole, where more follows; None where there is none."""
    ends = set()
    for found in list(_RANGE.finditer(data))[-_MOST_REVISIONS:]:
        start, end, rest = (int(number) for number in found.groups())
        if start < end and end + rest < len(data):
            ends.add(end + rest)
    whole = (data[:end] for end in sorted(ends, reverse=True))
    return next((revision for revision in whole if revision.rstrip().endswith(b"%%EOF")), None)


def compare(data: bytes, _trust: Trust, _at: object) -> Comparison | None:
    """What looks different from the sealed revision; None where nothing follows one, or a file cannot be drawn."""
    sealed = sealed_revision(data)
    if sealed is None:
        return None
    try:
        before, after = _Opened.of(sealed), _Opened.of(data)
        return _compared(before, after)
    except pypdfium2.PdfiumError:
        return None


def _compared(before: _Opened, after: _Opened) -> Comparison:
    count = max(len(before), len(after))
    changed: list[int] = []
    pairs: list[PagePair] = []
    for number in range(min(count, MOST_PAGES)):
        then, now = before.drawn(number), after.drawn(number)
        box = _difference(then, now)
        if box is None:
            continue
        changed.append(number + 1)
        if len(pairs) < MOST_PAIRS:
            pairs.append(PagePair(number + 1, _png(then, box), _png(now, box)))
    changed += _beyond(before, after)
    return Comparison(tuple(changed), len(before), len(after), tuple(pairs))


def _beyond(before: _Opened, after: _Opened) -> Iterator[int]:
    """Pages that only one of them has are changed without a look."""
    yield from range(max(MOST_PAGES, min(len(before), len(after))) + 1, min(max(len(before), len(after)), MOST_PAGES + 100) + 1)


def _difference(then: Image.Image | None, now: Image.Image | None) -> tuple[int, int, int, int] | None:
    """The box around all that differs; the whole page where one is missing or of another size."""
    if then is None or now is None or then.size != now.size:
        width, height = (now or then or Image.new("RGB", (1, 1))).size
        return 0, 0, width, height
    mask = ImageChops.difference(then, now).convert("L").point(lambda level: 255 if level > _TOLERANCE else 0)
    return mask.getbbox()


def _png(drawn: Image.Image | None, box: tuple[int, int, int, int]) -> str:
    """Base64 of the picture with the box framed; empty where there is no such page."""
    if drawn is None:
        return ""
    framed = drawn.copy()
    left, top, right, bottom = box
    frame = max(0, left - _MARGIN), max(0, top - _MARGIN), min(framed.width - 1, right + _MARGIN), min(framed.height - 1, bottom + _MARGIN)
    ImageDraw.Draw(framed).rectangle(frame, outline=_FRAME, width=_WIDTH)
    out = io.BytesIO()
    framed.quantize(128).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()
