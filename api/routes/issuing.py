"""Issuing beyond one certificate for one approval (``docs/issuing.md``): checks before it, applications for several certificates
(一件事), items of merged licences (多证合一), and the rules of numbering and merging.

Scope ``certificates:issue`` for what issues or asks whether it could be; ``certificates:read`` for looking; ``catalogue:manage``, in a
token of a person with two factors, for the rules.
"""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from api.addresses import address_of
from api.bearer import require_scope
from api.issuing_views import merge_json, rule_json, series_json
from api.pages.previews import unissued
from api.problems import preferred_language
from api.routes.certificate_types import Keeper, Reader
from api.routes.certificates import ISSUE, NO_STORE, READ, ApprovalBody, Body, Line, _documented, _parse
from api.wiring import House
from certs.applications import PAGE_SIZE, Application, Standing, apply_for, list_applications, read_application
from certs.claiming import Item, ItemState, claim_item, list_items
from certs.idempotency import require_key
from certs.issuing_keeping import drop_issuing_rule, drop_merge_rule, issuing_rules, merge_rules, put_issuing_rule, put_merge_rule
from certs.issuing_rules import InForce, IssuingRule
from certs.merging import MergeRule
from certs.numbers import list_series, series_of
from certs.prechecks import CHECKS, Finding, PreCheck, check_approval, preview
from certs.records import Stage
from keys.base.clock import civil_date
from keys.base.errors import InvalidInput, NotFound

router = APIRouter(prefix="/api/v1", tags=["issuing"])


class ApplicationBody(Body):
    """``items``: one approval for each certificate, as ``POST /api/v1/approvals`` takes it."""

    application_number: Line
    title: Line
    items: Annotated[list[ApprovalBody], Field(min_length=1, max_length=20)]

    def application(self) -> Application:
        """The core's value."""
        return Application(self.application_number, self.title, tuple(one.approval() for one in self.items))


class ClaimBody(Body):
    note: Line = ""


class IssuingRuleBody(Body):
    """``pattern``: text with ``{serial:N}``, ``{year}``, ``{division}``, ``{issuer}``; ``in_force``: how many valid ones a holder has."""

    issuer: Line = ""
    pattern: Line = ""
    yearly: bool = True
    common: bool = False
    unique_number: bool = False
    in_force: Annotated[InForce, Field(strict=False)] = InForce.ANY


class MergeRuleBody(Body):
    """``department``: who claims the item, a credit code; empty: who issued what was absorbed. ``basis``: the rule that says so."""

    department: Line = ""
    claim_days: int
    basis: Line


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound("id") from None


def _cursor(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        raise InvalidInput("cursor", errors=[{"field": "cursor", "message": "not one of ours"}]) from None


# --- before issuing ------------------------------------------------------------------------------------------------------------


@router.post("/approvals/check", name="check_approval", operation_id="check_approval", openapi_extra=_documented(ApprovalBody))
async def post_check(request: Request) -> Response:
    """Would it be issued? Each check by itself: holder, conflicting certificates, seal, fields, number, print. No number is taken."""
    actor = await require_scope(request, ISSUE)
    body = await _parse(request, ApprovalBody)
    found = await check_approval(_house(request).issuing, actor, body.approval())
    return JSONResponse(check_json(found, preferred_language(request)), headers=NO_STORE)


@router.post(
    "/approvals/preview", name="preview_approval", operation_id="preview_approval", response_class=Response,
    openapi_extra=_documented(ApprovalBody),
)  # fmt: skip
async def post_preview(request: Request) -> Response:
    """The certificate as it would be printed, as a PNG marked as a preview; where it cannot be printed, the checks (422)."""
    actor = await require_scope(request, ISSUE)
    body = await _parse(request, ApprovalBody)
    house = _house(request)
    found, made = await preview(house.issuing, actor, body.approval())
    if made is None:
        return JSONResponse(check_json(found, preferred_language(request)), 422, NO_STORE)
    picture = await house.workers.run(unissued, made.pdf)
    return Response(picture, media_type="image/png", headers=NO_STORE | {"X-Content-Type-Options": "nosniff"})


def check_json(found: PreCheck, language: str) -> dict[str, object]:
    """The answer of a check, in the reader's language."""
    return {
        "passes": found.passes, "unattended": found.unattended, "checks": [_finding(one, language) for one in found.findings],
    }  # fmt: skip


def _finding(one: Finding, language: str) -> dict[str, Any]:
    place = 0 if language == "zh" else 1
    said: dict[str, Any] = {"name": one.check, "title": CHECKS[one.check][place], "outcome": one.result.value}
    if one.error is not None:
        said |= {"code": one.error.code, "detail": one.error.public[place]} | one.error.extra
    return said


# --- several certificates from one application -----------------------------------------------------------------------------------


@router.post(
    "/applications", name="post_application", operation_id="post_application", status_code=201, openapi_extra=_documented(ApplicationBody)
)
async def post_application(request: Request) -> Response:
    """Several certificates from one application (一件事): all are admitted, or nothing is issued (422). 201 when each is issued or void;
    202 while one waits. Header ``Idempotency-Key`` is required; the same key again answers how it stands."""
    actor = await require_scope(request, ISSUE)
    key = require_key(request.headers.get("idempotency-key"))
    body = await _parse(request, ApplicationBody)
    standing = await apply_for(_house(request).issuing, actor, body.application(), key, address=address_of(request))
    own = f"{_house(request).base_url}/api/v1/applications/{standing.id}"
    return JSONResponse(application_json(request, standing), 201 if standing.settled else 202, NO_STORE | {"Location": own})


@router.get("/applications", name="list_applications", operation_id="list_applications")
async def get_applications(
    request: Request, cursor: str | None = None, limit: Annotated[int, Query(ge=1, le=PAGE_SIZE)] = PAGE_SIZE
) -> Response:
    """Applications of the sender and its organisation, newest first."""
    actor = await require_scope(request, READ)
    found, more = await list_applications(_house(request).database, actor, before=_cursor(cursor), limit=limit)
    items = [application_json(request, one) for one in found]
    return JSONResponse({"items": items, "next_cursor": str(more) if more else None}, headers=NO_STORE)


@router.get("/applications/{application_id}", name="get_application", operation_id="get_application")
async def get_application(request: Request, application_id: str) -> Response:
    """An application, and how each of its certificates stands now."""
    actor = await require_scope(request, READ)
    standing = await read_application(_house(request).database, actor, _uuid(application_id))
    return JSONResponse(application_json(request, standing), headers=NO_STORE)


def application_json(request: Request, standing: Standing) -> dict[str, object]:
    """An application as it is told."""
    base_url = _house(request).base_url
    return {
        "id": str(standing.id), "application_number": standing.number, "title": standing.title, "settled": standing.settled,
        "created_at": standing.created_at.isoformat(),
        "items": [
            {
                "id": str(one.certificate_id), "status": one.stage.value, "identifier": one.identifier, "type": one.type_code,
                "number": one.number, "issuer": one.issuer, "code": one.failure,
                "verification_code": one.verification_code if one.stage is Stage.ISSUED else None,
                "links": {"self": f"{base_url}/api/v1/certificates/{one.certificate_id}"}
                | ({"verify": f"{base_url}/v/{one.verification_code}"} if one.stage is Stage.ISSUED else {}),
            }
            for one in standing.items
        ],
        "links": {"self": f"{base_url}/api/v1/applications/{standing.id}"},
    }  # fmt: skip


# --- items of merged licences ------------------------------------------------------------------------------------------------------


@router.get("/merged-items", name="list_merged_items", operation_id="list_merged_items")
async def get_items(
    request: Request, state: ItemState | None = None, cursor: str | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Response:
    """Items of licences that the sender's department has to claim, or has claimed, the oldest first."""
    actor, house = await require_scope(request, READ), _house(request)
    found, more = await list_items(house.database, house.clock, actor, state, after=_cursor(cursor), limit=limit)
    items = [item_json(request, one) for one in found]
    return JSONResponse({"items": items, "next_cursor": str(more) if more else None}, headers=NO_STORE)


@router.post(
    "/merged-items/{item_id}/claim", name="claim_merged_item", operation_id="claim_merged_item", openapi_extra=_documented(ClaimBody)
)
async def post_claim(request: Request, item_id: str) -> Response:
    """The department takes the item into its own supervision; once. Needs an ``Idempotency-Key``, as everywhere."""
    actor, house = await require_scope(request, ISSUE), _house(request)
    require_key(request.headers.get("idempotency-key"))
    body = await _parse(request, ClaimBody)
    return JSONResponse(
        item_json(request, await claim_item(house.database, house.clock, actor, _uuid(item_id), body.note)), headers=NO_STORE
    )


def item_json(request: Request, one: Item) -> dict[str, object]:
    """A merged item as its department is told."""
    house = _house(request)
    return {
        "id": str(one.id), "state": one.state(civil_date(house.clock.now())).value, "type": one.type_code, "name": one.name,
        "department": one.department, "absorbed": one.absorbed, "opened_at": one.opened_at.isoformat(), "due_on": one.due_on.isoformat(),
        "claimed_at": one.claimed_at.isoformat() if one.claimed_at else None, "claimed_by": one.claimed_by, "note": one.note,
        "licence": {
            "id": str(one.certificate_id), "identifier": one.identifier, "name": one.licence_name, "number": one.number,
            "issuer": one.issuer_name, "holders": [{"name": holder.name, "code": holder.code_masked} for holder in one.holders],
        },
    }  # fmt: skip


# --- rules -------------------------------------------------------------------------------------------------------------------------


@router.get("/certificate-types/{code}/issuing-rules", name="list_issuing_rules", operation_id="list_issuing_rules")
async def get_rules(request: Request, actor: Reader, code: str) -> Response:
    """How certificates of a type are numbered, and what keeps a further one from being issued."""
    async with _house(request).database.session() as session:
        rules = await issuing_rules(session, code)
    return JSONResponse({"items": [rule_json(one) for one in rules]}, headers=NO_STORE)


@router.put(
    "/certificate-types/{code}/issuing-rules", name="put_issuing_rule", operation_id="put_issuing_rule",
    openapi_extra=_documented(IssuingRuleBody),
)  # fmt: skip
async def put_rule(request: Request, actor: Keeper, code: str) -> Response:
    """The rule of a type, or of one of its issuers, in place of the one before. Needs an ``Idempotency-Key``; repeating changes nothing."""
    require_key(request.headers.get("idempotency-key"))
    body, house = await _parse(request, IssuingRuleBody), _house(request)
    rule = await put_issuing_rule(house.database, house.clock, actor, IssuingRule(code, **body.model_dump()))
    return JSONResponse(rule_json(rule), headers=NO_STORE)


@router.delete("/certificate-types/{code}/issuing-rules", name="delete_issuing_rule", operation_id="delete_issuing_rule", status_code=204)
async def delete_rule(request: Request, actor: Keeper, code: str, issuer: str = "") -> Response:
    """Departments number as they like again; what was numbered stays."""
    house = _house(request)
    await drop_issuing_rule(house.database, house.clock, actor, code, issuer)
    return Response(status_code=204, headers=NO_STORE)


@router.get("/certificate-types/{code}/numbers", name="get_numbers", operation_id="get_numbers")
async def get_numbers(request: Request, actor: Reader, code: str, issuer: str | None = None, year: int | None = None) -> Response:
    """The series of a type's numbers; with ``issuer`` and ``year`` (0: no year) one series with its gaps, and why each is one."""
    async with _house(request).database.session() as session:
        if issuer is None and year is None:
            return JSONResponse({"items": [series_json(one) for one in await list_series(session, code)]}, headers=NO_STORE)
        found = await series_of(session, code, issuer or "", year or 0)
    if found is None:
        raise NotFound("series")
    return JSONResponse(series_json(found), headers=NO_STORE)


@router.get("/certificate-types/{code}/merge-rules", name="list_merge_rules", operation_id="list_merge_rules")
async def get_merge_rules(request: Request, actor: Reader, code: str) -> Response:
    """Which types a licence of this type may take up (多证合一)."""
    async with _house(request).database.session() as session:
        rules = await merge_rules(session, code)
    return JSONResponse({"items": [merge_json(one) for one in rules]}, headers=NO_STORE)


@router.put(
    "/certificate-types/{code}/merge-rules/{absorbed}", name="put_merge_rule", operation_id="put_merge_rule",
    openapi_extra=_documented(MergeRuleBody),
)  # fmt: skip
async def put_merge(request: Request, actor: Keeper, code: str, absorbed: str) -> Response:
    """A licence of this type may take up the other. For system administrators. Needs an ``Idempotency-Key``."""
    require_key(request.headers.get("idempotency-key"))
    body, house = await _parse(request, MergeRuleBody), _house(request)
    rule = await put_merge_rule(house.database, house.clock, actor, MergeRule(code, absorbed, body.department, body.claim_days, body.basis))
    return JSONResponse(merge_json(rule), headers=NO_STORE)


@router.delete(
    "/certificate-types/{code}/merge-rules/{absorbed}", name="delete_merge_rule", operation_id="delete_merge_rule", status_code=204
)
async def delete_merge(request: Request, actor: Keeper, code: str, absorbed: str) -> Response:
    """It takes up the other no more; what was taken up stays."""
    house = _house(request)
    await drop_merge_rule(house.database, house.clock, actor, code, absorbed)
    return Response(status_code=204, headers=NO_STORE)


__all__ = ["application_json", "check_json", "item_json", "router"]
