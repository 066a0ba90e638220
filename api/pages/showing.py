"""亮证 on pages: the holder shows a certificate (a code that changes every minute), and whoever stands opposite checks it, once.

The holder's page asks for itself again (``Refresh``): it works without JavaScript, and says who checked within seconds.
"""

import base64

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.limits import throttle
from api.pages.forms import Trouble, posted, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.holdings import card_of, library_of
from api.pages.i18n import CHINESE, day, locale_of, mark, moment, translate
from api.pages.rendering import policy, render
from api.pages.words import STATUS_TAGS
from api.session import require_login
from certs.authorisations import MATTER
from certs.library import ordered_fields
from certs.portraits import photograph_shown
from certs.qr import encode, to_svg
from certs.reads import get_certificate
from certs.shared_reading import NothingToShare, Query, Shared, share
from certs.sharing import ASKS, Want
from certs.show_purposes import PURPOSES
from certs.showing import Face, Offered, Showing, check, current, offered, showable, start, stop
from keys.base.actor import ANONYMOUS, Actor
from keys.base.clock import civil_date
from keys.base.errors import FujieError, InvalidInput

LOOK_AGAIN = 15
"""Seconds: the holder's page asks whether the code was checked, and whether it is time for the next."""
MOST_CHECKS, WINDOW = 300, 600
CHOOSE = mark("Choose what it is shown for.")


@page
async def show_choice(request: Request) -> Response:
    """What the certificate is shown for."""
    return await _choice(request)


async def _choice(request: Request, trouble: Trouble | None = None) -> Response:
    present, locale = require_login(request), locale_of(request)
    found = await showable(library_of(request), present.actor, identifier_of(request))
    today = civil_date(house_of(request).clock.now())
    purposes = [(code, words[0 if locale == CHINESE else 1]) for code, words in PURPOSES.items()]
    card = card_of(found.certificate, locale, "", found.certificate.standing(today))
    return render(
        request, "show_choice.html", card=card, purposes=purposes, matters=found.matters, trouble=trouble,
        status=422 if trouble else 200,
    )  # fmt: skip


@page
async def submit_choice(request: Request) -> Response:
    """Begin to show it. ``purpose``: a code, or ``matter:`` with the matter's code."""
    present, form = require_login(request), await posted(request)
    purpose, _, matter = typed(form, "purpose").partition(":")
    try:
        showing = await start(library_of(request), present.actor, identifier_of(request), purpose, matter)
    except InvalidInput as error:
        return await _choice(request, Trouble(error.code, translate(locale_of(request), CHOOSE)))
    return redirect(f"/showings/{showing.id}")


@page
async def show_code(request: Request) -> Response:
    """The code of this minute; or, once it is over, who checked it."""
    present, house, locale = require_login(request), house_of(request), locale_of(request)
    library = library_of(request)
    showing = await current(library, present.actor, identifier_of(request))
    async with library.database.session() as session:
        certificate = await get_certificate(session, showing.certificate_id)
    if certificate is None:
        raise InvalidInput("certificate")
    address = f"{house.base_url}/s/{showing.code}" if showing.code else ""
    seconds = max(1, min(LOOK_AGAIN, int((showing.changes_at - house.clock.now()).total_seconds()) + 1))
    response = render(
        request, "show_code.html", card=card_of(certificate, locale, "", certificate.standing(civil_date(house.clock.now()))),
        showing=showing, picture=Markup(to_svg(encode(address))) if address else "",  # noqa: S704 - our own drawing
        purpose=showing.words[0 if locale == CHINESE else 1], ends_at=_clock_time(showing, locale),
        checked_at=moment(showing.used_at, locale) if showing.used_at else "",
    )  # fmt: skip
    if showing.code:
        response.headers["Refresh"] = str(seconds)
    return response


def _clock_time(showing: Showing, locale: str) -> str:
    return moment(showing.ends_at, locale).rpartition(" ")[2][:5]


@page
async def submit_stop(request: Request) -> Response:
    """Shown no longer."""
    present, wanted = require_login(request), identifier_of(request)
    await stop(library_of(request), present.actor, wanted)
    return redirect(f"/showings/{wanted}")


@page
async def show_check(request: Request) -> Response:
    """Where a code is typed."""
    return render(request, "check.html", offer=None, code="", purpose="", takes=False, trouble=None)


@page
async def show_offer(request: Request) -> Response:
    """What the QR code leads to: what it is shown for, and the button. Nothing is used up by looking."""
    code = request.path_params["code"][:40]
    return await _offer(request, code)


async def _offer(request: Request, code: str) -> Response:
    await throttle(request, "show-check", limit=MOST_CHECKS, seconds=WINDOW)
    try:
        found = await offered(library_of(request), code)
    except FujieError as error:
        return render(
            request, "check.html", offer=None, code="", purpose="", takes=False, trouble=trouble_of(request, error), status=error.status
        )
    purpose = found.words[0 if locale_of(request) == CHINESE else 1]
    return render(request, "check.html", offer=found, code=code, purpose=purpose, takes=_takes(_actor(request), found), trouble=None)


@page
async def submit_check(request: Request) -> Response:
    """The face, once. A code that was typed shows first what it is for (``step`` is missing then)."""
    form = await posted(request)
    code = typed(form, "code", 40)
    if not typed(form, "step"):
        return await _offer(request, code)
    await throttle(request, "show-check", limit=MOST_CHECKS, seconds=WINDOW)
    actor, library = _actor(request), library_of(request)
    try:
        found = await offered(library, code)
        photo = await photograph_shown(library, house_of(request).workers, code)
        if _takes(actor, found):
            query = Query(found.matter_code or "", found.words[0], Want.RECORD, show_code=code)
            return _taken(request, await share(library, actor, query), found, photo)
        return _seen(request, await check(library, actor, code), photo)
    except FujieError as error:
        trouble = trouble_of(request, error)
        return render(request, "check.html", offer=None, code="", purpose="", takes=False, trouble=trouble, status=error.status)


def _actor(request: Request) -> Actor:
    """Whoever is logged in; else a stranger, who sees the face all the same."""
    present = request.state.present
    return present.actor if present else ANONYMOUS


def _takes(actor: Actor, found: Offered) -> bool:
    """Whether the checker's organisation acts in the matter it is shown for, and must see the certificate."""
    staff = bool(actor.roles & ASKS) and actor.organisation == found.organisation
    return found.purpose == MATTER and staff and found.want is not Want.DATA


def _seen(request: Request, face: Face, photo: bytes | None, fields: tuple[tuple[str, str], ...] = ()) -> Response:
    """The face; with the record where the checker's matter takes it over."""
    locale = locale_of(request)
    english = face.type_name_en if locale != CHINESE else ""
    tone, label = STATUS_TAGS[face.standing]
    picture = f"data:image/jpeg;base64,{base64.b64encode(photo).decode()}" if photo else ""
    response = render(
        request, "checked.html", name=face.name, title=english or face.type_name, printed_title=face.type_name if english else "",
        tone=tone, standing=face.standing.value, spoken=translate(locale, label), photo=picture, issuer=face.issuer_name,
        valid_to=day(face.valid_to, locale) if face.valid_to else "", purpose=face.purpose[0 if locale == CHINESE else 1],
        checked_at=moment(face.checked_at, locale), fields=fields,
    )  # fmt: skip
    if picture:
        response.headers["Content-Security-Policy"] = policy(pictures_within=True)
    return response


def _taken(request: Request, shared: Shared, found: Offered, photo: bytes | None) -> Response:
    certificate = shared.certificate
    if certificate is None:
        raise NothingToShare
    now = house_of(request).clock.now()
    face = Face(
        "、".join(one.name for one in certificate.holders), certificate.type_name, shared.kind.name_en if shared.kind else "",
        certificate.issuer_name, certificate.standing(civil_date(now)), certificate.valid_to, found.words, now,
    )  # fmt: skip
    return _seen(request, face, photo, ordered_fields(certificate, shared.kind))


routes: list[BaseRoute] = [
    Route("/wallet/{id}/show", show_choice, methods=["GET"]),
    Route("/wallet/{id}/show", submit_choice, methods=["POST"]),
    Route("/showings/{id}", show_code, methods=["GET"]),
    Route("/showings/{id}/stop", submit_stop, methods=["POST"]),
    Route("/check", show_check, methods=["GET"]),
    Route("/check", submit_check, methods=["POST"]),
    Route("/s/{code}", show_offer, methods=["GET"]),
]
