"""Applications for access: an organisation's own, a form for another, and for reviewers what waits for them with its clock."""

import datetime as dt

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.forms import Beside, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.i18n import CHINESE, day, locale_of, mark, moment, translate
from api.pages.rendering import render
from api.pages.spoken import title_of
from api.session import Present, require_login
from certs.access_applications import (
    AccessForbidden,
    Application,
    Applied,
    Move,
    Stage,
    applicant_organisation,
    applications_of,
    apply,
    take_move,
    to_review,
)
from certs.reads import get_type
from certs.sharing import Want
from certs.working_days import calendar_of
from identity.organisations import names_of
from keys.base.actor import Role
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import FujieError, NotFound
from keys.base.ids import new_secret

STAFF = frozenset({Role.APPROVER, Role.WINDOW_CLERK, Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN})
FIRST_UNTIL = dt.timedelta(days=365)
BESIDE = {"PURPOSE_REQUIRED": "purpose"}
WANTS = {
    Want.DATA: mark("Yes or no"),
    Want.RECORD: mark("The record"),
    Want.COPY: mark("Annotated copies"),
    Want.FILE: mark("The original"),
}
STAGES = {
    Stage.SUBMITTED: ("wait", mark("Waits for review")),
    Stage.OPEN: ("good", mark("Open")),
    Stage.REFUSED: ("bad", mark("Refused")),
    Stage.WITHDRAWN: ("mute", mark("Withdrawn")),
    Stage.CLOSED: ("mute", mark("Closed")),
}
OVERDUE = mark("Overdue")
INSTANT = dt.timedelta(microseconds=1)
"""A period that is over at midnight has the day before for its last."""


def require_staff(request: Request) -> Present:
    """Staff of an organisation, or an administrator. Raises LoginRequired, AccessForbidden."""
    present = require_login(request)
    if not present.account.roles & STAFF:
        raise AccessForbidden("no staff")
    return present


@page
async def show_access(request: Request) -> Response:
    """What waits for review, the organisation's own applications, and the form."""
    return await _shown(request, require_staff(request))


@page
async def submit_application(request: Request) -> Response:
    """Hand one in."""
    present, form = require_staff(request), await posted(request)
    house = house_of(request)
    try:
        await apply(house.database, house.clock, present.actor, _application(form), typed(form, "key"))
    except FujieError as error:
        if error.status >= 500:
            raise
        return await _shown(request, present, form, Beside({BESIDE.get(error.code, "form"): trouble_of(request, error)}), error.status)
    return redirect("/access?done=1")


def _application(form: FormData) -> Application:
    wants = frozenset(want for want in WANTS if typed(form, f"want_{want}") == "1")
    per_day, until = typed(form, "per_day"), typed(form, "until")
    return Application(
        typed(form, "type").strip().upper(), wants, typed(form, "matter").strip(), typed(form, "purpose", 400), typed(form, "basis", 400),
        int(per_day) if per_day.isascii() and per_day.isdigit() and len(per_day) < 9 else 0, _day(until),
        typed(form, "without_holder") == "1",
    )  # fmt: skip


def _day(text: str) -> dt.date:
    """A day as a date field sends it; what is none is refused as one long past."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return dt.date.min


@page
async def submit_move(request: Request) -> Response:
    """Open, refuse, withdraw or close; and back."""
    present, form = require_staff(request), await posted(request)
    house, application_id = house_of(request), identifier_of(request)
    try:
        move = Move(typed(form, "move"))
    except ValueError:
        raise NotFound("move") from None
    try:
        await take_move(house.database, house.clock, present.actor, application_id, move, typed(form, "reason", 400))
    except FujieError as error:
        if error.status >= 500 or isinstance(error, NotFound):
            raise
        return await _shown(request, present, None, Beside({str(application_id): trouble_of(request, error)}), error.status)
    return redirect("/access?done=1")


async def _shown(
    request: Request, present: Present, form: FormData | None = None, errors: Beside | None = None, status: int = 200
) -> Response:
    house, locale, actor = house_of(request), locale_of(request), present.actor
    now, asked = house.clock.now(), form if form is not None else FormData()
    try:
        own = applicant_organisation(actor)
    except AccessForbidden:
        own = ""
    async with house.database.session() as session:
        waiting = [one for one in await to_review(session, actor) if one.applicant != actor.id]
        mine = await applications_of(session, own) if own else []
        names = await names_of(session, {one.organisation for one in (*waiting, *mine)})
        review = [await _row(session, one, names, now, locale) for one in waiting]
        rows = [await _row(session, one, names, now, locale) for one in mine]
        known = (await calendar_of(session)).knows(civil_date(now).year)
    fields = ("type", "matter", "purpose", "basis", "per_day", "until")
    return render(
        request, "access.html", status=status, review=review, rows=rows, may_apply=bool(own), errors=errors or Beside(),
        asked={name: shown_again(typed(asked, name, 400)) for name in fields}, key=typed(asked, "key") or new_secret(16),
        wants=[(want.value, translate(locale, words), typed(asked, f"want_{want}") == "1") for want, words in WANTS.items()],
        without_holder=typed(asked, "without_holder") == "1", calendar_known=known, done=request.query_params.get("done") == "1",
        until=(civil_date(now) + FIRST_UNTIL).isoformat(),
    )  # fmt: skip


async def _row(session: AsyncSession, one: Applied, names: dict[str, str], now: dt.datetime, locale: str) -> dict[str, object]:
    kind, asked = await get_type(session, one.application.type_code), one.application
    tone, label = ("bad", OVERDUE) if one.overdue(now) else STAGES[one.stage]
    name = title_of(kind.name_zh, kind.name_en if locale != CHINESE else "", locale) if kind else asked.type_code
    wants = "、" if locale == CHINESE else ", "
    return {
        "id": str(one.id), "title": name, "type": asked.type_code, "organisation": names.get(one.organisation, one.organisation),
        "wants": wants.join(translate(locale, WANTS[want]) for want in WANTS if want in asked.wants), "purpose": asked.purpose,
        "basis": asked.basis, "matter": asked.matter_code, "per_day": asked.per_day, "until": day(asked.until, locale), "tone": tone,
        "label": translate(locale, label), "due": day(civil_date(one.due_at - INSTANT), locale) if one.stage is Stage.SUBMITTED else "",
        "submitted": moment(one.submitted_at, locale), "waits": one.stage is Stage.SUBMITTED, "open": one.stage is Stage.OPEN,
        "reason": one.reason, "without_holder": asked.without_holder,
    }  # fmt: skip


routes: list[BaseRoute] = [
    Route("/access", show_access, methods=["GET"]),
    Route("/access", submit_application, methods=["POST"]),
    Route("/access/{id}", submit_move, methods=["POST"]),
]
