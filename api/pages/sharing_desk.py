"""The desk of a department: what a matter asks for and the library answers, for one holder; and asking the holder where they must agree,
or other instances.

A number that was typed stays in the body of forms: it is in no address, no log, and not shown again.
"""

from dataclasses import replace
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.consents import in_words
from api.pages.forms import Beside, posted, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.holdings import library_of
from api.pages.i18n import CHINESE, locale_of, moment, translate
from api.pages.rendering import protect, render
from api.pages.sharing_elsewhere import HERE, NOBODY, ask_elsewhere, places, take_record
from api.pages.words import CODE_TYPES, STATUS_TAGS
from api.session import Present, require_login
from certs.consents import State, Wish, ask_holder, request_of, requests_by
from certs.library import ordered_fields
from certs.reads import get_type
from certs.shared_reading import Findable, NothingToShare, Query, Shared, find_for_matter, share
from certs.sharing import ASKS, Want
from certs.sharing_reasons import sentences
from keys.base.clock import civil_date
from keys.base.errors import Forbidden, FujieError, InvalidInput
from seal.matters import list_matters

SHOWN = 12
LOOK_AGAIN = 10
"""Seconds: how soon the clerk's page sees that the holder answered."""
FIELDS = {"PURPOSE_REQUIRED": "purpose", "INVALID_INPUT": "holder_code"}


class DeskStaffOnly(Forbidden):
    """The account asks for no organisation."""

    code = "SHARING_STAFF_ONLY"
    public = ("此处仅供机构的窗口人员和审批人使用。", "This desk is for clerks and approvers of an organisation.")


def require_staff(request: Request) -> Present:
    """A clerk or approver of an organisation. Raises LoginRequired, DeskStaffOnly."""
    present = require_login(request)
    if not present.account.roles & ASKS or present.account.organisation is None:
        raise DeskStaffOnly
    return present


@page
async def show_desk(request: Request) -> Response:
    """The form, and what holders were asked."""
    return await _desk(request, require_staff(request))


@page
async def submit_find(request: Request) -> Response:
    """What the matter asks for, and what of it may be had of this holder."""
    present, form = require_staff(request), await posted(request)
    query, where = _query(form), typed(form, "where") or HERE
    try:
        if where != HERE:
            elsewhere = await ask_elsewhere(request, present.actor, query, where)
            return await _desk(request, present, query, where=where, elsewhere=elsewhere)
        found = await find_for_matter(library_of(request), present.actor, query)
    except FujieError as error:
        if error.status >= 500:
            raise
        errors = Beside({FIELDS.get(error.code, "form"): trouble_of(request, error)})
        return await _desk(request, present, query, where=where, errors=errors, status=error.status)
    return await _desk(request, present, query, found=found)


def _query(form: FormData) -> Query:
    names = ("matter", "purpose", "holder_code", "code_type")
    matter, purpose, number, code_type = (typed(form, name).strip() for name in names)
    return Query(matter, purpose, Want.DATA, typed(form, "type"), number, code_type)


async def _desk(
    request: Request, present: Present, query: Query | None = None, *, found: tuple[Findable, ...] | None = None,
    where: str = HERE, elsewhere: list[dict[str, Any]] | None = None, errors: Beside | None = None, status: int = 200,
) -> Response:  # fmt: skip
    house, locale = house_of(request), locale_of(request)
    organisation = present.account.organisation or ""
    async with house.database.session() as session:
        matters = [(one.code, one.name) for one in await list_matters(session, organisation=organisation)]
        instances = await places(session, locale)
    asked = await in_words(request, await requests_by(library_of(request), organisation, SHOWN))
    return render(
        request, "share_desk.html", matters=matters, code_types=[(code, translate(locale, label)) for code, label in CODE_TYPES.items()],
        query=query, results=[await _result(request, one) for one in found] if found is not None else None, asked=asked,
        errors=errors or Beside(), status=status, places=instances, where=where, elsewhere=elsewhere, nobody=translate(locale, NOBODY),
    )  # fmt: skip


async def _result(request: Request, one: Findable) -> dict[str, object]:
    """``want``: what the clerk may take at once; ``ask``: what the holder may be asked for."""
    locale = locale_of(request)
    async with house_of(request).database.session() as session:
        kind = await get_type(session, one.type_code)
    more, data = one.decisions[Want.RECORD], one.decisions[Want.DATA]
    ask = Want.RECORD if more.code == "HOLDER_MUST_AGREE" else Want.DATA if data.code == "HOLDER_MUST_AGREE" else None
    english = kind.name_en if kind and locale != CHINESE else ""
    return {
        "type": one.type_code, "title": english or (kind.name_zh if kind else one.type_code), "holds": one.holds,
        "take": bool(one.certificates), "ask": ask.value if ask and one.holds is not False else "",
        "why": sentences(data.code if one.holds is None else more.code)[0 if locale == CHINESE else 1],
    }  # fmt: skip


@page
async def submit_ask(request: Request) -> Response:
    """Ask the holder on their phone."""
    present, form = require_staff(request), await posted(request)
    query, want = _query(form), typed(form, "want")
    if want not in set(Want):
        raise InvalidInput("want")
    wish = Wish(query.matter_code, query.type_code, Want(want), query.purpose, query.holder_code, query.code_type)
    made = await ask_holder(library_of(request), present.actor, wish)
    return redirect(f"/share/requests/{made.id}")


@page
async def submit_record(request: Request) -> Response:
    """The record of a type that needs no agreement."""
    present, form = require_staff(request), await posted(request)
    return _record(request, await share(library_of(request), present.actor, replace(_query(form), want=Want.RECORD)))


@page
async def submit_elsewhere(request: Request) -> Response:
    """The record of another instance."""
    present, form = require_staff(request), await posted(request)
    return await take_record(request, present.actor, _query(form), typed(form, "where"))


@page
async def show_request(request: Request) -> Response:
    """Whether the holder answered. The page asks for itself again while they have not."""
    present = require_staff(request)
    found = await request_of(library_of(request), present.actor, identifier_of(request))
    (view,) = await in_words(request, (found,))
    response = render(request, "share_desk_request.html", view=view, want=found.want.value)
    if found.state is State.PENDING:
        response.headers["Refresh"] = str(LOOK_AGAIN)
    return response


@page
async def submit_use(request: Request) -> Response:
    """Use what the holder allowed, once: yes or no, the record, or the file."""
    present, wanted = require_staff(request), identifier_of(request)
    form = await posted(request)
    library = library_of(request)
    found = await request_of(library, present.actor, wanted)
    want = Want.FILE if typed(form, "take") == "file" and found.want is Want.FILE else Want.RECORD
    want = Want.DATA if found.want is Want.DATA else want
    shared = await share(library, present.actor, Query(found.matter_code, found.purpose, want, consent=wanted))
    if shared.file is not None and shared.certificate is not None:
        headers = {"Content-Disposition": f'attachment; filename="{shared.certificate.id}.pdf"'}
        return protect(Response(shared.file, media_type="application/pdf", headers=headers))
    if want is Want.DATA:
        (view,) = await in_words(request, (await request_of(library, present.actor, wanted),))
        return render(request, "share_desk_request.html", view=view, want=want.value, holds=shared.holds)
    return _record(request, shared)


def _record(request: Request, shared: Shared) -> Response:
    certificate, locale, now = shared.certificate, locale_of(request), house_of(request).clock.now()
    if certificate is None:
        raise NothingToShare
    standing = certificate.standing(civil_date(now))
    tone, label = STATUS_TAGS[standing]
    english = shared.kind.name_en if shared.kind and locale != CHINESE else ""
    return render(
        request, "share_record.html", title=english or certificate.type_name, printed_title=certificate.type_name if english else "",
        tone=tone, standing=standing.value, spoken=translate(locale, label), number=certificate.number, issuer=certificate.issuer_name,
        identifier=certificate.identifier, code=certificate.verification_code or "",
        holders=[f"{one.name}（{one.code_masked}）" for one in certificate.holders], fields=ordered_fields(certificate, shared.kind),
        taken_at=moment(now, locale),
    )  # fmt: skip


routes: list[BaseRoute] = [
    Route("/share", show_desk, methods=["GET"]),
    Route("/share", submit_find, methods=["POST"]),
    Route("/share/ask", submit_ask, methods=["POST"]),
    Route("/share/record", submit_record, methods=["POST"]),
    Route("/share/elsewhere", submit_elsewhere, methods=["POST"]),
    Route("/share/requests/{id}", show_request, methods=["GET"]),
    Route("/share/requests/{id}", submit_use, methods=["POST"]),
]
