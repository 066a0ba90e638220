"""Plans of stamping as JSON: as the API takes them and as they are kept with a request. Pure.

Pages count from 1 here, as people count, and from the end with −1, −2 …; :mod:`seal.placing` counts from 0.

``{"kind": "point", "page": 1, "x_mm": 150, "y_mm": 240}``
``{"kind": "keyword", "text": "（盖章）", "occurrence": "last" | "first" | "all" | 2, "dx_mm": 0, "dy_mm": 0, "first_page", "last_page"}``
``{"kind": "every_page", "x_mm": 150, "y_mm": 240, "first_page", "last_page", "step"}``
``{"kind": "cross_page", "edge": "right" | "left" | "top", "position_mm", "first_page", "last_page", "pages_per_cut"}``
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from keys.base.errors import InvalidInput
from seal.placing import AtKeyword, AtPoint, Certification, CrossPage, Edge, LaterSeal, OnEveryPage, Pages, Place, Profile, StampPlan, Which

MOST_PLACES = 200
_LONGEST_KEYWORD = 200


class PlanUnreadable(InvalidInput):
    """``extra['errors']`` names the member that is wrong."""

    code = "STAMP_PLAN_INVALID"
    public = ("盖章位置填写不正确。", "The places of the seal are not given as they should be.")


def place_of(value: Mapping[str, Any], pages: int) -> Place:
    """One place on a document of so many pages. Raises :class:`PlanUnreadable`."""
    read = _KINDS.get(str(value.get("kind")))
    if read is None:
        raise _wrong("kind")
    try:
        return read(value, pages)
    except (TypeError, ValueError, OverflowError) as error:
        raise _wrong(str(value.get("kind"))) from error


def plan_of(value: Mapping[str, Any], pages: int) -> StampPlan:
    """The plan that :func:`plan_value` wrote. Raises :class:`PlanUnreadable`."""
    try:
        return StampPlan(
            placements=places_of(value["placements"], pages),
            certification=Certification(int(value["certification"])),
            later=tuple(_later_of(one, pages) for one in value["later"]),
            profile=Profile(value["profile"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _wrong("plan") from error


def places_of(values: Sequence[Mapping[str, Any]], pages: int) -> tuple[Place, ...]:
    """Raises :class:`PlanUnreadable`."""
    if len(values) > MOST_PLACES:
        raise _wrong("placements")
    return tuple(place_of(one, pages) for one in values)


def plan_value(
    placements: Sequence[Mapping[str, Any]], certification: Certification, profile: str, later: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The plan as it is kept. ``later``: ``title``, ``seal_code``, ``width_mm``, ``height_mm`` and ``placements`` of each."""
    return {
        "placements": [dict(one) for one in placements], "certification": int(certification), "profile": profile,
        "later": [dict(one) for one in later],
    }  # fmt: skip


def digest_of(**members: Any) -> bytes:
    """SHA-256 of these members in one canonical spelling; octets are written in hexadecimal."""
    return hashlib.sha256(b"fujie.sealing.v1\n" + orjson.dumps(members, default=_spelled, option=orjson.OPT_SORT_KEYS)).digest()


def _spelled(value: object) -> str:
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    raise TypeError(type(value).__name__)


def _later_of(value: Mapping[str, Any], pages: int) -> LaterSeal:
    return LaterSeal(
        title=str(value["title"]),
        placements=places_of(value["placements"], pages),
        width_mm=float(value["width_mm"]),
        height_mm=float(value["height_mm"]),
        seal_code=str(value["seal_code"]),
    )


def _page(value: Any, pages: int) -> int:
    number = int(value)
    if not 1 <= abs(number) <= pages:
        raise _wrong("page")
    return number - 1 if number > 0 else pages + number


def _range(value: Mapping[str, Any], pages: int) -> Pages:
    first = _page(value.get("first_page") or 1, pages)
    last = _page(value.get("last_page") or pages, pages)
    step = int(value.get("step") or 1)
    if last < first or not 1 <= step <= pages:
        raise _wrong("first_page")
    return Pages(first, last, step)


def _number(value: Mapping[str, Any], name: str, default: float | None = None) -> float:
    given = value.get(name, default)
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not -10_000 < given < 10_000:
        raise _wrong(name)
    return float(given)


def _point(value: Mapping[str, Any], pages: int) -> Place:
    return AtPoint(_page(value.get("page", 1), pages), _number(value, "x_mm"), _number(value, "y_mm"))


def _keyword(value: Mapping[str, Any], pages: int) -> Place:
    text, occurrence = value.get("text"), value.get("occurrence", "last")
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST_KEYWORD or isinstance(occurrence, bool):
        raise _wrong("text")
    which = occurrence if isinstance(occurrence, int) else Which(occurrence)
    return AtKeyword(text, which, _number(value, "dx_mm", 0.0), _number(value, "dy_mm", 0.0), _range(value, pages))


def _every_page(value: Mapping[str, Any], pages: int) -> Place:
    return OnEveryPage(_number(value, "x_mm"), _number(value, "y_mm"), _range(value, pages))


def _cross_page(value: Mapping[str, Any], pages: int) -> Place:
    position = None if value.get("position_mm") is None else _number(value, "position_mm")
    most = int(value.get("pages_per_cut") or 100)
    if not 2 <= most <= 100:
        raise _wrong("pages_per_cut")
    return CrossPage(Edge(value.get("edge", "right")), position, _range(value, pages), most)


_KINDS: dict[str, Callable[[Mapping[str, Any], int], Place]] = {
    "point": _point, "keyword": _keyword, "every_page": _every_page, "cross_page": _cross_page,
}  # fmt: skip


def _wrong(member: str) -> PlanUnreadable:
    return PlanUnreadable(member, errors=[{"field": f"placements.{member}", "message": "not as the documentation says"}])
