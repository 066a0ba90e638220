"""The trail for auditors: who did what, to what, when; each event's details, and its proof as a file.

A search is posted, never an address: what is looked for, and why, stands in no browser's history and no server's list. Every
search and every proof is an event itself.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

import orjson
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.forms import Trouble, posted, trouble_of, typed
from api.pages.guard import house_of, page
from api.pages.i18n import locale_of, mark, moment, translate
from api.pages.rendering import protect, render
from api.pages.words import ACTOR_KINDS, AUDIT_OUTCOMES
from api.routes.audit import proof_file, searchable
from api.session import require_login
from certs.library import PurposeRequired, check_purpose
from keys.base.clock import CHINA_STANDARD_TIME
from keys.base.errors import InvalidInput, NotFound
from keys.evidence.audit import Outcome
from keys.evidence.search import SEARCH, Found, Query, admit, search

NAMES = ("purpose", "actor", "object", "action", "outcome", "since", "until", "after")
LONGEST = 200
NOT_SEARCHABLE = mark("This cannot be searched for. The log holds no ID numbers.")
NO_INSTANT = mark("Please give a date and a time.")
NO_PERIOD = mark("The end must be after the beginning.")
NO_OUTCOME = mark("There is no such outcome.")


@dataclass(frozen=True, slots=True)
class Errors:
    """What is wrong, beside each field."""

    purpose: Trouble | None = None
    actor: Trouble | None = None
    object: Trouble | None = None
    action: Trouble | None = None
    outcome: Trouble | None = None
    since: Trouble | None = None
    until: Trouble | None = None


NO_ERRORS = Errors()


class FieldsWrong(InvalidInput):
    """What was asked cannot be searched for; ``fields`` says where."""

    code = "AUDIT_SEARCH_WRONG"
    public = ("查询条件有误，请检查标出的项目。", "The search has mistakes. Please look at the marked fields.")

    def __init__(self, fields: dict[str, Trouble]) -> None:
        super().__init__(", ".join(fields))
        self.fields = fields


@page
async def show_audit(request: Request) -> Response:
    """The empty form, for auditors."""
    house, present = house_of(request), require_login(request)
    await admit(house.database, house.clock, present.actor, SEARCH, "log")
    return _show(request, {})


@page
async def submit_search(request: Request) -> Response:
    """One page of the trail.

    1. only auditors, with two factors     2. read the form; what is wrong is shown beside its field
    3. search, which is recorded           4. show
    """
    house, present = house_of(request), require_login(request)
    await admit(house.database, house.clock, present.actor, SEARCH, "log")
    form = await posted(request)
    asked = {name: typed(form, name, LONGEST).strip() for name in NAMES}
    try:
        query, purpose = _query(request, form, asked), check_purpose(asked["purpose"])
        found = await search(house.database, house.clock, present.actor, query, purpose)
    except FieldsWrong as error:
        kept = {name: value for name, value in asked.items() if name not in error.fields}
        return _show(request, kept, status=error.status, errors=Errors(**error.fields))
    except PurposeRequired as error:
        return _show(request, asked | {"purpose": ""}, status=error.status, errors=Errors(purpose=trouble_of(request, error)))
    locale = locale_of(request)
    return _show(request, asked, found=[_event(one, locale) for one in found.events], following=found.next or "")


def _query(request: Request, form: FormData, asked: dict[str, str]) -> Query:
    """What to look for, instants in China Standard Time. Raises FieldsWrong."""
    wrong: dict[str, str] = {}
    for name in ("actor", "object", "action"):
        if not searchable(asked[name]) or bool(form.get(name)) != bool(typed(form, name, LONGEST)):
            wrong[name] = NOT_SEARCHABLE
    instants = {name: _instant(asked[name]) for name in ("since", "until")}
    wrong |= {name: NO_INSTANT for name, instant in instants.items() if asked[name] and instant is None}
    since, until = instants["since"], instants["until"]
    if since and until and until <= since:
        wrong["until"] = NO_PERIOD
    if asked["outcome"] and asked["outcome"] not in AUDIT_OUTCOMES:
        wrong["outcome"] = NO_OUTCOME
    if wrong:
        locale = locale_of(request)
        raise FieldsWrong({name: Trouble(FieldsWrong.code, translate(locale, text)) for name, text in wrong.items()})
    outcome = Outcome(asked["outcome"]) if asked["outcome"] else None
    actor, thing, action, after = (asked[name] or None for name in ("actor", "object", "action", "after"))
    return Query(actor, thing, action, outcome, since, until, after)


def _instant(text: str) -> dt.datetime | None:
    """What ``<input type=datetime-local>`` sends, or what somebody types where a browser knows no such field."""
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=CHINA_STANDARD_TIME).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def _show(
    request: Request,
    asked: dict[str, str],
    *,
    status: int = 200,
    errors: Errors = NO_ERRORS,
    found: list[dict[str, object]] | None = None,
    following: str = "",
) -> Response:
    locale = locale_of(request)
    return render(
        request,
        "audit.html",
        status=status,
        asked={name: asked.get(name, "") for name in NAMES},
        outcomes=[(value, translate(locale, label)) for value, (_, label) in AUDIT_OUTCOMES.items()],
        errors=errors,
        found=found,
        following=following,
    )


def _event(found: Found, locale: str) -> dict[str, object]:
    """One event as the page shows it. The body is what the log commits to; it is shown as it stands."""
    tone, label = AUDIT_OUTCOMES[found.outcome]
    actor = found.body["actor"]
    details = found.body.get("details")
    return {
        "id": str(found.id),
        "time": moment(found.time, locale),
        "action": found.action,
        "object": found.object,
        "tone": tone,
        "outcome": translate(locale, label),
        "code": found.body.get("code") or "",
        "kind": translate(locale, ACTOR_KINDS[actor["kind"]]),
        "actor": actor["id"],
        "organisation": actor.get("organisation") or "",
        "division": actor.get("division") or "",
        "position": "" if found.position is None else str(found.position),
        "details": orjson.dumps(details, option=orjson.OPT_INDENT_2).decode() if details else "",
    }


@page
async def send_proof(request: Request) -> Response:
    """The event's proof of inclusion (C2SP tlog-proof), which anybody checks offline."""
    present = require_login(request)
    try:
        event = uuid.UUID(request.path_params["id"])
    except ValueError as error:
        raise NotFound("event") from error
    return protect(await proof_file(house_of(request), present.actor, event))


routes: list[BaseRoute] = [
    Route("/audit", show_audit, methods=["GET"]),
    Route("/audit", submit_search, methods=["POST"]),
    Route("/audit/events/{id}/proof", send_proof, methods=["GET"]),
]
