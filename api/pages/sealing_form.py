"""The part of a form that says how a document is to be sealed: which seal, for which matter, where on the page, at which level.

One document (``api.pages.requesting``) and a batch (``api.pages.batches``) are asked for with the same fields. Pure but for
:func:`choices_of`.
"""

from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request

from api.pages.forms import Trouble, shown_again, trouble_of, typed
from api.pages.guard import house_of
from api.pages.i18n import mark, translate
from keys.base.actor import Actor
from keys.base.errors import FujieError, InvalidInput
from keys.base.ids import new_code
from seal.document_levels import Level
from seal.document_values import LONGEST_TITLE
from seal.lifecycle import Status
from seal.matters import list_matters
from seal.places import kept_for
from seal.reads import Seal, Wanted, find_seals, get_seal
from seal.stamp_plans import PlanUnreadable

PLACES = {
    "last_page": mark("On the last page"),
    "first_page": mark("On the first page"),
    "every_page": mark("On every page"),
    "keyword": mark("Over a word in the text"),
    "cross_page": mark("Across the edges of all pages (cross-page seal)"),
}
LEVELS = {
    Level.B_B: mark("B-B: signed"),
    Level.B_T: mark("B-T: signed, with a time stamp"),
    Level.B_LT: mark("B-LT: and everything a verifier needs, in the file"),
    Level.B_LTA: mark("B-LTA: and a time stamp over all, to be kept for years"),
}
MOST_SEALS = 100
_USUAL_X, _USUAL_Y, _LONGEST_NUMBER = "150", "240", 7
_FIELDS = {
    "KEYWORD_NOT_FOUND": "keyword",
    "SEAL_NOT_FOUND": "seal",
    "SEAL_UNFIT": "seal",
    "PLACEMENT_OUTSIDE_PAGE": "place",
    "PLACEMENT_PAGE_MISSING": "place",
    "PLACEMENT_NEEDS_PREPARATION": "place",
    "STAMP_PLAN_CONTRADICTORY": "place",
    "REBUILDING_BUSY": "file",
    "BATCH_INVALID": "file",
}
"""The field beside which a refusal is shown; what the rebuilder refuses is about the file, anything else about the whole."""
_NOT_OF_THE_FILE = ("DOCUMENT_REQUEST_", "DOCUMENT_NOT_FOUND", "DOCUMENT_BEING_")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed, as it is shown again. ``key``: the form's own, so that the same form sent twice asks once."""

    title: str = ""
    seal: str = ""
    matter: str = ""
    place: str = "last_page"
    x: str = _USUAL_X
    y: str = _USUAL_Y
    keyword: str = ""
    level: str = Level.B_B
    key: str = ""


@dataclass(frozen=True, slots=True)
class Choices:
    """Seals as (code, name) and matters as (code, name) that this person may ask for."""

    seals: list[tuple[str, str]]
    matters: list[tuple[str, str]]


def empty_form() -> Asked:
    return Asked(key=new_code())


def read_form(form: FormData) -> Asked:
    """Nothing that looks like an ID number is shown again."""
    return Asked(
        title=shown_again(typed(form, "title", LONGEST_TITLE)),
        seal=typed(form, "seal", 14),
        matter=typed(form, "matter", 64),
        place=typed(form, "place", 20),
        x=typed(form, "x", _LONGEST_NUMBER),
        y=typed(form, "y", _LONGEST_NUMBER),
        keyword=shown_again(typed(form, "keyword", 200)),
        level=typed(form, "level", 8) or Level.B_B,
        key=typed(form, "key", 64) or new_code(),
    )


def placement_of(asked: Asked) -> dict[str, Any]:
    """The place as :mod:`seal.stamp_plans` reads it. Raises ``STAMP_PLAN_INVALID``."""
    if asked.place == "keyword":
        return {"kind": "keyword", "text": asked.keyword}
    if asked.place == "cross_page":
        return {"kind": "cross_page"}
    point = {"x_mm": _millimetres(asked.x), "y_mm": _millimetres(asked.y)}
    if asked.place == "every_page":
        return {"kind": "every_page"} | point
    if asked.place not in PLACES:
        raise PlanUnreadable("place")
    return {"kind": "point", "page": -1 if asked.place == "last_page" else 1} | point


def _millimetres(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise PlanUnreadable("a place in millimetres") from error


def errors_of(request: Request, error: FujieError) -> dict[str, Trouble]:
    """The refusal beside its field; under ``form`` what belongs to none."""
    told = trouble_of(request, error)
    if error.code == PlanUnreadable.code:
        return {{"level": "level", "text": "keyword"}.get(error.detail, "place"): told}
    if error.code == InvalidInput.code and error.detail in ("title", "name"):
        return {"title" if error.detail == "title" else "file": told}
    of_the_file = error.code.startswith("DOCUMENT_") and not error.code.startswith(_NOT_OF_THE_FILE)
    field = _FIELDS.get(error.code) or ("file" if of_the_file else "form")
    return {field: told}


async def choices_of(request: Request, actor: Actor) -> Choices:
    """The seals in use of the own organisation and those that the person's window keeps, with the matters they serve."""
    house = house_of(request)
    async with house.database.session() as session:
        own = await find_seals(session, Wanted(organisation=actor.organisation or "", status=Status.ACTIVE), limit=MOST_SEALS)
        kept = [await get_seal(session, code) for code in sorted(await kept_for(session, actor))]
        seals = {one.code: one for one in [*own, *kept] if one.status is Status.ACTIVE}
        matters = [one for uscc in _organisations(seals) for one in await list_matters(session, organisation=uscc)]
    return Choices([(one.code, one.name) for one in seals.values()], [(one.code, one.name) for one in matters])


def _organisations(seals: dict[str, Seal]) -> list[str]:
    return sorted({one.organisation for one in seals.values()})


def options(locale: str) -> dict[str, list[tuple[str, str]]]:
    """What the selects of place and level offer."""
    return {
        "places": [(value, translate(locale, words)) for value, words in PLACES.items()],
        "levels": [(str(value), translate(locale, words)) for value, words in LEVELS.items()],
    }
