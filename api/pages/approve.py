"""Stamp and issue, or send back: what waits for an approver, what exactly would be sealed, and by what authority.

The form names the hash of the document that was shown; a document that changed since is not stamped.
"""

import uuid
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.addresses import address_of
from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.previews import SHARP, preview
from api.pages.rendering import protect, render
from api.pages.spoken import holders_of, validity_of
from api.session import Present, require_login
from certs.approvals import NotAwaitingStamp
from certs.issuance import AwaitingDocument, agree_awaiting, awaiting_document, decline_awaiting, stamp_awaiting
from certs.library import Library, file_of
from certs.pictures import picture
from certs.reads import awaiting_stamp, get_certificate, type_of, types_of
from certs.records import Certificate, Stage
from certs.standing import ReasonRequired
from identity.organisations import get_organisation
from keys.base.actor import Role
from keys.base.errors import Forbidden, FujieError, NotFound
from seal.matters import get_matter
from seal.permits import explain_use
from seal.places import kept_for
from seal.policy import Answer, RuleAnswer
from seal.reads import pictures_of

GRANTING_RULE = "a_grant_covers_it"
PURPOSE = "审批人员在页面查看已盖章证照"
BEFORE = mark("This is the document that will be sealed. The seal is shown faintly where it will stand.")
AFTER = mark("The certificate as it was sealed.")
STAMPED = mark("Stamped and issued")
STAMPED_TEXT = mark("The certificate is in force; its holder finds it under their account.")
SENT_BACK = mark("Sent back, not stamped. Its number stays taken; the business system may send a corrected approval.")
AGREED = mark("You agreed. The certificate is stamped by another approver, or at the window that keeps the seal.")
DECLINE = "decline"
AGREE = "agree"
DONE = {"sent-back": SENT_BACK, "agreed": AGREED}
LEFT_TO_OTHERS = frozenset({"TWO_APPROVERS_NEEDED", "SEAL_USED_ELSEWHERE"})
"""What keeps an approver from stamping, but not from agreeing."""
LONGEST_REASON = 400


@dataclass(frozen=True, slots=True)
class Errors:
    """What is wrong: with the stamp (``stamp``), or beside the field of the reason."""

    stamp: Trouble | None = None
    reason: Trouble | None = None


NO_ERRORS = Errors()


class ApproversOnly(Forbidden):
    """The account is no approver's."""

    code = "APPROVERS_ONLY"
    public = ("此处仅供审批人员使用，请用审批账号登录。", "This room is for approvers. Please log in with an approver's account.")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule's answer as the page shows it."""

    tone: str
    title: str
    code: str
    detail: str = ""


def require_approver(request: Request) -> Present:
    """The approver at the browser. Raises LoginRequired, ApproversOnly."""
    return _require(request, frozenset({Role.APPROVER}))


def require_stamper(request: Request) -> Present:
    """An approver, or a clerk: what a clerk may see is what their window keeps the seal for. Raises LoginRequired, ApproversOnly."""
    return _require(request, frozenset({Role.APPROVER, Role.WINDOW_CLERK}))


def _require(request: Request, roles: frozenset[Role]) -> Present:
    present = require_login(request)
    if not roles & present.account.roles or present.account.organisation is None:
        raise ApproversOnly
    return present


@page
async def show_approvals(request: Request) -> Response:
    present, house, locale = require_stamper(request), house_of(request), locale_of(request)
    uscc = present.account.organisation or ""
    async with house.database.session() as session:
        own = [uscc] if Role.APPROVER in present.account.roles else []
        waiting = await awaiting_stamp(session, own, seals=await kept_for(session, present.actor))
        organisation = await get_organisation(session, uscc)
        kinds = await types_of(session, waiting) if locale != CHINESE else {}
    english = {code: kind.name_en for (code, _), kind in kinds.items()}
    items = [
        {
            "id": str(one.id),
            "title": english.get(one.type_code) or one.type_name,
            "holders": ("、" if locale == CHINESE else ", ").join(holder.name for holder in one.holders),
            "number": one.number,
            "received": moment(one.created_at, locale),
        }
        for one in waiting
    ]
    done = translate(locale, DONE[ended]) if (ended := request.query_params.get("done", "")) in DONE else ""
    return render(request, "approvals.html", items=items, done=done, organisation=organisation.name if organisation else uscc)


@page
async def show_approval(request: Request) -> Response:
    present = require_stamper(request)
    try:
        document = await _awaiting(request, present)
    except NotAwaitingStamp:
        return await _stamped(request)
    return await _waiting(request, present, document)


@page
async def submit_approval(request: Request) -> Response:
    """Stamp the document that was shown, or send it back; a refusal shows the page again, as things stand now."""
    present, issuing, certificate_id = require_stamper(request), house_of(request).issuing, identifier_of(request)
    form = await posted(request)
    if typed(form, "decision") == DECLINE:
        return await _send_back(request, present, certificate_id, typed(form, "reason", LONGEST_REASON))
    try:
        if typed(form, "decision") == AGREE:
            await agree_awaiting(issuing, present.actor, certificate_id, typed(form, "document"))
            return redirect("/approve?done=agreed")
        await stamp_awaiting(issuing, present.actor, certificate_id, typed(form, "document"), address=address_of(request))
    except NotAwaitingStamp:
        raise
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        document = await _awaiting(request, present)
        return await _waiting(request, present, document, error.status, Errors(stamp=trouble_of(request, error)))
    return redirect(f"/approve/{certificate_id}")


async def _awaiting(request: Request, present: Present) -> AwaitingDocument:
    return await awaiting_document(house_of(request).issuing, present.actor, identifier_of(request), address=address_of(request))


async def _send_back(request: Request, present: Present, certificate_id: uuid.UUID, reason: str) -> Response:
    issuing = house_of(request).issuing
    try:
        await decline_awaiting(issuing, present.actor, certificate_id, reason)
    except ReasonRequired as error:
        document = await _awaiting(request, present)
        return await _waiting(request, present, document, error.status, Errors(reason=trouble_of(request, error)), reason)
    return redirect("/approve?done=sent-back")


@page
async def send_picture(request: Request) -> Response:
    """What will be sealed, the seal faintly on it; once sealed, the certificate itself, logged as a fetch. For the issuer's approvers."""
    present, house = require_stamper(request), house_of(request)
    try:
        document = await _awaiting(request, present)
    except NotAwaitingStamp:
        certificate = await _issued(request)
        library = Library(house.database, house.clock, house.blobs, house.personal)
        pdf = await file_of(library, present.actor, certificate.id, PURPOSE)
        return picture_response(await house.workers.run(picture, pdf, 0, SHARP))
    async with house.database.session() as session:
        seal = await pictures_of(session, document.certificate.seal_code or "")
    return picture_response(await house.workers.run(preview, document.pdf, document.seal_place, seal))


@page
async def send_document(request: Request) -> Response:
    """The whole document as it will be sealed, for whoever is to seal it: an issuer's own may have many pages."""
    document = await _awaiting(request, require_stamper(request))
    headers = {"Content-Disposition": 'inline; filename="unsealed.pdf"', "X-Content-Type-Options": "nosniff"}
    return protect(Response(document.pdf, media_type="application/pdf", headers=headers))


def picture_response(png: bytes) -> Response:
    return protect(Response(png, media_type="image/png"))


async def _issued(request: Request) -> Certificate:
    """The certificate that waits no more; ``awaiting_document`` has already seen that this person may. Raises NotAwaitingStamp."""
    async with house_of(request).database.session() as session:
        certificate = await get_certificate(session, identifier_of(request))
    if certificate is None or certificate.stage is not Stage.ISSUED:
        raise NotAwaitingStamp
    return certificate


async def _stamped(request: Request) -> Response:
    certificate, locale = await _issued(request), locale_of(request)
    view = await _view(request, certificate, AFTER)
    result = {"tone": "good", "headline": translate(locale, STAMPED), "text": translate(locale, STAMPED_TEXT)}
    return render(request, "approval.html", view=view | {"result": result, "status": "issued"}, errors=NO_ERRORS, reason="")


async def _waiting(
    request: Request, present: Present, document: AwaitingDocument, status: int = 200, errors: Errors = NO_ERRORS, reason: str = ""
) -> Response:
    certificate, house, locale = document.certificate, house_of(request), locale_of(request)
    async with house.database.session() as session:
        answers = await explain_use(session, house.clock.now(), document.use)
    view = await _view(request, certificate, BEFORE) | {
        "result": None,
        "status": "awaiting_stamp",
        "document": document.document_hash,
        "rules": sorted((_rule(answer, locale) for answer in answers), key=lambda rule: rule.tone != "bad"),
        "allowed": all(_tone(answer) == "good" for answer in answers),
        "may_agree": Role.APPROVER in present.account.roles and any(answer.reason_code in LEFT_TO_OTHERS for answer in answers),
    }
    return render(request, "approval.html", status=status, view=view, errors=errors, reason=shown_again(reason))


def _tone(answer: RuleAnswer) -> str:
    """A denial is bad; so is the silence of the one rule that can grant. Any other silence is "no objection"."""
    silent_grant = answer.rule == GRANTING_RULE and answer.answer is not Answer.GRANT
    return "bad" if answer.answer is Answer.DENY or silent_grant else "good"


def _rule(answer: RuleAnswer, locale: str) -> Rule:
    return Rule(_tone(answer), answer.zh if locale == CHINESE else answer.en, answer.reason_code)


async def _view(request: Request, certificate: Certificate, picture_text: str) -> dict[str, object]:
    locale = locale_of(request)
    async with house_of(request).database.session() as session:
        matter = await get_matter(session, certificate.matter_code or "")
        kind = await type_of(session, certificate)
    english = kind.name_en if kind and locale != CHINESE else ""
    return {
        "id": str(certificate.id),
        "title": english or certificate.type_name,
        "printed_title": certificate.type_name if english else "",
        "number": certificate.number,
        "matter": matter.name if matter else certificate.matter_code,
        "holders": holders_of(certificate),
        "issuer": certificate.issuer_name,
        "seal": certificate.seal_name,
        "validity": validity_of(certificate.valid_from, certificate.valid_to, locale),
        "identifier": certificate.identifier,
        "code": certificate.verification_code or "",
        "picture": f"/approve/{certificate.id}/picture.png",
        "picture_text": translate(locale, picture_text),
    }


routes: list[BaseRoute] = [
    Route("/approve", show_approvals, methods=["GET"]),
    Route("/approve/{id}", show_approval, methods=["GET"]),
    Route("/approve/{id}", submit_approval, methods=["POST"]),
    Route("/approve/{id}/picture.png", send_picture, methods=["GET"]),
    Route("/approve/{id}/document.pdf", send_document, methods=["GET"]),
]
