"""From millimetres on a page as a person sees it to rectangles in the page's own space, and back.

What a person sees: the CropBox within the MediaBox (ISO 32000-1 §14.11.2), turned clockwise by ``/Rotate``; a unit is ``/UserUnit`` / 72
inch.
"""
# mypy: allow-untyped-calls

from dataclasses import dataclass
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.rw_common import find_inherited_value_in_tree

from seal.placing_errors import PageMissing, PlaceOutside

POINTS_PER_MM = 72 / 25.4
_SLACK_MM = 0.05

Rectangle = tuple[float, float, float, float]
"""Left, bottom, right, top."""

# An appearance that shall look upright on a page turned clockwise is itself turned the other way (ISO 32000-1 §12.5.5).
MATRICES = {0: b"1 0 0 1 0 0", 90: b"0 1 -1 0 0 0", 180: b"-1 0 0 -1 0 0", 270: b"0 -1 1 0 0 0"}


@dataclass(frozen=True, slots=True)
class PageView:
    """A page: its object, its visible box in its own units, how it is turned, and how many units are a millimetre."""

    index: int
    number: int
    generation: int
    box: Rectangle
    rotation: int
    per_mm: float

    @property
    def width_mm(self) -> float:
        return self._size()[0] / self.per_mm

    @property
    def height_mm(self) -> float:
        return self._size()[1] / self.per_mm

    def _size(self) -> tuple[float, float]:
        left, bottom, right, top = self.box
        across, up = right - left, top - bottom
        return (up, across) if self.rotation in (90, 270) else (across, up)

    def rectangle(self, left_mm: float, top_mm: float, width_mm: float, height_mm: float) -> Rectangle:
        """The rectangle that shows at ``left_mm``, ``top_mm``. Raises :class:`PlaceOutside` where the page does not hold it."""
        right_mm, bottom_mm = left_mm + width_mm, top_mm + height_mm
        inside = left_mm >= -_SLACK_MM and top_mm >= -_SLACK_MM
        if not (inside and right_mm <= self.width_mm + _SLACK_MM and bottom_mm <= self.height_mm + _SLACK_MM):
            raise PlaceOutside(f"page {self.index + 1}")
        corners = self._own(left_mm, top_mm), self._own(right_mm, bottom_mm)
        (x1, y1), (x2, y2) = corners
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    def _own(self, right_mm: float, down_mm: float) -> tuple[float, float]:
        u, v = right_mm * self.per_mm, down_mm * self.per_mm
        left, bottom, right, top = self.box
        turned = {0: (left + u, top - v), 90: (left + v, bottom + u), 180: (right - u, bottom + v), 270: (right - v, top - u)}
        return turned[self.rotation]

    def seen(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the page's own space shows: millimetres from the left and from the top."""
        left, bottom, right, top = self.box
        turned = {0: (x - left, top - y), 90: (y - bottom, x - left), 180: (right - x, y - bottom), 270: (top - y, right - x)}
        u, v = turned[self.rotation]
        return u / self.per_mm, v / self.per_mm


class PageViews:
    """The pages of a document, read when they are asked for."""

    def __init__(self, reader: PdfFileReader) -> None:
        self._reader = reader
        self.count = int(reader.root["/Pages"]["/Count"])
        self._known: dict[int, PageView] = {}

    def __getitem__(self, index: int) -> PageView:
        """Raises :class:`PageMissing`."""
        if index not in self._known:
            self._known[index] = self._read(index)
        return self._known[index]

    def _read(self, index: int) -> PageView:
        if not 0 <= index < self.count:
            raise PageMissing(f"page {index + 1} of {self.count}")
        try:
            reference = self._reader.find_page_for_modification(index)[0].reference
        except PdfReadError as error:
            raise PageMissing(f"page {index + 1} of {self.count}") from error
        return view_of(index, reference)


def view_of(index: int, reference: generic.Reference) -> PageView:
    """How a person sees the page. Raises ValueError, KeyError, TypeError on boxes that are none."""
    page = reference.get_object()
    if not isinstance(page, generic.DictionaryObject):
        raise TypeError("a page that is no dictionary")
    media = _box(_inherited(page, "/MediaBox"))
    crop = _box(_inherited(page, "/CropBox"), media)
    box = max(media[0], crop[0]), max(media[1], crop[1]), min(media[2], crop[2]), min(media[3], crop[3])
    if not (box[0] < box[2] and box[1] < box[3]):
        box = media
    turned = _inherited(page, "/Rotate")
    rotation = int(turned) % 360 if turned is not None else 0
    unit = float(page["/UserUnit"]) if "/UserUnit" in page else 1.0
    if rotation % 90 or not 0 < unit < 1000:
        raise ValueError("a page turned or scaled as no page may be")
    return PageView(index, reference.idnum, reference.generation, box, rotation, POINTS_PER_MM / unit)


def _inherited(page: generic.DictionaryObject, key: str) -> Any:
    try:
        return find_inherited_value_in_tree(page, key, "/Parent")
    except (KeyError, PdfReadError):
        return None


def _box(value: Any, default: Rectangle | None = None) -> Rectangle:
    if value is None:
        if default is None:
            raise ValueError("a page without a MediaBox")
        return default
    x1, y1, x2, y2 = (float(number.get_object()) for number in value)
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
