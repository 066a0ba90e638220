"""The holder's answer: what a department asks for, in words, and allow or refuse. One use, ten minutes; it can be taken back before."""

import uuid

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.forms import Trouble, posted, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.holdings import card_of, library_of
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import render
from api.session import require_login
from certs.consents import ShareRequest, State, answer_request, request_to_me, requests_to_me, take_back
from certs.reads import get_type
from certs.sharing import Want
from identity.organisations import names_of
from keys.base.actor import Actor
from keys.base.clock import civil_date
from keys.base.errors import FujieError, InvalidInput
from seal.matters import matter_names

SHOWN = 12
WANTS = {
    Want.DATA: mark("Only whether you hold a valid one"),
    Want.RECORD: mark("What stands in its record"),
    Want.COPY: mark("An annotated copy of the document"),
    Want.FILE: mark("The original document"),
}
STATES = {
    State.PENDING: ("wait", mark("Waits for you")),
    State.ALLOWED: ("good", mark("Allowed, not used yet")),
    State.USED: ("good", mark("Used")),
    State.REFUSED: ("mute", mark("Refused")),
    State.WITHDRAWN: ("mute", mark("Taken back")),
    State.EXPIRED: ("mute", mark("Over")),
}
CHOOSE = mark("Choose which certificate may be used.")


async def asked_of(request: Request, actor: Actor) -> list[dict[str, object]]:
    """What the person was asked, newest first, for the wallet."""
    found = (await requests_to_me(library_of(request), actor))[:SHOWN]
    return await in_words(request, found)


async def in_words(request: Request, found: tuple[ShareRequest, ...]) -> list[dict[str, object]]:
    """Requests as pages show them."""
    house, locale = house_of(request), locale_of(request)
    async with house.database.session() as session:
        organisations = await names_of(session, {one.organisation for one in found})
        matters = await matter_names(session, {one.matter_code for one in found})
        kinds = {code: await get_type(session, code) for code in {one.type_code for one in found}}
    views: list[dict[str, object]] = []
    for one in found:
        kind, (tone, label) = kinds[one.type_code], STATES[one.state]
        english = kind.name_en if kind and locale != CHINESE else ""
        views.append({
            "id": str(one.id), "who": organisations.get(one.organisation, one.organisation),
            "matter": matters.get(one.matter_code, one.matter_code), "title": english or (kind.name_zh if kind else one.type_code),
            "want": translate(locale, WANTS[one.want]), "purpose": one.purpose, "state": one.state.value, "tone": tone,
            "label": translate(locale, label), "asked_at": moment(one.asked_at, locale), "until": moment(one.expires_at, locale),
            "used_at": moment(one.used_at, locale) if one.used_at else "",
        })  # fmt: skip
    return views


@page
async def show_request(request: Request) -> Response:
    """One request, and the answer."""
    return await _page(request)


async def _page(request: Request, trouble: Trouble | None = None, status: int = 200) -> Response:
    present, locale = require_login(request), locale_of(request)
    found, held = await request_to_me(library_of(request), present.actor, identifier_of(request))
    today = civil_date(house_of(request).clock.now())
    cards = [card_of(one, locale, "", one.standing(today)) for one in held]
    (view,) = await in_words(request, (found,))
    return render(request, "share_request.html", view=view, cards=cards, trouble=trouble, status=status)


@page
async def submit_answer(request: Request) -> Response:
    """Allow with a certificate, refuse, or take back what was not used."""
    present, form = require_login(request), await posted(request)
    library, wanted, chosen = library_of(request), identifier_of(request), _chosen(typed(form, "certificate"))
    try:
        match typed(form, "decision"):
            case "allow" if chosen is not None:
                await answer_request(library, present.actor, wanted, chosen)
            case "allow":
                return await _page(request, Trouble(InvalidInput.code, translate(locale_of(request), CHOOSE)), 422)
            case "deny":
                await answer_request(library, present.actor, wanted, None)
            case "withdraw":
                await take_back(library, present.actor, wanted)
            case _:
                raise InvalidInput("decision")
    except FujieError as error:
        if error.status not in (409, 422):
            raise
        return await _page(request, trouble_of(request, error), error.status)
    return redirect(f"/share-requests/{wanted}")


def _chosen(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


routes: list[BaseRoute] = [
    Route("/share-requests/{id}", show_request, methods=["GET"]),
    Route("/share-requests/{id}", submit_answer, methods=["POST"]),
]
