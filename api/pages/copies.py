"""Annotated copies of one certificate: those that were made, and a form for another. For its holder in the wallet, for its issuer's staff
in the library, and for whoever had them made: ``/copies``."""

import uuid

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.addresses import address_of
from api.limits import throttle_on
from api.pages.copy_words import row_of
from api.pages.forms import Beside, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.holdings import library_of
from api.pages.i18n import CHINESE, locale_of
from api.pages.rendering import protect, render
from api.pages.spoken import title_of
from api.session import Present, require_login
from certs.copies import DAYS, CopyWanted, make_copy
from certs.copy_reading import file_of_copy, list_copies, withdraw_copy
from certs.library import read
from certs.lifecycle import Standing
from keys.base.clock import civil_date
from keys.base.errors import FujieError
from keys.base.ids import new_secret

ROOMS = ("wallet", "library")
BESIDE = {"PURPOSE_REQUIRED": "purpose"}
MOST_A_MINUTE = 10


@page
async def show_copies(request: Request) -> Response:
    """The copies of one certificate, and the form."""
    return await _shown(request, require_login(request))


@page
async def submit_copy(request: Request) -> Response:
    """Make one. The key stands in the form: sent twice, it makes one copy."""
    present, form = require_login(request), await posted(request)
    wanted = CopyWanted(
        purpose=typed(form, "purpose", 400), certificate_id=identifier_of(request), days=_days(form), recipient=typed(form, "recipient")
    )
    try:
        await throttle_on(request, "page-copy", present.actor.id, limit=MOST_A_MINUTE, seconds=60)
        await make_copy(house_of(request).issuing, present.actor, wanted, typed(form, "key"), address_of(request))
    except FujieError as error:
        if error.status >= 500:
            raise
        errors = Beside({BESIDE.get(error.code, "form"): trouble_of(request, error)})
        return await _shown(request, present, form, errors, error.status)
    return redirect(f"/{_room(request)}/{wanted.certificate_id}/copies?done=1")


async def _shown(
    request: Request, present: Present, form: FormData | None = None, errors: Beside | None = None, status: int = 200
) -> Response:
    library, locale = library_of(request), locale_of(request)
    certificate, kind = await read(library, present.actor, identifier_of(request))
    found, _ = await list_copies(library, present.actor, certificate_id=certificate.id)
    asked = form if form is not None else FormData()
    return render(
        request, "copies.html", status=status, room=_room(request), id=str(certificate.id), errors=errors or Beside(),
        title=title_of(certificate.type_name, kind.name_en if kind and locale != CHINESE else "", locale), number=certificate.number,
        rows=[row_of(one, locale) for one in found], key=typed(asked, "key") or new_secret(16),
        asked={name: shown_again(typed(asked, name, 400)) for name in ("purpose", "recipient")}, days=str(_days(asked)),
        possible=certificate.standing(civil_date(house_of(request).clock.now())) is Standing.IN_FORCE and bool(certificate.document_hash),
        done=request.query_params.get("done") == "1",
    )  # fmt: skip


def _room(request: Request) -> str:
    return request.url.path.split("/")[1]


def _days(form: FormData) -> int:
    text = typed(form, "days")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else (DAYS if not text else 0)


@page
async def show_own(request: Request) -> Response:
    """The copies one's organisation had made, or one's own."""
    present, locale = require_login(request), locale_of(request)
    after = request.query_params.get("after", "")
    found, more = await list_copies(library_of(request), present.actor, after=_id(after))
    rows = [row_of(one, locale) for one in found]
    return render(request, "copies_made.html", rows=rows, after=str(more) if more else "", first=not after)


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return None


@page
async def send_file(request: Request) -> Response:
    """A form post, so that no link to it can be followed by mistake."""
    present, copy_id = require_login(request), identifier_of(request)
    pdf = await file_of_copy(library_of(request), present.actor, copy_id)
    headers = {"Content-Disposition": f'attachment; filename="copy-{copy_id}.pdf"'}
    return protect(Response(pdf, media_type="application/pdf", headers=headers))


@page
async def submit_withdrawal(request: Request) -> Response:
    """End a copy, and back to where one was."""
    present, form = require_login(request), await posted(request)
    seen = await withdraw_copy(library_of(request), present.actor, identifier_of(request), typed(form, "reason", 400))
    room = typed(form, "room")
    return redirect(f"/{room}/{seen.copy.certificate_id}/copies" if room in ROOMS else "/copies")


routes: list[BaseRoute] = [
    *(Route(f"/{room}/{{id}}/copies", show_copies, methods=["GET"]) for room in ROOMS),
    *(Route(f"/{room}/{{id}}/copies", submit_copy, methods=["POST"]) for room in ROOMS),
    Route("/copies", show_own, methods=["GET"]),
    Route("/copies/{id}/file", send_file, methods=["POST"]),
    Route("/copies/{id}/withdraw", submit_withdrawal, methods=["POST"]),
]
