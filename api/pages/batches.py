"""Batches for people: many documents with one seal, agreed to at once, watched, paused, resumed, cancelled, each with its result.

A batch is made of files that are chosen here and of uploads chosen from the list; ten thousand come by the API. Progress needs no
JavaScript: a reader who wants the page to follow by itself asks for it (``?live=1``), and it comes again every few seconds.
"""

import uuid
from urllib.parse import quote

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.addresses import place_at
from api.pages.approve import picture_response
from api.pages.forms import Beside, Trouble, posted, sent, shown_again, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import protect, render
from api.pages.requesting import files_of, missing_file, require_staff, uploaded
from api.pages.sealing_form import Asked, choices_of, empty_form, errors_of, options, placement_of, read_form
from api.sealing import sealing_of
from keys.base.actor import Actor, Role
from keys.base.errors import FujieError, NotFound
from seal.batch_pictures import batch_document, batch_picture
from seal.batch_values import MOST_DOCUMENTS, Batch, BatchDocument, BatchOrder
from seal.batches import PAGE, approve_batch, batch_documents, batch_file, get_batch, list_batches, move_batch, request_batch
from seal.document_errors import DocumentNotFound
from seal.document_lifecycle import BATCH_MOVES, BatchMove, BatchStatus
from seal.document_reads import recent_documents
from seal.document_values import LONGEST_REASON
from seal.matters import get_matter
from seal.reads import Seal, get_seal
from seal.reasons import REASONS, sentences

MOST_FILES, LISTED, SHOWN = 200, 50, 50
SHARP = 150
LIVE_SECONDS = 5
APPROVE = "approve"
STATUSES = {
    BatchStatus.AWAITING_APPROVAL: ("wait", mark("Waiting for its approvers")),
    BatchStatus.RUNNING: ("wait", mark("Being sealed")),
    BatchStatus.PAUSED: ("wait", mark("Paused")),
    BatchStatus.DONE: ("good", mark("Done")),
    BatchStatus.REJECTED: ("bad", mark("Sent back")),
    BatchStatus.CANCELLED: ("bad", mark("Cancelled")),
}
STATES = {
    "waiting": ("wait", mark("Waiting")),
    "sealed": ("good", mark("Sealed")),
    "refused": ("bad", mark("Not sealed")),
}
MOVES = (BatchMove.PAUSE, BatchMove.RESUME, BatchMove.CANCEL, BatchMove.REJECT)
LABELS = {
    BatchMove.PAUSE: mark("Pause"),
    BatchMove.RESUME: mark("Go on"),
    BatchMove.CANCEL: mark("Cancel the batch"),
    BatchMove.REJECT: mark("Send back, do not seal"),
}
DONE = mark("Done. It is recorded in the audit log.")
ASKED = mark("The batch waits for its approvers.")


@page
async def show_batches(request: Request) -> Response:
    """The batches of the organisation, the newest first."""
    actor, locale = require_staff(request).actor, locale_of(request)
    found = await list_batches(sealing_of(house_of(request)), actor, limit=SHOWN)
    return render(request, "batches.html", items=[_item(one, locale) for one in found])


def _item(one: Batch, locale: str) -> dict[str, object]:
    tone, words = STATUSES[one.status]
    return {
        "id": str(one.id), "title": one.title, "requester": one.requester_name or one.requester, "at": moment(one.created_at, locale),
        "tone": tone, "status": translate(locale, words), "total": one.total, "sealed": one.sealed, "refused": one.refused,
        "waiting": one.waiting, "settled": one.total - one.waiting,
    }  # fmt: skip


@page
async def show_form(request: Request) -> Response:
    return await _form(request, require_staff(request).actor, empty_form())


@page
async def submit_form(request: Request) -> Response:
    """Upload what was chosen, and ask for the batch; a refusal shows the form again, and what was uploaded stands in its list, ticked."""
    actor = require_staff(request).actor
    form = await sent(request, MOST_FILES, 32 + LISTED)
    asked, chosen = read_form(form), _ticked(form)
    files = files_of(form)
    if not files and not chosen:
        return await _form(request, actor, asked, 422, {"file": missing_file(request)})
    try:
        for file in files:
            chosen.append((await uploaded(request, actor, file)).id)
        order = BatchOrder(
            asked.title, asked.seal, asked.matter, None, tuple(dict.fromkeys(chosen)), (placement_of(asked),), level=asked.level
        )
        place = await place_at(request, actor)
        made = await request_batch(sealing_of(house_of(request)), actor, order, asked.key, place=place)
    except FujieError as error:
        if error.status >= 500:
            raise
        return await _form(request, actor, asked, error.status, errors_of(request, error), chosen)
    return redirect(f"/batches/{made.id}?done=asked")


def _ticked(form: FormData) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(str(one)) for one in form.getlist("document")]
    except ValueError as error:
        raise DocumentNotFound("identifier") from error


async def _form(
    request: Request, actor: Actor, asked: Asked, status: int = 200, errors: dict[str, Trouble] | None = None,
    ticked: list[uuid.UUID] | None = None,
) -> Response:  # fmt: skip
    locale, house = locale_of(request), house_of(request)
    async with house.database.session() as session:
        listed = await recent_documents(session, actor, limit=LISTED)
    documents = [
        {
            "id": str(one.id), "name": one.name or str(one.id), "at": moment(one.uploaded_at, locale), "pages": len(one.pages),
            "ticked": one.id in (ticked or ()),
        }
        for one in listed
    ]  # fmt: skip
    return render(
        request, "batch_request.html", status=status, asked=asked, errors=Beside(errors or {}), choices=await choices_of(request, actor),
        options=options(locale), documents=documents, most=house.settings.document_megabytes, files=MOST_FILES,
    )  # fmt: skip


@page
async def show_one(request: Request) -> Response:
    return await _shown(request, require_staff(request).actor)


@page
async def move(request: Request) -> Response:
    """Agree to the batch, or pause, resume, cancel, reject it; a refusal shows the page again, as things stand now."""
    actor, identifier, sealing = require_staff(request).actor, identifier_of(request, DocumentNotFound), sealing_of(house_of(request))
    form = await posted(request)
    decision, reason = typed(form, "decision"), typed(form, "reason", LONGEST_REASON)
    try:
        if decision == APPROVE:
            await approve_batch(sealing, actor, identifier, typed(form, "manifest"), place=await place_at(request, actor))
        elif decision in set(MOVES):
            await move_batch(sealing, actor, identifier, BatchMove(decision), reason)
        else:
            raise DocumentNotFound("decision")
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        return await _shown(request, actor, error.status, trouble_of(request, error), (decision, shown_again(reason)))
    return redirect(f"/batches/{identifier}?done=1")


async def _shown(
    request: Request, actor: Actor, status: int = 200, trouble: Trouble | None = None, asked: tuple[str, str] = ("", "")
) -> Response:
    house, locale, sealing = house_of(request), locale_of(request), sealing_of(house_of(request))
    found = await get_batch(sealing, actor, identifier_of(request, DocumentNotFound))
    after = _after(request)
    results = await batch_documents(sealing, actor, found.id, after=after)
    async with house.database.session() as session:
        seal, matter = await get_seal(session, found.seal_code), await get_matter(session, found.matter_code)
    view = _item(found, locale) | {
        "seal": seal.name, "matter": matter.name if matter else found.matter_code, "level": found.level.value,
        "reason": _reason(found.reason, locale), "manifest": found.manifest.hex(), "needed": found.approvals_needed,
        "approvals": [one.approver_name or one.approver for one in found.approvals], "state": found.status.value,
        "more": str(results[-1].position) if len(results) == PAGE and results[-1].position + 1 < found.total else "", "after": after,
    }  # fmt: skip
    live = "live" in request.query_params and found.status is BatchStatus.RUNNING
    done = {"asked": ASKED, "1": DONE}.get(request.query_params.get("done", ""))
    response = render(
        request, "batch.html", status=status, view=view, results=[_result(one, found, locale) for one in results], trouble=trouble,
        asked=asked, live=live, done=translate(locale, done) if done else "", offers=_offers(found, seal, actor, locale),
        approves=_approves(found, seal, actor),
    )  # fmt: skip
    if live:
        response.headers["Refresh"] = str(LIVE_SECONDS)
    return response


def _reason(reason: str, locale: str) -> str:
    """What a halt's code means, or the words of whoever moved it."""
    return sentences(reason)[locale != CHINESE] if reason in REASONS else reason


def _after(request: Request) -> int:
    given = request.query_params.get("after", "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) <= 6 else -1


def _result(one: BatchDocument, batch: Batch, locale: str) -> dict[str, object]:
    tone, words = STATES[one.state]
    return {
        "number": one.position + 1, "name": one.name or str(one.document_id), "tone": tone, "state": translate(locale, words),
        "failure": one.failure or "", "page": f"/batches/{batch.id}/documents/{one.position}",
        "file": f"/batches/{batch.id}/documents/{one.position}/file" if one.sealed_hash else "",
    }  # fmt: skip


def _approves(batch: Batch, seal: Seal, actor: Actor) -> bool:
    """Whether this approver is to agree; a decision that lapsed is made anew."""
    able = Role.APPROVER in actor.roles and actor.organisation == seal.organisation and actor.id != batch.requester
    lapsed = batch.status is BatchStatus.PAUSED and batch.reason == "DOCUMENT_APPROVAL_LAPSED"
    agreed = any(one.approver == actor.id for one in batch.approvals)
    return able and (lapsed or (batch.status is BatchStatus.AWAITING_APPROVAL and not agreed))


def _offers(batch: Batch, seal: Seal, actor: Actor, locale: str) -> list[tuple[str, str]]:
    """Moves that the table and the person's standing allow, as (move, label); the journeys ask again."""
    approver = Role.APPROVER in actor.roles and actor.organisation == seal.organisation
    own = actor.id == batch.requester
    allowed = [one for one in MOVES if batch.status in BATCH_MOVES[one].sources]
    return [(one.value, translate(locale, LABELS[one])) for one in allowed if approver or (own and one is not BatchMove.REJECT)]


@page
async def show_document(request: Request) -> Response:
    """One document, page by page, as it will be sealed or as it was."""
    actor, identifier, sealing = require_staff(request).actor, identifier_of(request, DocumentNotFound), sealing_of(house_of(request))
    found, position = await get_batch(sealing, actor, identifier), _position(request)
    document = await batch_document(sealing, actor, identifier, position)
    (result,) = await batch_documents(sealing, actor, identifier, after=position - 1, limit=1)
    own = f"/batches/{found.id}/documents/{position}"
    pages = [f"{own}/pages/{number}.png" for number in range(1, len(document.pages) + 1)]
    view = _result(result, found, locale_of(request)) | {"batch": str(found.id), "title": found.title, "pages": pages}
    return render(request, "batch_document.html", view=view)


@page
async def send_page(request: Request) -> Response:
    actor, number = require_staff(request).actor, request.path_params["page"]
    sealing = sealing_of(house_of(request))
    return picture_response(
        await batch_picture(sealing, actor, identifier_of(request, DocumentNotFound), _position(request), number - 1, SHARP)
    )


def _position(request: Request) -> int:
    position: int = request.path_params["position"]
    if position >= MOST_DOCUMENTS:
        raise DocumentNotFound("position")
    return position


@page
async def send_file(request: Request) -> Response:
    """One sealed document, under the name it was uploaded with."""
    actor, identifier, sealing = require_staff(request).actor, identifier_of(request, DocumentNotFound), sealing_of(house_of(request))
    position = _position(request)
    pdf = await batch_file(sealing, actor, identifier, position)
    (result,) = await batch_documents(sealing, actor, identifier, after=position - 1, limit=1)
    name = quote((result.name or "document").removesuffix(".pdf") + ".pdf", safe="")
    disposition = f"attachment; filename=\"sealed.pdf\"; filename*=UTF-8''{name}"
    return protect(Response(pdf, media_type="application/pdf", headers={"Content-Disposition": disposition}))


routes: list[BaseRoute] = [
    Route("/batches", show_batches, methods=["GET"]),
    Route("/batches/new", show_form, methods=["GET"]),
    Route("/batches/new", submit_form, methods=["POST"]),
    Route("/batches/{id}", show_one, methods=["GET"]),
    Route("/batches/{id}", move, methods=["POST"]),
    Route("/batches/{id}/documents/{position:int}", show_document, methods=["GET"]),
    Route("/batches/{id}/documents/{position:int}/pages/{page:int}.png", send_page, methods=["GET"]),
    Route("/batches/{id}/documents/{position:int}/file", send_file, methods=["GET"]),
]
