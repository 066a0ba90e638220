"""From a plan's places to the pictures of one seal: page, rectangle, which part of the seal, how it is turned."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from seal.cross_page import Strip, cut
from seal.keywords import Found, find
from seal.placing import MAX_PICTURES, AtKeyword, AtPoint, CrossPage, Edge, OnEveryPage, Place
from seal.placing_errors import PageMissing, PlanContradictory
from seal.placing_geometry import MATRICES, POINTS_PER_MM, PageView, PageViews, Rectangle


@dataclass(frozen=True, slots=True)
class Size:
    """Of a seal's impression, millimetres."""

    width_mm: float
    height_mm: float

    @property
    def points(self) -> tuple[float, float]:
        return self.width_mm * POINTS_PER_MM, self.height_mm * POINTS_PER_MM


@dataclass(frozen=True, slots=True)
class Picture:
    """Where the seal or a strip of it shows.

    ``rectangle``  in the page's own space
    ``head``       BBox (the part of the seal, in points) and Matrix of the form XObject, as PDF syntax
    """

    page: PageView
    rectangle: Rectangle
    head: bytes


def pictures_of(document: bytes, views: PageViews, places: Iterable[Place], size: Size) -> tuple[Picture, ...]:
    """Every picture of one seal, in the order of the places. Raises what :mod:`seal.placing_errors` names."""
    found: list[Picture] = []
    for place in places:
        for picture in _pictures(document, views, place, size):
            found.append(picture)
            if len(found) > MAX_PICTURES:
                raise PlanContradictory(f"more than {MAX_PICTURES} pictures of one seal")
    if not found:
        raise PlanContradictory("a seal without a place")
    return tuple(found)


def _pictures(document: bytes, views: PageViews, place: Place, size: Size) -> Iterator[Picture]:
    match place:
        case AtPoint():
            yield _whole(views[place.page], place.x_mm, place.y_mm, size)
        case OnEveryPage():
            yield from (_whole(views[page], place.x_mm, place.y_mm, size) for page in _some(place.pages.of(views.count)))
        case AtKeyword():
            found = find(document, place.text, place.occurrence, _some(place.pages.of(views.count)))
            yield from (_at_words(views[one.page], one, place, size) for one in found)
        case CrossPage():
            strips = cut(_some(place.pages.of(views.count)), place.pages_per_cut)
            yield from (_strip(views[strip.page], strip, place, size) for strip in strips)


def _some(pages: range) -> range:
    if not pages:
        raise PageMissing("none of the pages asked for")
    return pages


def _whole(page: PageView, x_mm: float, y_mm: float, size: Size) -> Picture:
    rectangle = page.rectangle(x_mm - size.width_mm / 2, y_mm - size.height_mm / 2, size.width_mm, size.height_mm)
    return Picture(page, rectangle, _head((0, 0, *size.points), page.rotation))


def _at_words(page: PageView, found: Found, place: AtKeyword, size: Size) -> Picture:
    """Words stand where they stand: near an edge of the page the seal is moved inside rather than refused."""
    x, y = page.seen(found.x, found.y)
    x = _within(x + place.dx_mm, size.width_mm, page.width_mm)
    y = _within(y + place.dy_mm, size.height_mm, page.height_mm)
    return _whole(page, x, y, size)


def _within(middle: float, extent: float, room: float) -> float:
    return min(max(middle, extent / 2), max(room - extent / 2, extent / 2))


def _strip(page: PageView, strip: Strip, place: CrossPage, size: Size) -> Picture:
    if place.edge is Edge.TOP:
        width, height = size.width_mm, size.height_mm / strip.count
        middle = page.width_mm / 2 if place.position_mm is None else place.position_mm
        left, top = middle - width / 2, 0.0
    else:
        width, height = size.width_mm / strip.count, size.height_mm
        middle = page.height_mm / 2 if place.position_mm is None else place.position_mm
        left, top = (0.0 if place.edge is Edge.LEFT else page.width_mm - width), middle - height / 2
    head = _head(strip.clip(place.edge, *size.points), page.rotation)
    return Picture(page, page.rectangle(left, top, width, height), head)


def _head(box: Rectangle, rotation: int) -> bytes:
    return b"/BBox[%.3f %.3f %.3f %.3f]/Matrix[%b]" % (*box, MATRICES[rotation])
