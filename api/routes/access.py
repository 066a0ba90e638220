"""Applications for access, rates of requesters and the working-day calendar over HTTP (``docs/copies.md``).

Scope ``certificates:read`` to apply and to look; reviewing and keeping takes a token with ``catalogue:manage`` that speaks for a person
who logged in with two factors.
"""

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from api.bearer import require_scope
from api.routes.certificate_types import MANAGE, Reader
from api.routes.certificates import NO_STORE, READ, Body, Line, _documented, _parse, identifier_of
from api.wiring import House
from certs.access_applications import (
    MOST_A_DAY,
    AccessForbidden,
    AccessSecondFactorNeeded,
    Application,
    Move,
    applicant_organisation,
    applications_of,
    apply,
    get_application,
    take_move,
    to_review,
)
from certs.access_rates import EVERY_TYPE, MOST, Rate, Rule, Use, rules_of, set_rate, standing_of, used_on
from certs.idempotency import require_key
from certs.sharing import Want
from certs.working_days import SpecialDay, calendar_of, enter_days
from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import civil_date
from keys.base.errors import InvalidInput

router = APIRouter(prefix="/api/v1", tags=["access"])
MOST_DAYS_SHOWN = 400
_KEEPERS = frozenset({Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN})


class ApplicationBody(Body):
    """``wants``: data, record, copy, file; ``basis``: the rule it rests on; ``without_holder``: that rule needs no consent of the holder;
    ``per_day``: the quota; ``until``: the last day."""

    type: Line
    wants: Annotated[list[Want], Field(min_length=1, max_length=4, strict=False)]
    matter_code: Line = ""
    purpose: Line
    basis: Line
    without_holder: bool = False
    per_day: Annotated[int, Field(ge=1, le=MOST_A_DAY)]
    until: Annotated[dt.date, Field(strict=False)]

    def application(self) -> Application:
        """The core's value."""
        return Application(
            self.type, frozenset(self.wants), self.matter_code, self.purpose, self.basis, self.per_day, self.until, self.without_holder
        )


class MoveBody(Body):
    """``reason``: required but for ``open``; the applicant sees it."""

    reason: Line = ""


class RateBody(Body):
    """``requester``: a client or an organisation (USCC); ``type`` empty: every type; 0: none at all."""

    requester: Line
    use: Annotated[Use, Field(strict=False)]
    type: Line = EVERY_TYPE
    per_minute: Annotated[int, Field(ge=0, le=MOST)]
    per_day: Annotated[int, Field(ge=0, le=MOST)]


class DayBody(Body):
    """``works``: a Saturday or Sunday that is worked; else a holiday."""

    day: Annotated[dt.date, Field(strict=False)]
    works: bool
    name: Annotated[str, Field(min_length=1, max_length=40)]


class DaysBody(Body):
    """Days that differ from their weekdays, in place of what stood for them."""

    days: Annotated[list[DayBody], Field(min_length=1, max_length=366)]


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


async def _keeper(request: Request) -> Actor:
    """A system or security administrator with two factors."""
    actor = await require_scope(request, MANAGE)
    if actor.kind is not ActorKind.PERSON or not actor.roles & _KEEPERS:
        raise AccessForbidden("no administrator")
    if actor.authenticator < 2:
        raise AccessSecondFactorNeeded
    return actor


@router.post("/access-applications", status_code=201, openapi_extra=_documented(ApplicationBody))
async def post_application(request: Request) -> Response:
    """Apply for access to the certificates of a type. Due one working day later. Header ``Idempotency-Key`` is required."""
    actor, house = await require_scope(request, READ), _house(request)
    key = require_key(request.headers.get("idempotency-key"))
    body = await _parse(request, ApplicationBody)
    applied = await apply(house.database, house.clock, actor, body.application(), key)
    headers = NO_STORE | {"Location": f"/api/v1/access-applications/{applied.id}"}
    return JSONResponse(applied.to_json(house.clock.now()), 201, headers)


@router.get("/access-applications")
async def get_applications(request: Request, actor: Reader, role: Annotated[str, Query(pattern="^(mine|review)$")] = "mine") -> Response:
    """`mine`: those of the asker's organisation, newest first; `review`: those that wait for this person, the most urgent first."""
    house = _house(request)
    async with house.database.session() as session:
        if role == "review":
            found = await to_review(session, actor)
        else:
            found = await applications_of(session, applicant_organisation(actor))
    items = [one.to_json(house.clock.now()) for one in found]
    return JSONResponse({"items": items, "next_cursor": None}, headers=NO_STORE)


@router.get("/access-applications/{application_id}")
async def get_one_application(request: Request, actor: Reader, application_id: str) -> Response:
    """One application and how it stands."""
    house = _house(request)
    async with house.database.session() as session:
        found = await get_application(session, actor, identifier_of(application_id))
    return JSONResponse(found.to_json(house.clock.now()), headers=NO_STORE)


async def _move(request: Request, application_id: str, move: Move) -> Response:
    house = _house(request)
    actor = await require_scope(request, READ if move is Move.WITHDRAW else MANAGE)
    require_key(request.headers.get("idempotency-key"))
    body = await _parse(request, MoveBody)
    found = await take_move(house.database, house.clock, actor, identifier_of(application_id), move, body.reason)
    return JSONResponse(found.to_json(house.clock.now()), headers=NO_STORE)


def _add_move(move: Move, description: str) -> None:
    async def endpoint(request: Request, application_id: str) -> Response:
        return await _move(request, application_id, move)

    router.add_api_route(
        f"/access-applications/{{application_id}}/{move}", endpoint, methods=["POST"], name=f"post_access_{move}",
        operation_id=f"post_access_{move}", openapi_extra=_documented(MoveBody), description=description,
    )  # fmt: skip


_add_move(Move.OPEN, "Review: open the right that was applied for, with its quota.")
_add_move(Move.REFUSE, "Review: refuse. `reason` is required.")
_add_move(Move.CLOSE, "End an opened right before its last day. `reason` is required.")
_add_move(Move.WITHDRAW, "The applicant's organisation takes it back, or gives the right up. `reason` is required.")


@router.get("/access-rates")
async def get_rates(request: Request, actor: Reader) -> Response:
    """The asker's own day: for each use the quota, what is left of it and when the next day begins."""
    house = _house(request)
    async with house.database.session() as session:
        mine = {use: await standing_of(session, house.clock.now(), actor, use) for use in Use}
    items = [{"use": use.value, "per_day": one.limit, "left": one.left, "resets_at": one.resets.isoformat()} for use, one in mine.items()]
    return JSONResponse({"items": items, "next_cursor": None}, headers=NO_STORE)


@router.get("/access-rates/all")
async def get_all_rates(request: Request) -> Response:
    """Every rule, and what was used today. Administrators with two factors."""
    await _keeper(request)
    house = _house(request)
    async with house.database.session() as session:
        rules, used = await rules_of(session), await used_on(session, civil_date(house.clock.now()))
    content = {
        "rules": [
            {
                "requester": one.requester, "use": one.use.value, "type": one.type_code, "per_minute": one.rate.per_minute,
                "per_day": one.rate.per_day,
            }
            for one in rules
        ],
        "used_today": [{"requester": who, "use": use, "type": kind, "used": times} for who, use, kind, times in used],
    }  # fmt: skip
    return JSONResponse(content, headers=NO_STORE)


@router.put("/access-rates", openapi_extra=_documented(RateBody))
async def put_rate(request: Request) -> Response:
    """Set a requester's rate for a use, of one type or of all. Administrators with two factors."""
    actor, house = await _keeper(request), _house(request)
    require_key(request.headers.get("idempotency-key"))
    body = await _parse(request, RateBody)
    async with house.database.begin() as session:
        rule = Rule(body.requester.strip(), body.use, body.type, Rate(body.per_minute, body.per_day))
        await set_rate(session, house.clock.now(), actor, rule)
    return JSONResponse(body.model_dump(mode="json"), headers=NO_STORE)


@router.get("/working-days")
async def get_days(request: Request, actor: Reader, since: dt.date | None = None, days: Annotated[int, Query(ge=1, le=30)] = 1) -> Response:
    """The days of the year that differ from their weekdays, and when what is asked for now is due in `days` working days."""
    house = _house(request)
    first = since or civil_date(house.clock.now())
    async with house.database.session() as session:
        calendar = await calendar_of(session)
    special = sorted((one for one in calendar.special.values() if one.day >= first), key=lambda one: one.day)[:MOST_DAYS_SHOWN]
    content = {
        "since": first.isoformat(), "known": calendar.knows(first.year), "due_at": calendar.due(house.clock.now(), days).isoformat(),
        "days": [{"day": one.day.isoformat(), "works": one.works, "name": one.name} for one in special],
    }  # fmt: skip
    return JSONResponse(content, headers=NO_STORE)


@router.put("/working-days", openapi_extra=_documented(DaysBody))
async def put_days(request: Request) -> Response:
    """Enter holidays and worked weekends, as the State Council's office announces them each year. Administrators with two factors."""
    actor, house = await _keeper(request), _house(request)
    require_key(request.headers.get("idempotency-key"))
    body = await _parse(request, DaysBody)
    days = {one.day: SpecialDay(one.day, one.works, one.name) for one in body.days}
    if len(days) != len(body.days):
        raise InvalidInput("days", errors=[{"field": "days", "message": "a day stands twice"}])
    async with house.database.begin() as session:
        entered = await enter_days(session, house.clock.now(), actor, days.values())
    return JSONResponse({"entered": entered}, headers=NO_STORE)
