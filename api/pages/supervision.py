"""Supervision of seals: alerts to be looked at and answered, authorisations to be confirmed once a year or withdrawn.

Keepers and security administrators act; auditors read. What a person may do is asked again by the journeys, and every answer is in the
audit log.
"""

import datetime as dt
import uuid

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.forms import Trouble, posted, shown_again, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import render
from api.pages.seals import require_staff
from identity.people import get_account
from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import FujieError, NotFound
from seal.alerts import NAMES, acknowledge
from seal.grants import GranteeKind, StandingGrant, withdraw_grant
from seal.matters import get_matter
from seal.reads import get_seal
from seal.reasons import REASONS, sentences
from seal.reviews import confirm_grant
from seal.supervision import SealAlert, alerts_within, reviews_within

LONGEST_NOTE = 400
EARLIER = 20
CONFIRM, WITHDRAW = "confirm", "withdraw"
DONE = {
    "answered": mark("Answered. Your words stand beside the alert."),
    "confirmed": mark("Confirmed for another year."),
    "withdrawn": mark("Withdrawn. It counts from this instant."),
}
NOTE_NEEDED = mark("Say in a few words what you found.")
DETAILS = {
    "actor": mark("Person or system"),
    "grantee": mark("Person or system"),
    "at": mark("First at"),
    "uses": mark("Uses within the hour"),
    "refusals": mark("Refusals"),
    "code": mark("Reason of the refusal"),
    "address": mark("Network address"),
    "used": mark("Used"),
    "quota": mark("Quota"),
    "valid_to": mark("Valid until"),
}


@page
async def show(request: Request) -> Response:
    return await _shown(request, require_staff(request).actor)


@page
async def answer(request: Request) -> Response:
    """Somebody looked at an alert, and says what they found."""
    actor, house, identifier = require_staff(request).actor, house_of(request), identifier_of(request)
    note = typed(await posted(request), "note", LONGEST_NOTE).strip()
    if not note:
        trouble = Trouble("NOTE_MISSING", translate(locale_of(request), NOTE_NEEDED))
        return await _shown(request, actor, 422, trouble, (str(identifier), ""))
    try:
        await acknowledge(house.database, house.clock, actor, identifier, note)
    except FujieError as error:
        return await _again(request, actor, error, str(identifier), note)
    return redirect("/seals/supervision?done=answered")


@page
async def review(request: Request) -> Response:
    """Confirm a grant for another year, or withdraw it."""
    actor, house, identifier = require_staff(request).actor, house_of(request), identifier_of(request)
    form = await posted(request)
    note, decision = typed(form, "note", LONGEST_NOTE), typed(form, "decision")
    try:
        if decision == CONFIRM:
            await confirm_grant(house.database, house.clock, actor, identifier, note)
        elif decision == WITHDRAW:
            await withdraw_grant(house.database, house.clock, actor, identifier)
        else:
            raise NotFound("decision")
    except FujieError as error:
        return await _again(request, actor, error, str(identifier), note)
    return redirect(f"/seals/supervision?done={'confirmed' if decision == CONFIRM else 'withdrawn'}")


async def _again(request: Request, actor: Actor, error: FujieError, identifier: str, note: str) -> Response:
    if isinstance(error, NotFound) or error.status >= 500:
        raise error
    return await _shown(request, actor, error.status, trouble_of(request, error), (identifier, note))


async def _shown(
    request: Request, actor: Actor, status: int = 200, trouble: Trouble | None = None, asked: tuple[str, str] = ("", "")
) -> Response:
    house, locale = house_of(request), locale_of(request)
    async with house.database.session() as session:
        alerts = [await _alert(session, one, locale) for one in await alerts_within(session, actor)]
        earlier = [await _alert(session, one, locale) for one in await alerts_within(session, actor, answered=True, limit=EARLIER)]
        due = await reviews_within(session, actor, house.clock.now())
        reviews = [await _review(session, one, actor, locale) for one in due]
    done = DONE.get(request.query_params.get("done", ""))
    return render(
        request, "supervision.html", status=status, alerts=alerts, earlier=earlier, reviews=reviews, trouble=trouble,
        asked=(asked[0], shown_again(asked[1])), done=translate(locale, done) if done else "",
    )  # fmt: skip


async def _alert(session: AsyncSession, found: SealAlert, locale: str) -> dict[str, object]:
    alert = found.alert
    names = NAMES[alert.rule]
    known = [(name, value) for name, value in alert.details.items() if name in DETAILS]
    told = [(translate(locale, DETAILS[name]), await _said(session, name, value, locale)) for name, value in known]
    return {
        "id": str(alert.id), "title": names[0 if locale == CHINESE else 1], "code": alert.rule, "at": moment(alert.at, locale),
        "seal": found.seal.name, "seal_id": str(found.seal.id), "details": told, "answerable": found.answerable, "note": alert.note,
        "by": await _named(session, alert.acknowledged_by) if alert.acknowledged_by else "",
        "answered": moment(alert.acknowledged_at, locale) if alert.acknowledged_at else "",
    }  # fmt: skip


async def _said(session: AsyncSession, name: str, value: object, locale: str) -> str:
    """People by name, codes and instants in words."""
    text = str(value)
    if name in ("actor", "grantee"):
        return await _named(session, text)
    if name == "code" and text in REASONS:
        return sentences(text)[locale != CHINESE]
    return moment(dt.datetime.fromisoformat(text), locale) if name in ("at", "valid_to") else text


async def _named(session: AsyncSession, identifier: str) -> str:
    """A person by name; a client as it is registered."""
    try:
        account = await get_account(session, uuid.UUID(identifier))
    except ValueError:
        account = None
    return account.display_name if account else identifier


async def _review(session: AsyncSession, due: StandingGrant, actor: Actor, locale: str) -> dict[str, object]:
    grant = due.grant
    seal, matter = await get_seal(session, grant.seal_code), await get_matter(session, grant.matter_code)
    person = grant.grantee_kind == GranteeKind.PERSON
    return {
        "id": str(due.id), "seal": seal.name, "seal_id": str(seal.id), "matter": matter.name if matter else grant.matter_code,
        "grantee": await _named(session, grant.grantee_id) if person else grant.grantee_id, "due": moment(due.review_due, locale),
        "granted": moment(due.granted_at, locale), "until": moment(grant.valid_to, locale), "used": due.used_total,
        "unattended": grant.unattended, "own": person and grant.grantee_id == actor.id,
    }  # fmt: skip


routes: list[BaseRoute] = [
    Route("/seals/supervision", show, methods=["GET"]),
    Route("/seals/alerts/{id}", answer, methods=["POST"]),
    Route("/seals/reviews/{id}", review, methods=["POST"]),
]
