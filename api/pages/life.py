"""Changing what stands: an approver of the issuer suspends, resumes, ends or transfers one certificate, records its annual check, or
moves many.

Two factors are asked for. A refusal shows the page again, as things stand now.
"""

import datetime as dt
from dataclasses import dataclass

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from api.pages.forms import Beside, Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.holdings import card_of
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import protect, render
from api.pages.spoken import title_of
from api.routes.certificate_life import report_csv
from api.session import Present, require_login
from certs.annual_checks import Found, Result, annual_rule, checks_of, overdue_year, record_check
from certs.bulk_moves import BulkMove, Job, ask, get_job, list_jobs, report_lines
from certs.grounds import Grounds, MoveReason
from certs.lifecycle import MOVES, PLAIN_MOVES
from certs.reads import type_of
from certs.reason_keeping import all_reasons
from certs.records import Certificate
from certs.standing import change_standing, changeable
from certs.transfers import transfer, undo_transfer
from keys.base.actor import Actor, Role
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import Forbidden, FujieError, InvalidInput, NotFound
from keys.base.ids import new_code
from seal.access import require_two_factors

MOVE_WORDS = {
    "suspend": mark("Suspend"),
    "resume": mark("Put into force again"),
    "revoke": mark("Revoke"),
    "withdraw": mark("Withdraw as a penalty"),
    "cancel": mark("Cancel"),
    "transfer": mark("Transfer to another authority"),
    "undo_transfer": mark("Take the transfer back"),
}
OTHER_REASON = mark("Another reason (state it below)")
RESULTS = {
    Result.PASSED: mark("Passed"),
    Result.CONDITIONAL: mark("Passed, with conditions"),
    Result.FAILED: mark("Not passed"),
}
OUTCOMES = {
    "MOVED": mark("Changed"),
    "WOULD_MOVE": mark("Can be changed"),
    "NAMED_TWICE": mark("Named twice"),
    "NOT_FOUND": mark("Not found, or not your organisation's"),
    "MOVE_NOT_ALLOWED": mark("Its status does not allow it"),
}
DONE = {"moved": mark("The status was changed."), "checked": mark("The annual check was recorded.")}
LONGEST_LIST = 400_000


class ApproversOnly(Forbidden):
    """The account is no approver of an organisation."""

    code = "LIFE_APPROVERS_ONLY"
    public = ("变更证照状态由颁发机构的审批人员办理。", "Changing a certificate's status is for the issuer's approvers.")


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed into one of the forms, to be shown again."""

    choice: str = ""
    reason: str = ""
    basis: str = ""
    receiver: str = ""
    names: str = ""
    remark: str = ""


def require_approver(request: Request) -> Present:
    """An approver of an organisation, with two factors. Raises LoginRequired, ApproversOnly, SecondFactorNeeded."""
    present = require_login(request)
    if Role.APPROVER not in present.account.roles or present.account.organisation is None:
        raise ApproversOnly
    require_two_factors(present.actor)
    return present


@page
async def show_life(request: Request) -> Response:
    return await _life(request, require_approver(request).actor)


@page
async def submit_move(request: Request) -> Response:
    """Move the certificate as chosen: a move and a reason in one choice, further words, a law of its own."""
    actor, form = require_approver(request).actor, await posted(request)
    try:
        await _moved(request, actor, form)
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        return await _life(request, actor, error.status, {"move": trouble_of(request, error)}, _typed(form))
    return redirect(f"/library/{identifier_of(request)}/life?done=moved")


@page
async def submit_check(request: Request) -> Response:
    """Record the year's check."""
    actor, form, house = require_approver(request).actor, await posted(request), house_of(request)
    try:
        found = Found(_year(form), _result(form), typed(form, "remark"), typed(form, "suspend") == "1")
        await record_check(house.database, house.clock, actor, identifier_of(request), found, _key(form))
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        return await _life(request, actor, error.status, {"check": trouble_of(request, error)}, _typed(form))
    return redirect(f"/library/{identifier_of(request)}/life?done=checked")


async def _moved(request: Request, actor: Actor, form: FormData) -> None:
    house, wanted, (move, grounds), key = house_of(request), identifier_of(request), chosen(form), _key(form)
    if move == "transfer":
        await transfer(house.database, house.clock, actor, wanted, typed(form, "receiver", 64), grounds, key)
    elif move == "undo_transfer":
        await undo_transfer(house.database, house.clock, actor, wanted, grounds, key)
    else:
        await change_standing(house.database, house.clock, actor, wanted, move, grounds, key)


def chosen(form: FormData) -> tuple[str, Grounds]:
    """The move and the grounds of ``choice``: ``move:CODE``, or ``move:`` where the words alone say why. Raises ``InvalidInput``."""
    move, colon, code = typed(form, "choice", 80).partition(":")
    if not colon or move not in MOVE_WORDS:
        raise InvalidInput("choice", errors=[{"field": "choice", "message": "not one of these"}])
    return move, Grounds(typed(form, "reason"), code or None, typed(form, "basis", 400) or None)


def _key(form: FormData) -> str:
    return f"page-{typed(form, 'key', 40)}" if typed(form, "key", 40).isalnum() else f"page-{new_code()}"


def _typed(form: FormData) -> Typed:
    return Typed(
        typed(form, "choice", 80), shown_again(typed(form, "reason")), shown_again(typed(form, "basis", 400)),
        shown_again(typed(form, "receiver", 64)), shown_again(typed(form, "names", LONGEST_LIST)), shown_again(typed(form, "remark")),
    )  # fmt: skip


def _year(form: FormData) -> int:
    text = typed(form, "year", 4)
    return int(text) if text.isascii() and text.isdecimal() else 0


def _result(form: FormData) -> Result:
    try:
        return Result(typed(form, "result", 20))
    except ValueError:
        raise InvalidInput("result", errors=[{"field": "result", "message": "not a result"}]) from None


async def _life(
    request: Request, actor: Actor, status: int = 200, troubles: dict[str, Trouble] | None = None, asked: Typed | None = None
) -> Response:
    house, locale = house_of(request), locale_of(request)
    async with house.database.session() as session:
        certificate = await changeable(session, actor, identifier_of(request))
        kind, reasons = await type_of(session, certificate), await all_reasons(session)
        annual = await _annual(session, certificate, civil_date(house.clock.now()), locale)
    standing = certificate.standing(civil_date(house.clock.now()))
    english = kind.name_en if kind and locale != CHINESE else ""
    names = [move for move in MOVE_WORDS if _allowed(move, certificate)]
    done = DONE.get(request.query_params.get("done", ""))
    return render(
        request, "life.html", status=status, view=card_of(certificate, locale, english, standing), groups=_groups(names, reasons, locale),
        transferable="transfer" in names, annual=annual, troubles=Beside(troubles or {}), asked=asked or Typed(), key=new_code(),
        done=translate(locale, done) if done else "", results=[(one.value, translate(locale, RESULTS[one])) for one in Result],
        title=title_of(certificate.type_name, english, locale),
    )  # fmt: skip


def _allowed(move: str, certificate: Certificate) -> bool:
    return certificate.successor is None and any(one.name == move and certificate.status in one.sources for one in MOVES)


def _groups(moves: list[str], reasons: tuple[MoveReason, ...], locale: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The choice by move: each reason with its law, then another reason in words."""
    groups = []
    for move in moves:
        told = [(f"{move}:{one.code}", _reason_words(one, locale)) for one in reasons if one.active and move in one.moves]
        groups.append((translate(locale, MOVE_WORDS[move]), [*told, (f"{move}:", translate(locale, OTHER_REASON))]))
    return groups


def _reason_words(one: MoveReason, locale: str) -> str:
    words, basis = (one.zh, one.basis_zh) if locale == CHINESE else (one.en, one.basis_en)
    return (f"{words}（{basis}）" if locale == CHINESE else f"{words} ({basis})") if basis else words


async def _annual(session: AsyncSession, certificate: Certificate, today: dt.date, locale: str) -> dict[str, object]:
    rule, checks = await annual_rule(session, certificate.type_code), await checks_of(session, certificate.id)
    late = overdue_year(rule, certificate.issued_on, checks, today) if rule else None
    return {
        "rule": rule, "overdue": late, "year": today.year,
        "checks": [(one.year, translate(locale, RESULTS[one.result]), one.remark, moment(one.at, locale)) for one in checks],
    }  # fmt: skip


@page
async def show_moves(request: Request) -> Response:
    return await _moves(request, require_approver(request).actor)


@page
async def submit_moves(request: Request) -> Response:
    """One move for every certificate that was named, one a line."""
    actor, form, house = require_approver(request).actor, await posted(request), house_of(request)
    try:
        move, grounds = chosen(form)
        names = tuple(typed(form, "names", LONGEST_LIST).split())
        job = await ask(house.database, house.clock, actor, BulkMove(move, grounds, names, typed(form, "dry") == "1"), _key(form))
    except FujieError as error:
        if error.status >= 500:
            raise
        return await _moves(request, actor, error.status, trouble_of(request, error), _typed(form))
    return redirect(f"/library/moves/{job.id}")


async def _moves(request: Request, actor: Actor, status: int = 200, trouble: Trouble | None = None, asked: Typed | None = None) -> Response:
    locale = locale_of(request)
    async with house_of(request).database.session() as session:
        reasons, jobs = await all_reasons(session), await list_jobs(session, actor)
    return render(
        request, "moves.html", status=status, groups=_groups(list(PLAIN_MOVES), reasons, locale), trouble=trouble, asked=asked or Typed(),
        jobs=[_job(one, locale) for one in jobs], key=new_code(),
    )  # fmt: skip


def _job(job: Job, locale: str) -> dict[str, object]:
    return {
        "id": str(job.id), "move": translate(locale, MOVE_WORDS[job.move]), "reason": job.reason, "dry": job.dry_run, "named": job.items,
        "done": job.done, "asked_by": job.asked_by, "asked": moment(job.created_at, locale), "finished": job.finished_at is not None,
        "outcomes": [(translate(locale, OUTCOMES[code]) if code in OUTCOMES else code, count) for code, count in job.outcomes.items()],
    }  # fmt: skip


@page
async def show_job(request: Request) -> Response:
    """How far it is, and the report."""
    actor = require_approver(request).actor
    async with house_of(request).database.session() as session:
        job = await get_job(session, actor, identifier_of(request))
    return render(request, "moves_job.html", job=_job(job, locale_of(request)))


@page
async def send_report(request: Request) -> Response:
    actor, database = require_approver(request).actor, house_of(request).database
    async with database.session() as session:
        job = await get_job(session, actor, identifier_of(request))
    headers = {"Content-Disposition": f'attachment; filename="moves-{job.id}.csv"'}
    return protect(StreamingResponse(report_csv(report_lines(database, job.id)), media_type="text/csv; charset=utf-8", headers=headers))


routes: list[BaseRoute] = [
    Route("/library/moves", show_moves, methods=["GET"]),
    Route("/library/moves", submit_moves, methods=["POST"]),
    Route("/library/moves/{id}", show_job, methods=["GET"]),
    Route("/library/moves/{id}/report.csv", send_report, methods=["GET"]),
    Route("/library/{id}/life", show_life, methods=["GET"]),
    Route("/library/{id}/move", submit_move, methods=["POST"]),
    Route("/library/{id}/check", submit_check, methods=["POST"]),
]
