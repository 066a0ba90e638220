"""What may differ in the seals of a system that already exists, over HTTP: ``/api/v1/trust/rules`` (``docs/verification.md``).

Scope ``trust:manage``, in a token that speaks for a person, as for the trust list itself: one security administrator proposes, another
approves. What changes something carries an ``Idempotency-Key``.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.routes.authorities import Administrator, ReasonBody
from api.wiring import House
from certs.approvals import IdempotencyKeyReused
from certs.idempotency import require_key
from keys.trust.errors import TrustRequestReused
from keys.trust.once import Once
from keys.trust.proposals import check_actor, refusals_audited
from seal.foreign_rules import Algorithm, AuthorityRules, Encoding, SystemRules, Tolerance
from seal.foreign_rules_list import (
    KeptRules,
    RulesStatus,
    approve_rules,
    get_rules,
    list_rules,
    propose_rules,
    reject_rules,
    withdraw_rules,
)

router = APIRouter(prefix="/api/v1/trust", tags=["trust"])
_NO_STORE = {"Cache-Control": "no-store"}


class RulesBody(BaseModel):
    """What is left out is as strict as without rules. Nothing can be named that weakens a signature, a digest or a chain."""

    model_config = ConfigDict(extra="forbid")

    algorithms: Annotated[list[Algorithm], Field(min_length=1, max_length=8)] = [Algorithm.SM2_SM3]
    encodings: Annotated[list[Encoding], Field(min_length=1, max_length=4)] = [Encoding.DER, Encoding.RAW]
    tolerances: Annotated[list[Tolerance], Field(max_length=16)] = []
    timestamp_required: bool = False


class RulesProposalBody(BaseModel):
    """``authority``: SHA-256 of the certificate on the trust list, hexadecimal."""

    model_config = ConfigDict(extra="forbid")

    authority: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]
    rules: RulesBody
    reason: Annotated[str, StringConstraints(max_length=600)]

    def order(self) -> AuthorityRules:
        return AuthorityRules(bytes.fromhex(self.authority), SystemRules.from_json(self.rules.model_dump(mode="json")))


class RulesAnswer(BaseModel):
    id: uuid.UUID
    authority: str
    rules: RulesBody
    status: RulesStatus
    reason: str
    proposed_by: str
    proposed_at: dt.datetime
    decided_by: str | None
    decided_at: dt.datetime | None
    decision: str | None


class RulesListAnswer(BaseModel):
    items: list[RulesAnswer]


def _answer(kept: KeptRules, status: int = 200) -> Response:
    location = {"Location": f"/api/v1/trust/rules/{kept.id}"} if status == 201 else {}
    return JSONResponse(RulesAnswer.model_validate(kept.to_json()).model_dump(mode="json"), status, _NO_STORE | location)


def _once(request: Request, step: str, body: BaseModel) -> Once:
    key = require_key(request.headers.get("idempotency-key"))
    told = f"rules {step}\n{request.url.path}\n{body.model_dump_json()}"
    return Once(key, hashlib.sha256(told.encode()).digest())


async def _first(journey: Awaitable[KeptRules]) -> KeptRules:
    """A key used before for something else is refused as everywhere in this API."""
    try:
        return await journey
    except TrustRequestReused as error:
        raise IdempotencyKeyReused from error


@router.get("/rules", name="list_foreign_rules", operation_id="list_foreign_rules")
async def list_all(request: Request, actor: Administrator, status: RulesStatus | None = None) -> RulesListAnswer:
    """Every set of rules, oldest first; ``status`` picks those of one."""
    house: House = request.app.state.house
    async with refusals_audited(house.database, house.clock, "seal.rules.list", "foreign-rules", actor):
        check_actor(actor)
        async with house.database.session() as session:
            found = await list_rules(session, status)
    return RulesListAnswer(items=[RulesAnswer.model_validate(one.to_json()) for one in found])


@router.get("/rules/{rules_id}", name="get_foreign_rules", operation_id="get_foreign_rules")
async def get_one(request: Request, actor: Administrator, rules_id: uuid.UUID) -> RulesAnswer:
    """One set of rules."""
    house: House = request.app.state.house
    async with refusals_audited(house.database, house.clock, "seal.rules.show", f"foreign-rules:{rules_id}", actor):
        check_actor(actor)
        async with house.database.session() as session:
            return RulesAnswer.model_validate((await get_rules(session, rules_id)).to_json())


@router.post("/rules", status_code=201, response_model=RulesAnswer, name="post_foreign_rules", operation_id="post_foreign_rules")
async def post_rules(request: Request, actor: Administrator, body: RulesProposalBody) -> Response:
    """Propose rules for an authority of the trust list: another security administrator approves. Needs an `Idempotency-Key`."""
    house: House = request.app.state.house
    once = _once(request, "propose", body)
    return _answer(await _first(propose_rules(house.database, house.clock, actor, body.order(), body.reason, once)), 201)


def _add_step(step: str, journey: Callable[..., Awaitable[KeptRules]], description: str) -> None:
    async def endpoint(request: Request, actor: Administrator, rules_id: uuid.UUID, body: ReasonBody) -> Response:
        house: House = request.app.state.house
        once = _once(request, step, body)
        return _answer(await _first(journey(house.database, house.clock, actor, rules_id, body.reason, once)))

    router.add_api_route(
        f"/rules/{{rules_id}}/{step}",
        endpoint,
        methods=["POST"],
        response_model=RulesAnswer,
        name=f"post_{step}_foreign_rules",
        operation_id=f"post_{step}_foreign_rules",
        description=f"{description} Header `Idempotency-Key` is required.",
    )


_add_step("approve", approve_rules, "Agree to somebody else's proposal: the rules are in force from now on, in place of those before.")
_add_step("reject", reject_rules, "Refuse a proposal.")
_add_step("withdraw", withdraw_rules, "Back to what holds without rules; rules that ask for more are replaced by other rules instead.")
