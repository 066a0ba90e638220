"""Matters and the papers they ask for: which of them the library answers, the list kept by whose matter it is, and a window's question.

The question's answers are shown once, on the page that answers the form: nothing of the holder stands in an address. Without
JavaScript: saving offers more rows.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.catalogue import require_keeper
from api.pages.forms import UNWRITABLE, Trouble, sent, shown_again, trouble_of, typed
from api.pages.guard import house_of, page, redirect
from api.pages.holdings import library_of
from api.pages.i18n import CHINESE, locale_of, mark, translate
from api.pages.rendering import render
from api.pages.words import CODE_TYPES
from api.session import require_login
from certs.availability import Answered, MatterUnknown, Question, answerable_papers, available, may_ask
from certs.matter_papers import MOST_PAPERS, Enough, Paper, PaperMalformed, keeps_papers, papers_of, put_papers
from certs.reads import type_names
from identity.organisations import names_of
from keys.base.errors import FujieError, NotFound
from seal.matters import find_matters, get_matter

SPARE_ROWS = 2
LONGEST_ROW = 2000
ENOUGH = {Enough.DATA: mark("Yes or no is enough"), Enough.COPY: mark("The document itself")}
_CELLS = ("paper", "name_zh", "name_en", "mandatory", "types", "enough", "basis")
_COLUMNS = 8


@page
async def show_matters(request: Request) -> Response:
    """Matters by code, with how many of their papers the library answers."""
    require_keeper(request)
    asked = {name: UNWRITABLE.sub("", request.query_params.get(name, ""))[:200] for name in ("q", "organisation")}
    after = UNWRITABLE.sub("", request.query_params.get("cursor", ""))[:64]
    async with house_of(request).database.session() as session:
        found, more = await find_matters(session, text=asked["q"], organisation=asked["organisation"].strip().upper(), after=after)
        names = await names_of(session, {one.organisation for one in found})
        counts = await answerable_papers(session, [one.code for one in found])
    items = [
        {"code": one.code, "name": one.name, "organisation": names.get(one.organisation, one.organisation), "count": counts.get(one.code)}
        for one in found
    ]
    following = urlencode({**{name: value for name, value in asked.items() if value}, "cursor": more}) if more else ""
    return render(request, "matters.html", asked=asked, items=items, next_page=following)


@page
async def show_matter(request: Request) -> Response:
    require_keeper(request)
    return await _shown(request, done=request.query_params.get("done") == "1")


@page
async def submit_papers(request: Request) -> Response:
    """The whole list in place of the one before; a refusal shows the form again with what was typed."""
    actor, house, code = require_keeper(request).actor, house_of(request), request.path_params["code"]
    form = await sent(request, 0, fields=_COLUMNS * (MOST_PAPERS + SPARE_ROWS) + 8)
    rows = _typed_rows(form)
    try:
        await put_papers(house.database, house.clock, actor, code, [_paper(row) for row in rows])
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        return await _shown(request, error.status, trouble_of(request, error), rows, _places(error))
    return redirect(f"/catalogue/matters/{code}?done=1")


@page
async def ask_window(request: Request) -> Response:
    """Which papers a holder need not bring."""
    present, code = require_login(request), request.path_params["code"]
    form = await sent(request, 0)
    kind, purpose = typed(form, "code_type"), typed(form, "purpose", 200)
    question = Question(code, typed(form, "holder_code").strip().upper(), kind, purpose)
    try:
        answer = await available(library_of(request), present.actor, question)
    except FujieError as error:
        if isinstance(error, MatterUnknown) or error.status >= 500:
            raise
        return await _shown(request, error.status, asking=trouble_of(request, error), asked=(kind, shown_again(purpose)))
    return await _shown(request, answers=answer.answers, asked=(kind, shown_again(purpose)))


async def _shown(
    request: Request, status: int = 200, error: Trouble | None = None, rows: Sequence[dict[str, Any]] | None = None,
    places: Sequence[tuple[str, str]] = (), *, done: bool = False, asking: Trouble | None = None,
    answers: Sequence[Answered] | None = None, asked: tuple[str, str] = ("001", ""),
) -> Response:  # fmt: skip
    present, house, locale = require_keeper(request), house_of(request), locale_of(request)
    async with house.database.session() as session:
        matter = await get_matter(session, request.path_params["code"])
        if matter is None:
            raise MatterUnknown
        papers = await papers_of(session, matter.code)
        kinds = await type_names(session, {code for paper in papers for code in paper.types})
        names = await names_of(session, {matter.organisation})
    keeps = keeps_papers(present.actor, matter)
    return render(
        request, "matter.html", status=status, matter=matter, organisation=names.get(matter.organisation, matter.organisation),
        papers=[_view(one, kinds, locale) for one in papers], error=error, places=places, done=done, keeps=keeps,
        rows=[*(rows or [one.to_json() for one in papers]), *([_BLANK] * SPARE_ROWS)] if keeps else [],
        enoughs=[(one.value, translate(locale, words)) for one, words in ENOUGH.items()], asks=may_ask(present.actor, matter),
        asking=asking, asked=asked, answers=None if answers is None else [_answer(one, kinds, locale) for one in answers],
        code_types=[(code, translate(locale, label)) for code, label in CODE_TYPES.items()],
    )  # fmt: skip


_BLANK: dict[str, Any] = {"paper": "", "name_zh": "", "name_en": "", "mandatory": True, "types": [], "enough": "data", "basis": ""}


def _view(paper: Paper, kinds: dict[str, tuple[str, str]], locale: str) -> dict[str, Any]:
    return {
        "code": paper.code,
        "name": _named((paper.name_zh, paper.name_en), locale),
        "mandatory": paper.mandatory,
        "types": [{"code": code, "name": _named(kinds.get(code, (code, "")), locale)} for code in paper.types],
        "enough": translate(locale, ENOUGH[paper.enough]),
        "basis": paper.basis,
    }


def _answer(one: Answered, kinds: dict[str, tuple[str, str]], locale: str) -> dict[str, Any]:
    named = _named(kinds.get(one.by, (one.by, "")), locale)
    return {"name": _named((one.paper.name_zh, one.paper.name_en), locale), "available": one.available, "by": named}


def _named(names: tuple[str, str], locale: str) -> str:
    return names[0] if locale == CHINESE or not names[1] else names[1]


def _typed_rows(form: FormData) -> list[dict[str, Any]]:
    """The rows that have a code or a name."""
    found = []
    for place in range(MOST_PAPERS + SPARE_ROWS):
        cells: dict[str, Any] = {name: typed(form, f"p{place}_{name}", LONGEST_ROW).strip() for name in _CELLS}
        if cells["paper"] or cells["name_zh"]:
            types = cells["types"].replace(",", " ").replace("，", " ").replace("、", " ").split()
            found.append(cells | {"types": [one.upper() for one in types], "mandatory": cells["mandatory"] == "1"})
    return found


def _paper(row: dict[str, Any]) -> Paper:
    try:
        enough = Enough(row["enough"])
    except ValueError:
        raise PaperMalformed("enough", errors=[{"field": "enough", "message": "data or copy"}]) from None
    return Paper(row["paper"], row["name_zh"], row["name_en"], row["mandatory"], tuple(row["types"]), enough, row["basis"])


def _places(error: FujieError) -> list[tuple[str, str]]:
    listed = error.extra.get("errors")
    return [(one["field"], one["message"]) for one in listed] if isinstance(listed, list) else []


routes: list[BaseRoute] = [
    Route("/catalogue/matters", show_matters, methods=["GET"]),
    Route("/catalogue/matters/{code}", show_matter, methods=["GET"]),
    Route("/catalogue/matters/{code}", submit_papers, methods=["POST"]),
    Route("/catalogue/matters/{code}/available", ask_window, methods=["POST"]),
]
