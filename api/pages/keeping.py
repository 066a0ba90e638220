"""How long an organisation's certificates are kept: the rules, what is due, lists that one proposes and another agrees to, holds.

An approver or security administrator with two factors; what others may not see they are told in the words of the refusal.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import render
from api.session import require_login
from certs.disposal import Disposal, Disposing, State, decide, propose, read_disposal, require_disposer
from certs.disposal_reads import disposals_of, due_by_rule, held_by, holds_of, to_be_held
from certs.reads import type_names
from certs.retention import lift_hold, place_hold
from keys.base.actor import Actor
from keys.base.errors import FujieError, NotFound

LONGEST_REASON = 400
STATES = {
    State.PROPOSED: (mark("Proposed"), "wait"),
    State.AGREED: (mark("Being carried out"), "wait"),
    State.REFUSED: (mark("Not agreed to"), ""),
    State.DONE: (mark("Carried out"), "good"),
}
_TYPED = ("reason", "identifier", "hold_reason")
DECISIONS = {"agree": True, "refuse": False}


def require_keeper(request: Request) -> tuple[Actor, str]:
    """The person and the organisation that is disposed for. Raises LoginRequired, ``MayNotDispose``."""
    actor = require_login(request).actor
    return actor, require_disposer(actor)


@page
async def show_keeping(request: Request) -> Response:
    return await _overview(request)


@page
async def submit_proposal(request: Request) -> Response:
    """A list of what is due; a refusal shows the page again."""
    actor, _ = require_keeper(request)
    form = await posted(request)
    reason = typed(form, "reason", LONGEST_REASON)
    try:
        made = await propose(_disposing(request), actor, typed(form, "type"), reason)
    except FujieError as error:
        return await _again(request, error, "propose", {"reason": shown_again(reason)})
    return redirect(f"/library/keeping/{made.id}")


@page
async def submit_hold(request: Request) -> Response:
    """A hold on the certificate of an identifier."""
    (actor, organisation), house = require_keeper(request), house_of(request)
    form = await posted(request)
    identifier, reason = typed(form, "identifier").strip(), typed(form, "reason", LONGEST_REASON)
    try:
        async with house.database.session() as session:
            wanted = await to_be_held(session, organisation, identifier)
        await place_hold(house.database, house.clock.now(), actor, wanted, reason)
    except FujieError as error:
        return await _again(request, error, "hold", {"identifier": identifier, "hold_reason": shown_again(reason)})
    return redirect("/library/keeping?done=1")


@page
async def submit_lift(request: Request) -> Response:
    """The hold is over, if it stands on a certificate of the organisation."""
    (actor, organisation), house, wanted = require_keeper(request), house_of(request), identifier_of(request)
    async with house.database.session() as session:
        if not await held_by(session, organisation, wanted):
            raise NotFound("hold")
    await lift_hold(house.database, house.clock.now(), actor, wanted)
    return redirect("/library/keeping?done=1")


async def _again(request: Request, error: FujieError, form: str, typed_in: dict[str, str]) -> Response:
    if error.status >= 500:
        raise error
    return await _overview(request, error.status, trouble_of(request, error), form, typed_in)


async def _overview(
    request: Request, status: int = 200, error: Trouble | None = None, form: str = "", typed_in: dict[str, str] | None = None
) -> Response:
    (_, organisation), house, locale = require_keeper(request), house_of(request), locale_of(request)
    async with house.database.session() as session:
        due = await due_by_rule(session, house.clock.now(), organisation)
        lists, holds = await disposals_of(session, organisation), await holds_of(session, organisation)
        names = await type_names(session, {one.rule.type_code for one in due} | {one.type_code for one in lists})
    named = {code: zh if locale == CHINESE or not en else en for code, (zh, en) in names.items()}
    return render(
        request, "keeping.html", status=status, error=error, form=form, typed_in=dict.fromkeys(_TYPED, "") | (typed_in or {}),
        done=request.query_params.get("done") == "1",
        due=[
            {"code": one.rule.type_code, "name": named.get(one.rule.type_code, one.rule.type_code), "years": one.rule.years,
             "basis": one.rule.basis, "count": one.certificates}
            for one in due
        ],
        lists=[_list(one, named, locale) for one in lists],
        holds=[
            {"id": one.id, "number": one.number, "type": one.type_name, "reason": one.reason, "at": moment(one.placed_at, locale)}
            for one in holds
        ],
    )  # fmt: skip


def _list(one: Disposal, named: dict[str, str], locale: str) -> dict[str, Any]:
    words, tone = STATES[one.state]
    return {
        "id": one.id, "type": named.get(one.type_code, one.type_code), "code": one.type_code, "reason": one.reason,
        "state": translate(locale, words), "tone": tone, "at": moment(one.proposed_at, locale), "by": one.proposed_by,
        "decided_by": one.decided_by, "certificates": one.certificates, "disposed": one.disposed, "kept": sum(one.kept.values()),
        "open": one.state is State.PROPOSED,
    }  # fmt: skip


@page
async def show_list(request: Request) -> Response:
    return await _shown_list(request)


async def _shown_list(request: Request, status: int = 200, error: Trouble | None = None) -> Response:
    (actor, _), house, locale = require_keeper(request), house_of(request), locale_of(request)
    found = await read_disposal(house.database, actor, identifier_of(request))
    async with house.database.session() as session:
        names = await type_names(session, {found.type_code})
    named = {code: zh if locale == CHINESE or not en else en for code, (zh, en) in names.items()}
    return render(request, "disposal.html", status=status, view=_list(found, named, locale), error=error)


@page
async def submit_decision(request: Request) -> Response:
    """Another person agrees, or refuses."""
    actor, _ = require_keeper(request)
    form = await posted(request)
    agree = DECISIONS.get(typed(form, "decision"))
    if agree is None:
        raise NotFound("decision")
    try:
        made = await decide(_disposing(request), actor, identifier_of(request), agree=agree)
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        return await _shown_list(request, error.status, trouble_of(request, error))
    return redirect(f"/library/keeping/{made.id}")


def _disposing(request: Request) -> Disposing:
    house = house_of(request)
    return Disposing(house.database, house.clock, house.blobs)


routes: list[BaseRoute] = [
    Route("/library/keeping", show_keeping, methods=["GET"]),
    Route("/library/keeping", submit_proposal, methods=["POST"]),
    Route("/library/keeping/holds", submit_hold, methods=["POST"]),
    Route("/library/keeping/holds/{id}/lift", submit_lift, methods=["POST"]),
    Route("/library/keeping/{id}", show_list, methods=["GET"]),
    Route("/library/keeping/{id}", submit_decision, methods=["POST"]),
]
