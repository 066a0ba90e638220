"""Seals for their keepers and reviewers: what waits, each seal with its picture and its life, and every step one may take.

Who may do what is for the journeys to say; the page offers what the table of moves and the person's roles allow, and shows a refusal
where it was asked for. Two people who review see the same page one after the other.
"""

import re
import uuid
from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.approve import picture_response
from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import render
from api.pages.spoken import validity_of
from api.session import Present, require_login
from api.wiring import House
from identity.people import get_account
from keys.base.actor import SYSTEM, Actor, Role
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import Forbidden, FujieError, NotFound
from seal.access import require_two_factors, seen
from seal.activation import activate_seal
from seal.changes import MayNotMoveSeal, check_mover, move_seal
from seal.kinds import KINDS
from seal.lifecycle import MOVES, STATUS_NAMES, WAITING, Move, Status
from seal.making import make_reviewed_seal
from seal.motives import DOCUMENT_KIND_NAMES, OTHER, REASON_TABLE, DocumentKind, Why, read_papers, sentence
from seal.notices import mark_read, notices_of
from seal.reads import Seal, StatusChange, Wanted, find_seals, history_of, list_applications, pictures_of, resolve
from seal.reviewing import review_seal
from seal.supervision import alerts_within, reviews_within

TONES = {
    Status.ACTIVE: "good",
    Status.SUSPENDED: "wait",
    Status.LOST: "bad",
    Status.CANCELLED: "bad",
    Status.CLOSED: "bad",
    Status.EXPIRED: "bad",
    Status.REJECTED: "bad",
}
OFFERED = (
    Move.REVIEW,
    Move.REJECT,
    Move.MAKE,
    Move.FILE,
    Move.ACTIVATE,
    Move.RESUME,
    Move.SUSPEND,
    Move.REPORT_LOST,
    Move.CANCEL,
    Move.FILE_CANCELLATION,
)
LABELS = {
    Move.REVIEW: mark("Agree"),
    Move.REJECT: mark("Refuse"),
    Move.MAKE: mark("Make the seal"),
    Move.FILE: mark("File it"),
    Move.ACTIVATE: mark("Put it into use"),
    Move.RESUME: mark("Resume its use"),
    Move.SUSPEND: mark("Suspend it"),
    Move.REPORT_LOST: mark("Report it lost"),
    Move.CANCEL: mark("Cancel it"),
    Move.FILE_CANCELLATION: mark("File the cancellation"),
}
DONE = mark("Done. It is recorded in the seal's history.")
APPLIED = mark("Your application waits for two reviewers.")
_PERSON = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHOWN = 100
LONGEST_REASON = 400
LONGEST_YEARS = 10


class SealStaffOnly(Forbidden):
    """The account keeps no seals and reviews none."""

    code = "SEAL_STAFF_ONLY"
    public = ("此处仅供印章保管人和审核人员使用。", "This room is for seal keepers and reviewers.")


@dataclass(frozen=True, slots=True)
class Offer:
    """A step the page offers: its reasons as (code, words), the usual one first."""

    move: str
    label: str
    meaning: str
    reasons: list[tuple[str, str]]
    grave: bool


def require_staff(request: Request) -> Present:
    """The keeper, reviewer or auditor at the browser, with two factors. Raises LoginRequired, SealStaffOnly, SecondFactorNeeded."""
    present = require_login(request)
    if not present.account.roles & {Role.SEAL_KEEPER, Role.SECURITY_ADMIN, Role.AUDITOR}:
        raise SealStaffOnly
    require_two_factors(present.actor)
    return present


@page
async def show_seals(request: Request) -> Response:
    """What waits for a reviewer, the organisation's notices, and the seals one may see."""
    actor, house, locale = require_staff(request).actor, house_of(request), locale_of(request)
    reviewer, keeper = Role.SECURITY_ADMIN in actor.roles, Role.SEAL_KEEPER in actor.roles
    wide = reviewer or Role.AUDITOR in actor.roles
    wanted = Wanted(None if wide else actor.organisation or "", actor.division if wide else None)
    async with house.database.session() as session:
        waiting = await list_applications(session, division=actor.division or "") if reviewer else []
        found = await find_seals(session, wanted, limit=SHOWN)
        told = await notices_of(session, actor, unread=True, limit=SHOWN) if keeper else []
        alerts, due = len(await alerts_within(session, actor)), len(await reviews_within(session, actor, house.clock.now()))
    notices = [
        {
            "text": begun(one.zh if locale == CHINESE else one.en),
            "seal": one.seal_name,
            "at": moment(one.at, locale),
            "id": str(one.seal_id),
        }
        for one in told
    ]
    done = translate(locale, APPLIED) if request.query_params.get("done") == "applied" else ""
    items = [_item(one, locale) for one in found if one.status not in WAITING or not reviewer]
    return render(
        request, "seals.html", waiting=[_item(one, locale) for one in waiting], items=items, notices=notices,
        last=str(told[0].id) if told else "", reviewer=reviewer, keeper=keeper, done=done, open_alerts=alerts,
        open_reviews=due,
    )  # fmt: skip


@page
async def read_notices(request: Request) -> Response:
    """The keeper has seen the notices up to one."""
    actor, house = require_staff(request).actor, house_of(request)
    number = typed(await posted(request), "up_to", 18)
    if number.isascii() and number.isdigit():
        async with house.database.begin() as session:
            await mark_read(session, house.clock.now(), actor, int(number))
    return redirect("/seals")


def begun(words: str) -> str:
    """With a capital, where there are any."""
    return words[:1].upper() + words[1:]


def _item(seal: Seal, locale: str) -> dict[str, str]:
    kind = KINDS[seal.kind]
    return {
        "id": str(seal.id),
        "name": seal.name,
        "organisation": seal.organisation_name,
        "kind": begun(kind.zh if locale == CHINESE else kind.en),
        "code": seal.code,
        "status": begun(STATUS_NAMES[seal.status][locale != CHINESE]),
        "tone": TONES.get(seal.status, "none"),
        "since": moment(seal.status_since, locale),
    }


@page
async def show_seal(request: Request) -> Response:
    present = require_staff(request)
    done = translate(locale_of(request), DONE) if request.query_params.get("done") == "1" else ""
    return await _shown(request, present.actor, done=done)


async def _found(request: Request, actor: Actor) -> Seal:
    async with house_of(request).database.session() as session:
        return seen(actor, await resolve(session, request.path_params["id"]))


async def _shown(
    request: Request, actor: Actor, status: int = 200, error: Trouble | None = None, asked: tuple[str, str] = ("", ""), done: str = ""
) -> Response:
    house, locale = house_of(request), locale_of(request)
    seal = await _found(request, actor)
    async with house.database.session() as session:
        steps = await history_of(session, seal.id)
        names = await _names(session, {step.actor_id for step in steps}, locale)
    view = _item(seal, locale) | {
        "uscc": seal.organisation,
        "division": seal.division,
        "validity": validity_of(civil_date(seal.valid_from), civil_date(seal.valid_to), locale),
        "made": seal.code != "",
        "predecessor": str(seal.predecessor or ""),
        "successor": str(seal.successor or ""),
    }
    kinds = [(kind.value, names[locale != CHINESE]) for kind, names in DOCUMENT_KIND_NAMES.items()]
    return render(
        request, "seal.html", status=status, view=view, history=[_step(one, names, locale) for one in reversed(steps)],
        offers=_offers(seal, actor, locale), kinds=kinds, error=error, asked=asked, done=done,
    )  # fmt: skip


async def _names(session: AsyncSession, actors: set[str], locale: str) -> dict[str, str]:
    """What to call those who took the steps: people by name, the system as such, clients as they are."""
    names = {SYSTEM.id: translate(locale, mark("The system"))}
    for actor in actors - names.keys():
        account = await get_account(session, uuid.UUID(actor)) if _PERSON.fullmatch(actor) else None
        names[actor] = account.display_name if account else actor
    return names


def _step(change: StatusChange, names: dict[str, str], locale: str) -> dict[str, object]:
    rule = MOVES[Move(change.move)]
    named = [(DOCUMENT_KIND_NAMES[DocumentKind(one["kind"])][locale != CHINESE], one["name"], one["sha256"]) for one in change.documents]
    return {
        "title": begun(STATUS_NAMES[rule.target][locale != CHINESE]),
        "tone": TONES.get(rule.target, "none"),
        "at": moment(change.at, locale),
        "reason": begun(sentence(change.reason_code)[locale != CHINESE]),
        "text": change.reason,
        "by": names[change.actor_id],
        "documents": named,
    }


def _offers(seal: Seal, actor: Actor, locale: str) -> list[Offer]:
    """What the table of moves and the person's roles allow. Who applied or examined is offered no review of it."""
    return [_offer(move, locale) for move in OFFERED if _may(seal, actor, move)]


def _may(seal: Seal, actor: Actor, move: Move) -> bool:
    if move in (Move.REVIEW, Move.REJECT):
        return seal.status in WAITING and actor.id != seal.applicant and _is_mover(seal, actor, move)
    return seal.status in MOVES[move].sources and _is_mover(seal, actor, move)


def _is_mover(seal: Seal, actor: Actor, move: Move) -> bool:
    try:
        check_mover(actor, move, organisation=seal.organisation, division=seal.division)
    except MayNotMoveSeal:
        return False
    return True


def _offer(move: Move, locale: str) -> Offer:
    reasons = [(code, begun(one.zh if locale == CHINESE else one.en)) for code, one in REASON_TABLE.items() if move in one.moves]
    meaning = MOVES[move].zh if locale == CHINESE else MOVES[move].en
    grave = move in (Move.REJECT, Move.SUSPEND, Move.REPORT_LOST, Move.CANCEL)
    return Offer(move.value, translate(locale, LABELS[move]), begun(meaning), sorted(reasons, key=lambda one: one[0] == OTHER), grave)


@page
async def submit_step(request: Request) -> Response:
    """Take a step; a refusal shows the page again, as things stand now."""
    actor = require_staff(request).actor
    seal, form = await _found(request, actor), await posted(request)
    words = typed(form, "reason", LONGEST_REASON)
    move = next((one for one in OFFERED if one.value == typed(form, "move")), None)
    if move is None:
        raise NotFound("move")
    try:
        await _take(house_of(request), actor, seal, move, Why(typed(form, "reason_code"), words, read_papers(papers_of(form))))
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        return await _shown(request, actor, error.status, trouble_of(request, error), (move.value, shown_again(words)))
    return redirect(f"/seals/{seal.id}?done=1")


def papers_of(form: FormData) -> list[dict[str, str]]:
    """One document, where one is named."""
    name, digest = typed(form, "document_name"), typed(form, "document_sha256").strip().lower()
    return [{"kind": typed(form, "document_kind"), "sha256": digest, "name": name}] if name or digest else []


async def _take(house: House, actor: Actor, seal: Seal, move: Move, why: Why) -> Seal:
    if move in (Move.REVIEW, Move.REJECT):
        return await review_seal(house.database, house.clock, actor, seal.id, approved=move is Move.REVIEW, reason=why)
    if move is Move.MAKE:
        return await make_reviewed_seal(house.database, house.keystore, house.guard, actor, seal.id, why)
    if move is Move.ACTIVATE:
        return await activate_seal(house.database, house.clock, actor, seal.code, why)
    return await move_seal(house.database, house.clock, actor, seal.code, move, why)


@page
async def send_picture(request: Request) -> Response:
    """The impression, for whoever may see the seal."""
    seal = await _found(request, require_staff(request).actor)
    async with house_of(request).database.session() as session:
        return picture_response((await pictures_of(session, seal.code)).png)


routes: list[BaseRoute] = [
    Route("/seals", show_seals, methods=["GET"]),
    Route("/seals/notices", read_notices, methods=["POST"]),
    Route("/seals/{id}", show_seal, methods=["GET"]),
    Route("/seals/{id}", submit_step, methods=["POST"]),
    Route("/seals/{id}/picture.png", send_picture, methods=["GET"]),
]
