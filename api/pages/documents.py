"""Documents that wait for a seal: an approver sees every page as it will be sealed, what was taken out of the upload, and by what
authority it may be sealed; then stamps it, or sends it back. What a window keeps the seal for is agreed to here and stamped there, by its
clerk. Whoever asked sees how far it is, and may take it back.

The form names the digest that was shown: what changed since is not sealed.
"""

import uuid
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.addresses import place_at
from api.pages.approve import picture_response
from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import protect, render
from api.pages.requesting import require_staff
from api.sealing import sealing_of
from api.session import Present
from keys.base.actor import Actor, Role
from keys.base.errors import FujieError, NotFound
from seal.document_approving import approve_request, cancel_request, picture_of, reasons_of, reject_request, sealed_file
from seal.document_errors import DocumentNotFound
from seal.document_lifecycle import RequestStatus
from seal.document_reads import awaiting_requests, document_of_request, get_request, list_requests
from seal.document_values import LONGEST_REASON, Document, SealRequest
from seal.matters import Matter, get_matter
from seal.places import is_left_to_windows, kept_for
from seal.policy import Answer, RuleAnswer
from seal.policy_facts import Place
from seal.reads import Seal, get_seal
from seal.window_stamping import stamp_at_window

GRANTING_RULE = "a_grant_covers_it"
AGREE, STAMP, DECLINE, TAKE_BACK = "agree", "stamp", "decline", "take-back"
DONE = {
    "sent-back": mark("Sent back, not sealed."),
    "taken-back": mark("Taken back, not sealed."),
    "asked": mark("It waits for its approvers. You find it here, under what you asked for."),
    "agreed": mark("You have agreed."),
}
FIRST = mark("Waiting for its approvers")
SHOWN = 20
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


@page
async def show_waiting(request: Request) -> Response:
    """What waits for this person's hand, and what their organisation has asked for."""
    actor, house = require_staff(request).actor, house_of(request)
    own = actor.organisation or "" if Role.APPROVER in actor.roles else ""
    async with house.database.session() as session:
        waiting = await awaiting_requests(session, own, await kept_for(session, actor))
        asked = await list_requests(session, actor, limit=SHOWN)
    items = [_item(one, request) for one in waiting if not _has_agreed(one, actor)]
    listed = {one["id"] for one in items}
    mine = [_item(one, request) for one in asked if str(one.id) not in listed]
    return render(request, "documents.html", items=items, asked=mine, done=_done(request))


def _has_agreed(one: SealRequest, actor: Actor) -> bool:
    """Nothing is left for an approver who agreed; a clerk's hand comes after the approvers'."""
    return Role.APPROVER in actor.roles and any(agreed.approver == actor.id for agreed in one.due.approvals)


def _done(request: Request) -> str:
    done = DONE.get(request.query_params.get("done", ""))
    return translate(locale_of(request), done) if done else ""


def _item(one: SealRequest, request: Request) -> dict[str, str]:
    locale, (tone, words) = locale_of(request), STATUSES[one.status]
    if one.status is RequestStatus.AWAITING_APPROVAL and not one.due.approvals:
        words = FIRST
    return {
        "id": str(one.id), "title": one.title, "requester": one.requester_name or one.requester,
        "received": moment(one.created_at, locale), "tone": tone, "status": translate(locale, words),
    }  # fmt: skip


@page
async def show_one(request: Request) -> Response:
    return await _shown(request, require_staff(request))


@page
async def decide(request: Request) -> Response:
    """Stamp what was shown, agree to it, send it back or take it back; a refusal shows the page again, as things stand now."""
    present, identifier = require_staff(request), identifier_of(request, DocumentNotFound)
    form = await posted(request)
    reason, decision = typed(form, "reason", LONGEST_REASON), typed(form, "decision")
    try:
        return redirect(await _decided(request, present.actor, identifier, decision, typed(form, "digest"), reason))
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        return await _shown(request, present, error.status, trouble_of(request, error), reason, decision)


async def _decided(request: Request, actor: Actor, identifier: uuid.UUID, decision: str, digest: str, reason: str) -> str:
    """Where to go on. Raises what the journeys raise."""
    sealing = sealing_of(house_of(request))
    if decision == DECLINE:
        await reject_request(sealing, actor, identifier, reason)
        return "/documents?done=sent-back"
    if decision == TAKE_BACK:
        await cancel_request(sealing, actor, identifier, reason)
        return "/documents?done=taken-back"
    place = await place_at(request, actor)
    if decision == STAMP:
        await stamp_at_window(sealing, actor, identifier, digest, place)
        return f"/documents/{identifier}"
    found = await approve_request(sealing, actor, identifier, digest, place=place)
    return f"/documents/{identifier}" + ("?done=agreed" if found.status is RequestStatus.AWAITING_APPROVAL else "")


@page
async def send_page(request: Request) -> Response:
    """One page as it will be sealed, or as it was."""
    present = require_staff(request)
    number = request.path_params["page"]
    return picture_response(
        await picture_of(sealing_of(house_of(request)), present.actor, identifier_of(request, DocumentNotFound), number - 1, SHARP)
    )


@page
async def send_file(request: Request) -> Response:
    present = require_staff(request)
    pdf = await sealed_file(sealing_of(house_of(request)), present.actor, identifier_of(request, DocumentNotFound))
    return protect(Response(pdf, media_type="application/pdf", headers={"Content-Disposition": 'attachment; filename="sealed.pdf"'}))


@dataclass(frozen=True, slots=True)
class Shown:
    """A request with what belongs to it, as one reader sees it. ``at_window``: this clerk stamps it; ``left``: a window's clerk does."""

    request: SealRequest
    document: Document
    seal: Seal
    matter: Matter | None
    place: Place
    at_window: bool
    left: bool


async def _found(request: Request, actor: Actor) -> Shown:
    place = await place_at(request, actor)
    async with house_of(request).database.session() as session:
        found = await get_request(session, actor, identifier_of(request, DocumentNotFound))
        seal = await get_seal(session, found.due.seal_code)
        return Shown(
            found,
            await document_of_request(session, found),
            seal,
            await get_matter(session, found.due.matter_code),
            place,
            seal.code in await kept_for(session, actor),
            not found.unattended and await is_left_to_windows(session, seal.id, place),
        )


async def _shown(
    request: Request, present: Present, status: int = 200, trouble: Trouble | None = None, reason: str = "", decision: str = ""
) -> Response:
    locale, actor = locale_of(request), present.actor
    shown = await _found(request, actor)
    found, due = shown.request, shown.request.due
    answers = await reasons_of(sealing_of(house_of(request)), actor, found, shown.place)
    tone, headline = STATUSES[found.status]
    view = {
        "id": str(found.id), "title": found.title, "name": shown.document.name, "requester": found.requester_name or found.requester,
        "asked": moment(found.created_at, locale), "seal": shown.seal.name,
        "matter": shown.matter.name if shown.matter else due.matter_code,
        "step": f"{found.position + 1} / {len(found.seals)}", "joint": len(found.seals) > 1, "status": found.status.value,
        "digest": due.digest.hex() if due.digest else "", "sha256": (due.base_hash or b"").hex(), "level": due.plan.get("level", ""),
        "pages": [f"/documents/{found.id}/pages/{number}.png" for number in range(1, len(shown.document.pages) + 1)],
        "removed": [(translate(locale, REMOVED.get(kind, kind)), number) for kind, number in sorted(shown.document.removed.items())],
        "fonts": ", ".join(shown.document.not_embedded), "tone": tone, "headline": translate(locale, headline),
        "failure": due.failure or "", "approvals": [one.approver_name or one.approver for one in due.approvals],
        "needed": due.approvals_needed, "rules": _rules(answers, locale), "sealed": found.status is RequestStatus.SEALED,
        "allowed": all(_tone(one) == "good" for one in answers),
    }  # fmt: skip
    may = _may(shown, actor, allowed=bool(view["allowed"]))
    return render(
        request, "document.html", status=status, view=view, may=may, trouble=trouble, reason=shown_again(reason), decision=decision,
        done=_done(request),
    )  # fmt: skip


def _may(shown: Shown, actor: Actor, *, allowed: bool) -> dict[str, bool]:
    """What the page offers this reader; the journeys ask again."""
    found, due = shown.request, shown.request.due
    waiting = found.status is RequestStatus.AWAITING_APPROVAL
    agreed = any(one.approver == actor.id for one in due.approvals)
    approves = waiting and Role.APPROVER in actor.roles and shown.seal.organisation == actor.organisation and found.requester != actor.id
    complete = len(due.approvals) >= due.approvals_needed
    clerk = waiting and shown.at_window and Role.APPROVER not in actor.roles
    return {
        "agreed": waiting and agreed,
        "complete": complete,
        "seal": approves and not agreed and not shown.left and (allowed or due.approvals_needed > 1),
        "agree": approves and not agreed and shown.left,
        "denied": approves and not agreed and not shown.left and not allowed and due.approvals_needed <= 1,
        "stamp": clerk and complete and allowed,
        "barred": clerk and complete and not allowed,
        "early": clerk and not complete,
        "left": waiting and shown.left,
        "decline": approves,
        "take_back": waiting and found.requester == actor.id,
        "judge": approves or clerk,
    }


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
