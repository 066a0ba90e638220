"""Whom we trust beside ourselves, over HTTP: ``/api/v1/trust/authorities`` (``docs/trust-list.md``).

Scope ``trust:manage``, in a token that speaks for a person: a security administrator who logged in with a second factor. Two people
widen trust, one narrows it; every refusal is in the audit log. What changes something carries an ``Idempotency-Key``.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api.bearer import require_scope
from api.wiring import House
from certs.approvals import IdempotencyKeyReused
from certs.idempotency import require_key
from keys.base.actor import Actor
from keys.base.errors import InvalidInput
from keys.trust.certificates import read_bundle
from keys.trust.entries import Scope, Use
from keys.trust.errors import TrustRequestReused
from keys.trust.lifecycle import Move, Status
from keys.trust.once import Once
from keys.trust.proposals import Proposal, approve, check_actor, move, propose, refusals_audited
from keys.trust.reads import Entry, get_entry, list_entries

SCOPE = "trust:manage"
router = APIRouter(prefix="/api/v1/trust", tags=["trust"])
Line = Annotated[str, StringConstraints(max_length=600)]
Lines = Annotated[list[Line], Field(max_length=64)]
Pem = Annotated[str, StringConstraints(max_length=1 << 19)]
_NO_STORE = {"Cache-Control": "no-store"}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScopeBody(_Body):
    """An empty part sets no bound. ``organisation``: USCC; ``divisions``: GB/T 2260; ``seal_kinds``: ``approval`` …"""

    organisation: Line = ""
    divisions: Lines = []
    seal_kinds: Lines = []


class RevocationBody(_Body):
    """Where its revocation lists and its OCSP responder are."""

    crl: Lines = []
    ocsp: Lines = []


class ProposalBody(_Body):
    """``certificate``: PEM, one; ``subordinates``: PEM of authorities below it; the span defaults to now and the certificate's end."""

    certificate: Pem
    subordinates: Pem = ""
    uses: Annotated[list[Use], Field(min_length=1)]
    scope: ScopeBody = ScopeBody()
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None
    revocation: RevocationBody = RevocationBody()
    legal_effect: bool = False
    reason: Line

    def proposal(self) -> Proposal:
        """Raises ``TrustBundleMalformed``, InvalidInput."""
        certificates = read_bundle(self.certificate.encode())
        if len(certificates) != 1:
            raise InvalidInput("one certificate", errors=[{"field": "certificate", "message": "one certificate, its issuers apart"}])
        return Proposal(
            certificate=certificates[0],
            uses=frozenset(self.uses),
            scope=Scope(self.scope.organisation, tuple(self.scope.divisions), tuple(self.scope.seal_kinds)),
            subordinates=read_bundle(self.subordinates.encode()) if self.subordinates.strip() else (),
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            crl_urls=tuple(self.revocation.crl),
            ocsp_urls=tuple(self.revocation.ocsp),
            legal_effect=self.legal_effect,
            source="api",
            reason=self.reason,
        )


class ReasonBody(_Body):
    """Why; kept in the entry's history."""

    reason: Line


class ChangeAnswer(BaseModel):
    move: str
    to: Status
    at: dt.datetime
    by: str
    reason: str


class AuthorityAnswer(BaseModel):
    """An entry. ``sha256``: of its certificate, to be compared by telephone; ``history`` oldest first."""

    id: uuid.UUID
    subject: str
    sha256: str
    not_after: dt.datetime
    uses: list[Use]
    scope: ScopeBody
    valid_from: dt.datetime
    valid_to: dt.datetime
    revocation: RevocationBody
    legal_effect: bool
    source: str
    status: Status
    since: dt.datetime
    history: list[ChangeAnswer]


class AuthoritiesAnswer(BaseModel):
    items: list[AuthorityAnswer]


async def administrator(request: Request) -> Actor:
    """Whoever sent a token of scope ``trust:manage``; whether they may is for each journey to say, and to record."""
    return await require_scope(request, SCOPE)


Administrator = Annotated[Actor, Depends(administrator)]


def _answer(entry: Entry, status: int = 200) -> Response:
    location = {"Location": f"/api/v1/trust/authorities/{entry.id}"} if status == 201 else {}
    return JSONResponse(AuthorityAnswer.model_validate(entry.to_json()).model_dump(mode="json"), status, _NO_STORE | location)


@router.get("/authorities")
async def list_authorities(request: Request, actor: Administrator, status: Status | None = None) -> AuthoritiesAnswer:
    """Every entry, oldest first; ``status`` picks those of one."""
    house: House = request.app.state.house
    async with refusals_audited(house.database, house.clock, "keys.trust.list", "trust-entries", actor):
        check_actor(actor)
        async with house.database.session() as session:
            found = await list_entries(session, status)
    return AuthoritiesAnswer(items=[AuthorityAnswer.model_validate(one.to_json()) for one in found])


@router.get("/authorities/{entry_id}")
async def get_authority(request: Request, actor: Administrator, entry_id: uuid.UUID) -> AuthorityAnswer:
    """One entry with its history."""
    house: House = request.app.state.house
    async with refusals_audited(house.database, house.clock, "keys.trust.show", f"trust-entry:{entry_id}", actor):
        check_actor(actor)
        async with house.database.session() as session:
            return AuthorityAnswer.model_validate((await get_entry(session, entry_id)).to_json())


@router.post("/authorities", status_code=201, response_model=AuthorityAnswer)
async def post_authority(request: Request, actor: Administrator, body: ProposalBody) -> Response:
    """Propose an authority: another security administrator approves. Header ``Idempotency-Key`` is required."""
    house: House = request.app.state.house
    once = _once(request, "propose", body)
    return _answer(await _first(propose(house.database, house.clock, actor, body.proposal(), once)), 201)


async def _first(journey: Awaitable[Entry]) -> Entry:
    """A key used before for something else is refused as everywhere in this API."""
    try:
        return await journey
    except TrustRequestReused as error:
        raise IdempotencyKeyReused from error


def _once(request: Request, step: str, body: BaseModel) -> Once:
    key = require_key(request.headers.get("idempotency-key"))
    told = f"{step}\n{request.url.path}\n{body.model_dump_json()}"
    return Once(key, hashlib.sha256(told.encode()).digest())


def _add_move(step: Move, description: str) -> None:
    async def endpoint(request: Request, actor: Administrator, entry_id: uuid.UUID, body: ReasonBody) -> Response:
        house: House = request.app.state.house
        once = _once(request, step, body)
        if step is Move.APPROVE:
            return _answer(await _first(approve(house.database, house.clock, actor, entry_id, body.reason, once)))
        return _answer(await _first(move(house.database, house.clock, actor, entry_id, step, body.reason, once)))

    router.add_api_route(
        f"/authorities/{{entry_id}}/{step}",
        endpoint,
        methods=["POST"],
        response_model=AuthorityAnswer,
        name=f"post_{step}_authority",
        operation_id=f"post_{step}_authority",
        description=f"{description} Header `Idempotency-Key` is required.",
    )


_MOVES: dict[Move, str] = {
    Move.APPROVE: "Agree to somebody else's proposal: the authority is trusted from now on.",
    Move.REJECT: "Refuse a proposal.",
    Move.SUSPEND: "Stop trusting an authority for now.",
    Move.RESUME: "Trust a suspended authority again; takes another person than who suspended it.",
    Move.WITHDRAW: "Stop trusting an authority for good.",
}
for _step, _description in _MOVES.items():
    _add_move(_step, _description)
