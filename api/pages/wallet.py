"""My certificates: a card for each, with its picture; who looked at it and why; the file. Those of the organisation one speaks for, too."""

import uuid

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.cards import CARD_DPI
from api.pages.consents import asked_of
from api.pages.guard import house_of, page
from api.pages.holdings import access_words, card_of, library_of, one_certificate, organisation_names, send_file_of, send_picture_of
from api.pages.i18n import CHINESE, locale_of
from api.pages.notices import in_english, notices_for
from api.pages.rendering import render
from api.session import Present, require_login
from certs.access import speaks_for_organisation
from certs.holders import holder_index
from certs.library import own_index
from certs.library_reads import Marks, Scope, found, searches_for
from certs.reads import types_of
from certs.records import Page
from identity.numbers import CodeType
from identity.organisations import get_organisation
from keys.base.clock import civil_date

ON_A_PAGE = 12
SEARCHES_SHOWN = 20
OWN_COPY = "持证人本人下载"


@page
async def show_wallet(request: Request) -> Response:
    """Cards, newest first. Looking at one's own is logged nowhere: it is nobody else's business."""
    present, house, locale = require_login(request), house_of(request), locale_of(request)
    today, cursor = civil_date(house.clock.now()), _cursor(request)
    async with house.database.begin() as session:
        mine = await own_index(session, present.actor)
        theirs = _organisation_index(request, present)
        indexes = tuple(one for one in (mine, theirs) if one)
        held = await found(session, Scope(holders=indexes), Marks(), today, cursor=cursor, limit=ON_A_PAGE) if indexes else Page((), None)
        kinds = await types_of(session, held.items) if locale != CHINESE else {}
        organisation = await get_organisation(session, present.actor.organisation or "") if theirs else None
        searches = [one for index in indexes for one in await searches_for(session, index, SEARCHES_SHOWN)]
        names = await organisation_names(session, tuple(searches))
        notices = await notices_for(session, house.clock, indexes, locale) if cursor is None else []
    english = {code: kind.name_en for (code, _), kind in kinds.items()}
    cards = [card_of(one, locale, english.get(one.type_code, ""), one.standing(today)) for one in held.items]
    return render(
        request, "wallet.html", cards=cards, bound=mine is not None, organisation=organisation.name if organisation else "",
        after=held.next_cursor or "", first=cursor is None, asked=await asked_of(request, present.actor) if cursor is None else [],
        notices=in_english(notices, english) if english else notices,
        searches=[access_words(one, names, locale) for one in sorted(searches, key=lambda one: one.at, reverse=True)[:SEARCHES_SHOWN]],
    )  # fmt: skip


@page
async def show_one(request: Request) -> Response:
    present = require_login(request)
    view, _ = await one_certificate(request, present)
    return render(request, "holding.html", view=view, room="wallet", purpose="", trouble=None)


@page
async def send_card(request: Request) -> Response:
    return await send_picture_of(request, require_login(request), CARD_DPI)


@page
async def send_page(request: Request) -> Response:
    return await send_picture_of(request, require_login(request))


@page
async def send_file(request: Request) -> Response:
    """A form post, so that no link to it can be followed by mistake; logged as the holder's own."""
    return await send_file_of(request, require_login(request), OWN_COPY)


def _organisation_index(request: Request, present: Present) -> bytes | None:
    actor = present.actor
    if not speaks_for_organisation(actor) or actor.organisation is None:
        return None
    return holder_index(library_of(request).personal, CodeType.USCC, actor.organisation)


def _cursor(request: Request) -> uuid.UUID | None:
    """The last card of the page before; anything else begins anew."""
    try:
        return uuid.UUID(request.query_params.get("after", ""))
    except ValueError:
        return None


routes: list[BaseRoute] = [
    Route("/wallet", show_wallet, methods=["GET"]),
    Route("/wallet/{id}", show_one, methods=["GET"]),
    Route("/wallet/{id}/card.png", send_card, methods=["GET"]),
    Route("/wallet/{id}/page.png", send_page, methods=["GET"]),
    Route("/wallet/{id}/file", send_file, methods=["POST"]),
]
