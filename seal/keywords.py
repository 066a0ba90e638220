"""Where words stand on the pages of a PDF, as PDFium reads them.

Words are compared in NFKC and without white space, so that ``（盖章）`` is found where the page says ``( 盖 章 )``, spread over the line or
broken across two.
"""
# mypy: allow-untyped-calls

import ctypes
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pypdfium2
import pypdfium2.raw as pdfium

from seal.placing import Which
from seal.placing_errors import KeywordNotFound, PlanContradictory

MAX_KEYWORD = 200
Box = tuple[float, float, float, float]
_NOTHING: Box = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Found:
    """An occurrence: its page and the middle of its ink in the page's own space; of words on two lines, of the part on the last."""

    page: int
    x: float
    y: float


def normalised(words: str) -> str:
    """NFKC without white space and control characters."""
    return "".join(_signs(words))


def _signs(words: str) -> Iterator[str]:
    return (sign for sign in unicodedata.normalize("NFKC", words) if not (sign.isspace() or unicodedata.category(sign) in ("Cc", "Cf")))


def find(document: bytes, keyword: str, occurrence: Which | int, pages: Iterable[int]) -> tuple[Found, ...]:
    """The chosen occurrences in reading order. Raises :class:`KeywordNotFound`, :class:`PlanContradictory` for an empty keyword."""
    wanted = normalised(keyword)
    if not wanted or len(keyword) > MAX_KEYWORD:
        raise PlanContradictory("the keyword is empty or too long")
    opened = pypdfium2.PdfDocument(document)
    try:
        return _chosen(opened, wanted, occurrence, list(pages))
    finally:
        opened.close()


def _chosen(opened: pypdfium2.PdfDocument, wanted: str, occurrence: Which | int, pages: list[int]) -> tuple[Found, ...]:
    if occurrence is Which.LAST:
        for page in reversed(pages):
            if on_page := _on_page(opened, page, wanted):
                return (on_page[-1],)
        raise KeywordNotFound
    ordinal = 1 if occurrence is Which.FIRST else occurrence
    everything: list[Found] = []
    for page in pages:
        everything += _on_page(opened, page, wanted)
        if isinstance(ordinal, int) and 0 < ordinal <= len(everything):
            return (everything[ordinal - 1],)
    if occurrence is Which.ALL and everything:
        return tuple(everything)
    raise KeywordNotFound(f"{len(everything)} occurrences")


def _on_page(opened: pypdfium2.PdfDocument, index: int, wanted: str) -> list[Found]:
    page = opened[index]
    text = page.get_textpage()
    try:
        signs, origins = _read(text.raw)
        found = []
        at = signs.find(wanted)
        while at >= 0:
            x, y = _middle(text.raw, sorted(set(origins[at : at + len(wanted)])))
            found.append(Found(index, x, y))
            at = signs.find(wanted, at + len(wanted))
        return found
    finally:
        text.close()
        page.close()


def _read(text: object) -> tuple[str, list[int]]:
    """The page's signs in NFKC without white space, and for each the character of the page it comes from."""
    signs: list[str] = []
    origins: list[int] = []
    for index in range(pdfium.FPDFText_CountChars(text)):
        code = pdfium.FPDFText_GetUnicode(text, index)
        for sign in _of(code):
            signs.append(sign)
            origins.append(index)
    return "".join(signs), origins


_KNOWN: dict[int, str] = {}


def _of(code: int) -> str:
    """What one character contributes. 0xFFFE is PDFium's mark for a hyphen at the end of a line."""
    if code not in _KNOWN:
        sign = "" if code == 0xFFFE or 0xD800 <= code < 0xE000 or code > 0x10FFFF else chr(code)
        _KNOWN[code] = normalised(sign)
    return _KNOWN[code]


def _middle(text: object, characters: list[int]) -> tuple[float, float]:
    line: list[Box] = []
    for box in (_box(text, character) for character in characters):
        if box == _NOTHING:
            continue
        if line and _breaks(line[-1], box):
            line = []
        line.append(box)
    if not line:
        raise KeywordNotFound("the words have no place on the page")
    left, right = min(box[0] for box in line), max(box[2] for box in line)
    bottom, top = min(box[1] for box in line), max(box[3] for box in line)
    return (left + right) / 2, (bottom + top) / 2


def _breaks(before: Box, after: Box) -> bool:
    """Whether the second sign stands on another line: beside it neither upright nor across do they overlap."""
    beside = before[1] < after[3] and after[1] < before[3]
    below = before[0] < after[2] and after[0] < before[2] and abs(before[1] - after[3]) < (before[3] - before[1])
    return not (beside or below)


def _box(text: object, character: int) -> Box:
    sides = [ctypes.c_double() for _ in range(4)]
    left, right, bottom, top = sides
    if not pdfium.FPDFText_GetCharBox(text, character, left, right, bottom, top):
        return _NOTHING
    return left.value, bottom.value, right.value, top.value
