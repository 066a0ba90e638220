"""Documents that wait for a seal: an approver sees every page as it will be sealed, what was taken out of the upload, and by what
authority it may be sealed; then stamps it, or sends it back.

The form names the digest that was shown: what changed since is not sealed.
"""

import uuid

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.addresses import place_at
from api.pages.approve import picture_response, require_approver
from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import protect, render
from api.sealing import sealing_of
from api.session import Present
from keys.base.errors import FujieError, NotFound
from seal.document_approving import approve_request, picture_of, reasons_of, reject_request, sealed_file
from seal.document_errors import DocumentNotFound
from seal.document_lifecycle import RequestStatus
from seal.document_reads import awaiting_requests, document_of_request, get_request
from seal.document_values import LONGEST_REASON
from seal.matters import get_matter
from seal.policy import Answer, RuleAnswer
from seal.reads import get_seal

GRANTING_RULE = "a_grant_covers_it"
DECLINE = "decline"
SHARP = 150
REMOVED = {
    "scripts": mark("Scripts"),
    "actions": mark("Actions"),
    "attachments": mark("Attachments"),
    "form_fields": mark("Form fields (their values stay visible)"),
    "links": mark("Links"),
    "layers": mark("Layers"),
    "annotations": mark("Annotations (visible ones stay)"),
    "hidden_annotations": mark("Hidden annotations"),
    "hidden_text": mark("Invisible text"),
    "hidden_content": mark("Hidden content"),
    "outside_the_page": mark("Content outside the page"),
    "metadata": mark("Notes about the file"),
    "tags": mark("Structure tags"),
    "alternate_pictures": mark("Alternate pictures"),
    "picture_metadata": mark("Notes in photographs"),
}
STATUSES = {
    RequestStatus.SEALED: ("good", mark("Sealed")),
    RequestStatus.REJECTED: ("bad", mark("Sent back")),
    RequestStatus.CANCELLED: ("bad", mark("Taken back by who asked")),
    RequestStatus.FAILED: ("bad", mark("Not sealed")),
    RequestStatus.STAMPING: ("wait", mark("Being sealed")),
    RequestStatus.AWAITING_APPROVAL: ("wait", mark("Waiting for another approval")),
}


def _identifier(request: Request) -> uuid.UUID:
    try:
        return uuid.UUID(request.path_params["id"])
    except ValueError as error:
        raise DocumentNotFound("identifier") from error


@page
async def show_waiting(request: Request) -> Response:
    present, house, locale = require_approver(request), house_of(request), locale_of(request)
    async with house.database.session() as session:
        waiting = await awaiting_requests(session, present.account.organisation or "")
    items = [
        {"id": str(one.id), "title": one.title, "requester": one.requester_name, "received": moment(one.created_at, locale)}
        for one in waiting
    ]
    done = translate(locale, mark("Sent back, not sealed.")) if request.query_params.get("done") == "sent-back" else ""
    return render(request, "documents.html", items=items, done=done)


@page
async def show_one(request: Request) -> Response:
    return await _shown(request, require_approver(request))


@page
async def decide(request: Request) -> Response:
    """Stamp what was shown, or send it back; a refusal shows the page again, as things stand now."""
    present, sealing, identifier = require_approver(request), sealing_of(house_of(request)), _identifier(request)
    form = await posted(request)
    reason = typed(form, "reason", LONGEST_REASON)
    try:
        if typed(form, "decision") == DECLINE:
            await reject_request(sealing, present.actor, identifier, reason)
            return redirect("/documents?done=sent-back")
        place = await place_at(request, present.actor)
        await approve_request(sealing, present.actor, identifier, typed(form, "digest"), place=place)
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        return await _shown(request, present, error.status, trouble_of(request, error), reason)
    return redirect(f"/documents/{identifier}")


@page
async def send_page(request: Request) -> Response:
    """One page as it will be sealed, or as it was."""
    present = require_approver(request)
    number = request.path_params["page"]
    return picture_response(await picture_of(sealing_of(house_of(request)), present.actor, _identifier(request), number - 1, SHARP))


@page
async def send_file(request: Request) -> Response:
    present = require_approver(request)
    pdf = await sealed_file(sealing_of(house_of(request)), present.actor, _identifier(request))
    return protect(Response(pdf, media_type="application/pdf", headers={"Content-Disposition": 'attachment; filename="sealed.pdf"'}))


async def _shown(request: Request, present: Present, status: int = 200, trouble: Trouble | None = None, reason: str = "") -> Response:
    house, locale = house_of(request), locale_of(request)
    async with house.database.session() as session:
        found = await get_request(session, present.actor, _identifier(request))
        document = await document_of_request(session, found)
        seal = await get_seal(session, found.due.seal_code)
        matter = await get_matter(session, found.due.matter_code)
    answers = await reasons_of(sealing_of(house), present.actor, found, await place_at(request, present.actor))
    waiting = found.status is RequestStatus.AWAITING_APPROVAL
    tone, headline = STATUSES[found.status]
    mine = any(one.approver == present.actor.id for one in found.due.approvals)
    view = {
        "id": str(found.id), "title": found.title, "name": document.name, "requester": found.requester_name or found.requester,
        "asked": moment(found.created_at, locale), "seal": seal.name, "matter": matter.name if matter else found.due.matter_code,
        "step": f"{found.position + 1} / {len(found.seals)}", "joint": len(found.seals) > 1, "status": found.status.value,
        "digest": found.due.digest.hex() if found.due.digest else "", "sha256": (found.due.base_hash or b"").hex(),
        "pages": [f"/documents/{found.id}/pages/{number}.png" for number in range(1, len(document.pages) + 1)],
        "removed": [(translate(locale, REMOVED.get(kind, kind)), number) for kind, number in sorted(document.removed.items())],
        "fonts": ", ".join(document.not_embedded), "waiting": waiting and seal.organisation == present.account.organisation,
        "tone": tone, "headline": translate(locale, headline), "failure": found.due.failure or "",
        "approvals": [one.approver_name or one.approver for one in found.due.approvals], "needed": found.due.approvals_needed,
        "agreed": mine, "rules": _rules(answers, locale), "allowed": all(_tone(one) == "good" for one in answers),
        "sealed": found.status is RequestStatus.SEALED,
    }  # fmt: skip
    return render(request, "document.html", status=status, view=view, trouble=trouble, reason=shown_again(reason))


def _tone(answer: RuleAnswer) -> str:
    """A denial is bad; so is the silence of the one rule that can grant."""
    silent_grant = answer.rule == GRANTING_RULE and answer.answer is not Answer.GRANT
    return "bad" if answer.answer is Answer.DENY or silent_grant else "good"


def _rules(answers: tuple[RuleAnswer, ...], locale: str) -> list[dict[str, str]]:
    told = [
        {"tone": _tone(one), "title": one.zh if locale == CHINESE else one.en, "code": one.reason_code, "detail": ""} for one in answers
    ]
    return sorted(told, key=lambda rule: rule["tone"] != "bad")


routes: list[BaseRoute] = [
    Route("/documents", show_waiting, methods=["GET"]),
    Route("/documents/{id}", show_one, methods=["GET"]),
    Route("/documents/{id}", decide, methods=["POST"]),
    Route("/documents/{id}/pages/{page:int}.png", send_page, methods=["GET"]),
    Route("/documents/{id}/file", send_file, methods=["GET"]),
]
