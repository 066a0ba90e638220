"""Issuing at a window (一窗发证): choose a type, fill in, see every check and the certificate as it would be printed, then issue it.

The list shows what the clerk's organisation brought lately and how it stands; what is issued can be printed there and handed over.
"""

import base64

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.addresses import address_of, place_at
from api.pages.forms import Beside, Trouble, sent, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, public_sentence, translate
from api.pages.issue_form import (
    Choices,
    Typed,
    approval_of,
    choices_for,
    copies_of,
    empty_form,
    printed_form,
    read_form,
    shown,
    typed_fields,
    with_another_holder,
    with_photograph,
)
from api.pages.previews import unissued
from api.pages.rendering import policy, protect, render
from api.pages.spoken import holders_of, validity_of
from api.session import Present, require_login
from certs.approvals import Approval
from certs.catalogue import CertificateType
from certs.issuance import approve
from certs.library import Library, file_of
from certs.photographs import PhotographUnusable
from certs.prechecks import CHECKS, Finding, PreCheck, Result, preview
from certs.reads import issuable_type, types_of
from certs.records import Certificate, Stage
from certs.windows import MOST_TYPES, brought, brought_lately, issuers_at, types_at
from keys.base.actor import Role
from keys.base.clock import civil_date
from keys.base.errors import Forbidden, FujieError

PURPOSE = "窗口打印证照，交付持证主体"
TONES = {Result.PASSED: "good", Result.NOTICE: "wait", Result.FAILED: "bad", Result.UNKNOWN: "wait"}
NOT_ASKED = mark("Not asked, because of what stands above")
STAGES = {
    Stage.RESERVED: (mark("Being issued"), mark("It is being printed and sealed. Load the page again in a moment.")),
    Stage.AWAITING_STAMP: (mark("Waiting for the seal"), mark("An approver of the issuer, or the window that keeps the seal, stamps it.")),
    Stage.AWAITING_GLYPH: (
        mark("Waiting for a rare character"),
        mark("It goes on by itself as soon as the character's glyph is supplied."),
    ),
    Stage.ISSUED: (mark("Issued"), mark("Print it and hand it over; the holder finds it under their account as well.")),
    Stage.VOID: (mark("Not issued"), mark("It was sent back or could not be issued. Its identifier stays taken; it may be brought again.")),
}
"""How a certificate stands, in a word and in a sentence."""
SAID = {
    "missing": mark("Fill this in."),
    "too long": mark("This is too long."),
    "ends before it begins": mark("The last day is before the first."),
    "this type needs a last day of validity": mark("This certificate needs a last day."),
    "not well-formed": mark("This is no such number."),
    "name_differs": mark("Name and number do not belong together."),
    "no_record": mark("The registry does not know this number."),
    "holds an ID number": mark("An ID number does not belong here."),
    "1–64 printable characters": mark("Fill this in."),
    "not a holder of this type": mark("Such a holder cannot hold this certificate."),
}
"""What is wrong with one field, in words for its reader; what stands not here is said by the refusal's own sentence."""
_PLACES = {
    "valid_from": "valid_from", "valid_to": "valid_to", "approval_number": "number", "matter_code": "matter", "seal": "seal",
    "photo": "photo", "copy": "copy",
}  # fmt: skip


class WindowStaffOnly(Forbidden):
    """The account belongs to nobody who issues at a window."""

    code = "WINDOW_STAFF_ONLY"
    public = ("此处仅供窗口人员与审批人员使用。", "This room is for window clerks and approvers.")


def require_window(request: Request) -> Present:
    """A clerk or approver of an organisation. Raises LoginRequired, WindowStaffOnly."""
    present = require_login(request)
    if not present.account.roles & {Role.WINDOW_CLERK, Role.APPROVER} or present.account.organisation is None:
        raise WindowStaffOnly
    return present


@page
async def show_types(request: Request) -> Response:
    """The types that can be issued here, and what was brought lately."""
    present, house, locale = require_window(request), house_of(request), locale_of(request)
    words = request.query_params.get("q", "")[:100]
    async with house.database.session() as session:
        issuers = await issuers_at(session, present.actor)
        found = await types_at(session, issuers, words)
        lately = await brought_lately(session, present.actor)
        names = await types_of(session, lately) if locale != CHINESE else {}
    chinese = locale == CHINESE
    types = [{"code": code, "title": zh if chinese or not en else en, "chinese": "" if chinese or not en else zh} for code, zh, en in found]
    english = {code: kind.name_en for (code, _), kind in names.items()}
    items = [_line(one, english.get(one.type_code, ""), locale) for one in lately]
    return render(request, "issue.html", types=types, items=items, q=words, more=len(types) == MOST_TYPES)


def _line(one: Certificate, english: str, locale: str) -> dict[str, str]:
    return {
        "id": str(one.id), "title": english or one.type_name, "number": one.number, "received": moment(one.created_at, locale),
        "holders": ("、" if locale == CHINESE else ", ").join(holder.name for holder in one.holders),
        "stage": translate(locale, STAGES[one.stage][0]),
        "tone": {Stage.ISSUED: "good", Stage.VOID: "bad"}.get(one.stage, "wait"),
    }  # fmt: skip


@page
async def show_form(request: Request) -> Response:
    present, house = require_window(request), house_of(request)
    kind = await _kind(request)
    return await _form(request, present, kind, empty_form(civil_date(house.clock.now())))


@page
async def submit_form(request: Request) -> Response:
    """Check and preview, or issue; a refusal shows the form again, each fault beside its field."""
    present, house = require_window(request), house_of(request)
    kind = await _kind(request)
    form = await sent(request, 1, fields=96)
    asked, decision = read_form(form, kind), typed(form, "decision")
    try:
        asked = await with_photograph(request, form, asked)
    except PhotographUnusable as error:
        return await _form(request, present, kind, asked, error.status, _troubles(request, error, kind))
    if decision == "holder":
        return await _form(request, present, kind, with_another_holder(asked))
    choices = await _choices(request, present, kind)
    try:
        place = await place_at(request, present.actor)
        approval = approval_of(kind, asked, choices, window=place.window, by=present.account.display_name)
        if decision != "issue":
            return await _previewed(request, present, kind, asked, approval)
        outcome = await approve(house.issuing, present.actor, approval, asked.key, address=address_of(request))
    except FujieError as error:
        if error.status >= 500:
            raise
        return await _form(request, present, kind, asked, error.status, _troubles(request, error, kind))
    return redirect(f"/issue/done/{outcome.id}")


async def _previewed(request: Request, present: Present, kind: CertificateType, asked: Typed, approval: Approval) -> Response:
    house = house_of(request)
    found, made = await preview(house.issuing, present.actor, approval)
    errors: dict[str, Trouble] = {}
    for one in found.findings:
        if one.result is Result.FAILED and one.error is not None:
            errors |= _beside(request, one.error, kind)
    picture = base64.b64encode(await house.workers.run(unissued, made.pdf)).decode() if made is not None else ""
    return await _form(request, present, kind, asked, 200 if found.passes else 422, errors, found, picture)


def _troubles(request: Request, error: FujieError, kind: CertificateType) -> dict[str, Trouble]:
    return {"form": trouble_of(request, error)} | _beside(request, error, kind)


def _beside(request: Request, error: FujieError, kind: CertificateType) -> dict[str, Trouble]:
    """Each fault by the field it belongs beside."""
    errors, locale = error.extra.get("errors", []), locale_of(request)
    shorts = {one.name: one.short for one in kind.fields}
    beside = {}
    for one in errors if isinstance(errors, list) else []:
        place = str(one.get("field", ""))
        name = shorts.get(place) or _PLACES.get(place) or (f"holder_{place.split('.')[1]}" if place.startswith("holders.") else "")
        if name:
            said = SAID.get(str(one.get("message", "")))
            beside[name] = Trouble(error.code, translate(locale, said) if said else public_sentence(error, locale))
    return beside


async def _kind(request: Request) -> CertificateType:
    async with house_of(request).database.session() as session:
        return await issuable_type(session, request.path_params["code"])


async def _choices(request: Request, present: Present, kind: CertificateType) -> Choices:
    return await choices_for(request, present.actor, kind, chinese=locale_of(request) == CHINESE)


async def _form(
    request: Request,
    present: Present,
    kind: CertificateType,
    asked: Typed,
    status: int = 200,
    errors: dict[str, Trouble] | None = None,
    found: PreCheck | None = None,
    picture: str = "",
) -> Response:
    locale, printed = locale_of(request), printed_form(kind)
    view = {
        "code": kind.code,
        "photo": printed is not None and printed.photo,
        "copies": copies_of(kind, chinese=locale == CHINESE),
        "title": kind.name_zh if locale == CHINESE else kind.name_en or kind.name_zh,
        "printed_title": kind.name_zh if locale != CHINESE and kind.name_en else "",
        "fields": typed_fields(kind),
        "more_holders": len(asked.holders) < min(kind.most_holders, 10),
        "open_ended": kind.open_ended,
        "findings": [_shown(one, locale) for one in found.findings] if found else [],
        "passes": found is not None and found.passes,
        "unattended": found is not None and found.unattended,
        "picture": f"data:image/png;base64,{picture}" if picture else "",
    }
    response = render(
        request, "issue_form.html", status=status, view=view, asked=shown(asked), errors=Beside(errors or {}),
        choices=await _choices(request, present, kind),
    )  # fmt: skip
    if picture or asked.photo:
        response.headers["Content-Security-Policy"] = policy(pictures_within=True)
    return response


def _shown(one: Finding, locale: str) -> dict[str, str]:
    title = CHECKS[one.check][0 if locale == CHINESE else 1]
    if one.error is not None:
        return {"tone": TONES[one.result], "title": title, "text": public_sentence(one.error, locale), "code": one.error.code}
    asked = "" if one.result is Result.PASSED else translate(locale, NOT_ASKED)
    return {"tone": TONES[one.result], "title": title, "text": asked, "code": ""}


@page
async def show_done(request: Request) -> Response:
    """How a certificate that this organisation brought stands."""
    present, locale = require_window(request), locale_of(request)
    async with house_of(request).database.session() as session:
        one = await brought(session, present.actor, identifier_of(request))
        kind = (await types_of(session, [one])).get((one.type_code, one.type_version))
    word, sentence = STAGES[one.stage]
    english = kind.name_en if kind and locale != CHINESE else ""
    view = {
        "id": str(one.id), "title": english or one.type_name, "tone": {Stage.ISSUED: "good", Stage.VOID: "bad"}.get(one.stage, "wait"),
        "stage": one.stage.value, "word": translate(locale, word), "sentence": translate(locale, sentence), "number": one.number,
        "holders": holders_of(one), "issuer": one.issuer_name, "seal": one.seal_name, "identifier": one.identifier,
        "validity": validity_of(one.valid_from, one.valid_to, locale), "type": one.type_code,
        "verification_code": one.verification_code if one.stage is Stage.ISSUED else "", "approve": _may_stamp(present, one),
    }  # fmt: skip
    return render(request, "issue_done.html", view=view)


def _may_stamp(present: Present, one: Certificate) -> bool:
    """Whether the page where it is stamped is theirs too; whether they may stamp is the seal's policy to say."""
    return one.stage is Stage.AWAITING_STAMP and present.account.organisation == one.issuer


@page
async def send_file(request: Request) -> Response:
    """The sealed PDF, to be printed at the window; logged as a fetch."""
    present, house = require_window(request), house_of(request)
    certificate_id = identifier_of(request)
    async with house.database.session() as session:
        await brought(session, present.actor, certificate_id)
    library = Library(house.database, house.clock, house.blobs, house.personal)
    pdf = await file_of(library, present.actor, certificate_id, PURPOSE)
    response = protect(Response(pdf, media_type="application/pdf"))
    response.headers["Content-Disposition"] = f'inline; filename="{certificate_id}.pdf"'
    return response


routes: list[BaseRoute] = [
    Route("/issue", show_types, methods=["GET"]),
    Route("/issue/done/{id}", show_done, methods=["GET"]),
    Route("/issue/done/{id}/file", send_file, methods=["GET"]),
    Route("/issue/{code}", show_form, methods=["GET"]),
    Route("/issue/{code}", submit_form, methods=["POST"]),
]
