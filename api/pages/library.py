"""The library for an organisation's staff: find what it issued by any mark, read a record, fetch the file.

An address holds only what is nobody's datum: type, status and days. Names, numbers, words and the purpose travel in the form's body, and
so does the cursor of such a search. Every search and every reading is logged with its purpose.
"""

import datetime as dt
from dataclasses import replace
from urllib.parse import urlencode

from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.cards import CARD_DPI
from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, page, redirect
from api.pages.holdings import card_of, library_of, one_certificate, send_file_of, send_picture_of
from api.pages.i18n import CHINESE, day, locale_of, mark, translate
from api.pages.rendering import render
from api.pages.words import CODE_TYPES, STATUS_TAGS
from api.session import Present, require_login
from certs.access import STAFF, may_change
from certs.disposal import may_dispose
from certs.finding import Search, search
from certs.library import log_view
from certs.reads import types_of
from certs.records import Page
from identity.numbers import is_person
from keys.base.actor import Role
from keys.base.clock import civil_date
from keys.base.errors import Forbidden, FujieError

ON_A_PAGE = 25
OF_A_HOLDER = 200
BROWSE = "浏览本机构证照"
IN_ADDRESS = ("type", "status", "from", "to")
PERSONAL = ("holder_code", "number", "identifier", "text")
ANY = mark("any")
STATUSES = ("in_force", "not_yet_valid", "suspended", "revoked", "cancelled", "expired", "superseded", "disposed")


class LibraryStaffOnly(Forbidden):
    """The account is nobody's staff."""

    code = "LIBRARY_STAFF_ONLY"
    public = ("证照库仅供发证机构工作人员使用。", "The library is for staff of issuing organisations.")


def require_staff(request: Request) -> Present:
    """The clerk, approver, keeper or auditor of an organisation at the browser. Raises LoginRequired, LibraryStaffOnly."""
    present = require_login(request)
    if not present.account.roles & STAFF or present.account.organisation is None:
        raise LibraryStaffOnly
    return present


@page
async def show_library(request: Request) -> Response:
    """The filters of the address; the whole list of the organisation where there are none."""
    present, asked = require_staff(request), _asked(request.query_params)
    query = _search(asked, BROWSE, request.query_params.get("after"))
    return await _listed(request, present, replace(query, everything=True), asked)


@page
async def submit_search(request: Request) -> Response:
    """A search by something personal is answered here; any other gets an address of its own."""
    present, form = require_staff(request), await posted(request)
    asked = _asked(form)
    if not any(asked[name] for name in PERSONAL):
        kept = {name: asked[name] for name in IN_ADDRESS if asked[name]}
        return redirect(f"/library?{urlencode(kept)}" if kept else "/library")
    return await _listed(
        request, present, _search(asked, typed(form, "purpose"), typed(form, "after") or None), asked, typed(form, "purpose")
    )


def _asked(given: FormData | QueryParams) -> dict[str, str]:
    """What was typed, by field."""
    if isinstance(given, FormData):
        return {name: typed(given, name).strip() for name in (*IN_ADDRESS, *PERSONAL, "code_type")}
    return {name: given.get(name, "").strip()[:64] for name in IN_ADDRESS} | dict.fromkeys((*PERSONAL, "code_type"), "")


def _search(asked: dict[str, str], purpose: str, after: str | None) -> Search:
    return Search(
        asked["holder_code"], asked["code_type"] if asked["holder_code"] else "", purpose, asked["type"] or None, after,
        OF_A_HOLDER if asked["holder_code"] else ON_A_PAGE,
        identifier=asked["identifier"] or None, number=asked["number"] or None, status=asked["status"] or None,
        issued_from=_day(asked["from"]), issued_to=_day(asked["to"]), text=asked["text"] or None,
    )  # fmt: skip


def _day(text: str) -> dt.date | None:
    """A day as a date field sends it; what is none narrows nothing."""
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        return None


async def _listed(request: Request, present: Present, query: Search, asked: dict[str, str], purpose: str = "") -> Response:
    house, locale = house_of(request), locale_of(request)
    trouble: Trouble | None = None
    found, status = Page((), None), 200
    try:
        found = await search(library_of(request), present.actor, query)
    except FujieError as error:
        if error.status >= 500:
            raise
        trouble, status = trouble_of(request, error), error.status
    async with house.database.session() as session:
        kinds = await types_of(session, found.items) if locale != CHINESE else {}
    english = {code: kind.name_en for (code, _), kind in kinds.items()}
    today, personal = civil_date(house.clock.now()), any(asked[name] for name in PERSONAL)
    items = [
        card_of(one, locale, english.get(one.type_code, ""), one.standing(today))
        | {"issued_on": day(one.issued_on, locale) if one.issued_on else ""}
        for one in found.items
    ]
    more = urlencode({name: asked[name] for name in IN_ADDRESS if asked[name]} | {"after": found.next_cursor or ""})
    # A person's number is not written into the page again: the next page of such a search asks for it once more.
    hidden = bool(asked["holder_code"]) and is_person(asked["code_type"] or "111")
    return render(
        request, "library.html", status=status, items=items, asked={name: shown_again(value) for name, value in asked.items()},
        purpose=shown_again(purpose), trouble=trouble, personal=personal, searched=personal or any(asked.values()),
        after=found.next_cursor or "", more=f"/library?{more}", numbers_hidden=hidden,
        statuses=[("", translate(locale, ANY)), *((one, translate(locale, STATUS_TAGS[one][1])) for one in STATUSES)],
        code_types=[(code, translate(locale, label)) for code, label in CODE_TYPES.items()], keeps=may_dispose(present.actor),
        approves=Role.APPROVER in present.account.roles, registers=bool(present.account.roles & {Role.APPROVER, Role.WINDOW_CLERK}),
    )  # fmt: skip


@page
async def show_one(request: Request) -> Response:
    present = require_staff(request)
    return await _shown(request, present)


async def _shown(request: Request, present: Present, status: int = 200, trouble: Trouble | None = None, purpose: str = "") -> Response:
    view, certificate = await one_certificate(request, present)
    await log_view(library_of(request), present.actor, certificate, BROWSE)
    return render(
        request, "holding.html", status=status, view=view, room="library", purpose=shown_again(purpose), trouble=trouble,
        changes=may_change(certificate, present.actor),
    )  # fmt: skip


@page
async def send_card(request: Request) -> Response:
    return await send_picture_of(request, require_staff(request), CARD_DPI)


@page
async def send_page(request: Request) -> Response:
    return await send_picture_of(request, require_staff(request))


@page
async def send_file(request: Request) -> Response:
    """The file, for a purpose that is typed; without one the page comes back and says so."""
    present = require_staff(request)
    purpose = typed(await posted(request), "purpose")
    try:
        return await send_file_of(request, present, purpose)
    except FujieError as error:
        if error.status != 400:
            raise
        return await _shown(request, present, error.status, trouble_of(request, error), purpose)


routes: list[BaseRoute] = [
    Route("/library", show_library, methods=["GET"]),
    Route("/library", submit_search, methods=["POST"]),
    Route("/library/{id}", show_one, methods=["GET"]),
    Route("/library/{id}/card.png", send_card, methods=["GET"]),
    Route("/library/{id}/page.png", send_page, methods=["GET"]),
    Route("/library/{id}/file", send_file, methods=["POST"]),
]
