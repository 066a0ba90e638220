"""Authority over seals: ``/api/v1/seals/{code}/grants`` and what belongs to it (``docs/seal-authority.md``).

Scope ``seals:manage``, in a token that speaks for a person who logged in with two factors; ``seals:read`` for looking. Who may do what
is for the journeys to say, and every refusal is in the audit log. What changes something carries an ``Idempotency-Key``.
"""

import hashlib
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api.routes.seals import Manager, Reader
from api.seal_authority_views import (
    ANY_DOCUMENT,
    Question,
    account_id,
    divisions_of,
    explained_json,
    grant_json,
    grantee,
    plain,
    why,
    window_step,
)
from api.seal_once import answered_once
from api.wiring import House
from certs.idempotency import require_key
from keys.base.actor import Actor
from keys.base.errors import NotFound
from seal.alerts import NAMES, acknowledge, list_alerts
from seal.approvals import approve_document, withdraw_approval
from seal.authority_access import AuthorityHidden, check_reader, keeps
from seal.delegation import Delegation, delegate
from seal.grants import Grant, GranteeKind, grant_use, list_grants, withdraw_grant
from seal.legal_bases import confirm_legal_basis, legal_bases_of, propose_legal_basis, withdraw_legal_basis
from seal.matters import Matter, check_matter_keeper, put_matter
from seal.policy_facts import Requirements
from seal.reads import get_seal
from seal.requirements import put_requirements
from seal.reviews import confirm_grant, due_reviews
from seal.use_log import read_uses
from seal.windows import Window, list_windows, put_window, shown_people

PAGE = 50
router = APIRouter(prefix="/api/v1", tags=["authority over seals"])
Line = Annotated[str, StringConstraints(max_length=200)]
Text = Annotated[str, StringConstraints(max_length=500)]
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{64}$")]
_NO_STORE = {"Cache-Control": "no-store"}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Narrowing(_Body):
    certificate_type: Line | None = None
    document_kind: Line | None = None
    networks: Annotated[list[Line], Field(max_length=32)] = []
    hours: Annotated[list[Line], Field(max_length=21)] = []
    quota_day: Annotated[int | None, Field(ge=1, le=10**9)] = None
    quota_total: Annotated[int | None, Field(ge=1, le=10**9)] = None


class GrantBody(_Narrowing):
    """``grantee``: a person's username, a ``client_id`` or a window; ``hours``: ``mon-fri 08:30-17:30``; ``networks``: CIDR."""

    grantee_kind: GranteeKind
    grantee: Line
    matter_code: Line
    window_id: Line | None = None
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime
    unattended: bool = False
    delegable: Annotated[int, Field(ge=0, le=3)] = 1


class DelegationBody(_Narrowing):
    """``to``: the colleague's username; what is left out stays as the grant has it."""

    to: Line
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime
    further: Annotated[int, Field(ge=0, le=2)] = 0


class WhyBody(_Body):
    """``person`` (a username) or ``client``; ``authenticator``: the level they log in with, else what their factors reach."""

    matter_code: Line
    person: Line | None = None
    client: Line | None = None
    certificate_type: Line | None = None
    document_kind: Line | None = None
    document_hash: Hash | None = None
    requester: Line | None = None
    window: Line | None = None
    address: Line | None = None
    unattended: bool = False
    authenticator: Annotated[int | None, Field(ge=0, le=3)] = None
    at: AwareDatetime | None = None


class RequirementsBody(_Body):
    """Never less than every seal takes: 2, 2, 1."""

    assurance: Annotated[int, Field(ge=0, le=9)] = 2
    authenticator: Annotated[int, Field(ge=0, le=9)] = 2
    approvals: Annotated[int, Field(ge=0, le=9)] = 1


class DocumentApprovalBody(_Body):
    """``requester``: the identifier of who asked that the document be sealed."""

    document_hash: Hash
    requester: Line


class LegalBasisBody(_Body):
    """``basis``: the law, its number and article."""

    matter_code: Line
    basis: Text


class MatterBody(_Body):
    name: Line
    is_approval: bool
    organisation: Line


class WindowBody(_Body):
    """``networks``: CIDR of its desks; a use must come from there."""

    name: Line
    organisation: Line
    division: Line
    place: Line
    networks: Annotated[list[Line], Field(max_length=32)] = []


class NameBody(_Body):
    """A seal's code, or a username."""

    name: Line


class NoteBody(_Body):
    note: Text = ""


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


def _key(request: Request, actor: Actor) -> uuid.UUID:
    """What a request makes bears the name of the request: sent again it makes nothing new."""
    key = require_key(request.headers.get("idempotency-key"))
    return uuid.UUID(bytes=hashlib.sha256(f"{actor.id}\n{request.url.path}\n{key}".encode()).digest()[:16], version=5)


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound(text[:40]) from None


def _said(value: object, status: int = 200) -> Response:
    return JSONResponse(value, status, _NO_STORE)


def _page(items: list[dict[str, Any]], key: str) -> Response:
    return _said({"items": items, "next_cursor": items[-1][key] if len(items) == PAGE else None})


# --- grants ----------------------------------------------------------------------------------------------------------------------


@router.get("/seals/{code}/grants")
async def get_grants(request: Request, actor: Reader, code: str, cursor: Line | None = None, withdrawn: bool = False) -> Response:
    """Who may use the seal for what, with what was used of the quotas; oldest first."""
    house = _house(request)
    async with house.database.session() as session:
        check_reader(actor, await get_seal(session, code))
        after = _id(cursor) if cursor else None
        found = await list_grants(session, house.clock.now(), seal_code=code, after=after, limit=PAGE, withdrawn=withdrawn)
    return _page([grant_json(one) for one in found], "id")


@router.post("/seals/{code}/grants", status_code=201)
@answered_once
async def post_grant(request: Request, actor: Manager, code: str, body: GrantBody) -> Response:
    """Give a grant: the seal's keeper, or a security administrator of its division."""
    house, identifier = _house(request), _key(request, actor)
    now = house.clock.now()
    members = body.model_dump(exclude={"grantee", "grantee_kind", "networks", "hours", "valid_from"})
    grant = Grant(
        seal_code=code,
        grantee_kind=body.grantee_kind,
        grantee_id=await grantee(house, body.grantee_kind, body.grantee),
        valid_from=body.valid_from or now.replace(microsecond=0),
        networks=tuple(body.networks),
        hours=tuple(body.hours),
        **members,
    )
    async with house.database.begin() as session:
        await grant_use(session, now, actor, grant, identifier)
    return _said({"id": str(identifier)}, 201)


@router.post("/seal-grants/{grant_id}/withdraw")
@answered_once
async def post_withdraw(request: Request, actor: Manager, grant_id: str) -> Response:
    """End a grant and everything handed on from it, at this instant."""
    house = _house(request)
    await withdraw_grant(house.database, house.clock, actor, _id(grant_id))
    return _said({"id": grant_id, "withdrawn": True})


@router.post("/seal-grants/{grant_id}/delegate", status_code=201)
@answered_once
async def post_delegate(request: Request, actor: Manager, grant_id: str, body: DelegationBody) -> Response:
    """Hand an own grant to a colleague for a while, never wider than it is."""
    house, identifier = _house(request), _key(request, actor)
    members = body.model_dump(exclude={"to", "networks", "hours", "valid_from"})
    to = await account_id(house, body.to)
    begins = body.valid_from or house.clock.now()
    wanted = Delegation(_id(grant_id), to, valid_from=begins, networks=tuple(body.networks), hours=tuple(body.hours), **members)
    await delegate(house.database, house.clock, actor, wanted, identifier)
    return _said({"id": str(identifier)}, 201)


@router.post("/seal-grants/{grant_id}/confirm")
@answered_once
async def post_confirm(request: Request, actor: Manager, grant_id: str, body: NoteBody) -> Response:
    """The yearly review: this grant is still needed."""
    house = _house(request)
    due = await confirm_grant(house.database, house.clock, actor, _id(grant_id), body.note)
    return _said({"id": grant_id, "review_due": due.isoformat()})


@router.get("/seal-grants/reviews")
async def get_reviews(request: Request, actor: Reader, cursor: Line | None = None) -> Response:
    """Grants on the own organisation's seals that lapse within a month, or have lapsed."""
    house, own = _house(request), actor.organisation or ""
    if not keeps(actor, own):
        raise AuthorityHidden(f"{actor.id} keeps no seals")
    async with house.database.session() as session:
        after = _id(cursor) if cursor else None
        found = await due_reviews(session, house.clock.now(), organisation=own, after=after, limit=PAGE)
    return _page([grant_json(one) for one in found], "id")


# --- why, uses, alerts -------------------------------------------------------------------------------------------------------------


@router.post("/seals/{code}/why")
async def post_why(request: Request, actor: Reader, code: str, body: WhyBody) -> Response:
    """May this person use this seal for this? Every rule's answer, in words. Permits nothing."""
    house = _house(request)
    async with house.database.session() as session:
        check_reader(actor, await get_seal(session, code))
    members = body.model_dump(exclude={"document_hash"})
    digest = bytes.fromhex(body.document_hash) if body.document_hash else ANY_DOCUMENT
    asked = Question(code, document_hash=digest, **members)
    return _said(explained_json(await why(house, asked)))


@router.get("/seals/{code}/uses")
async def get_uses(request: Request, actor: Reader, code: str, cursor: Line | None = None) -> Response:
    """The log of use, the latest first: document, matter, person, place, grant."""
    async with _house(request).database.session() as session:
        found = await read_uses(session, actor, code, before=_id(cursor) if cursor else None, limit=PAGE)
    return _page([plain(one) for one in found], "permit_id")


@router.get("/seals/{code}/alerts")
async def get_alerts(request: Request, actor: Reader, code: str, everything: bool = False) -> Response:
    """What somebody should look at; with ``everything`` also what was acknowledged."""
    async with _house(request).database.session() as session:
        found = await list_alerts(session, actor, code, everything=everything)
    items = [{**plain(one), "zh": NAMES[one.rule][0], "en": NAMES[one.rule][1]} for one in found]
    return _said({"items": items, "next_cursor": None})


@router.post("/seal-alerts/{alert_id}/acknowledge")
@answered_once
async def post_acknowledge(request: Request, actor: Manager, alert_id: str, body: NoteBody) -> Response:
    """Somebody looked."""
    house = _house(request)
    await acknowledge(house.database, house.clock, actor, _id(alert_id), body.note)
    return _said({"id": alert_id, "acknowledged": True})


# --- what a seal takes ---------------------------------------------------------------------------------------------------------------


@router.put("/seals/{code}/requirements")
@answered_once
async def put_seal_requirements(request: Request, actor: Manager, code: str, body: RequirementsBody) -> Response:
    """Demand more than every seal does: identity assurance, authenticator level, two approvers."""
    house = _house(request)
    await put_requirements(house.database, house.clock, actor, code, Requirements(**body.model_dump()))
    return _said(body.model_dump())


@router.post("/seals/{code}/approvals", status_code=201)
@answered_once
async def post_approval(request: Request, actor: Manager, code: str, body: DocumentApprovalBody) -> Response:
    """An approver agrees that this document is sealed."""
    house, digest = _house(request), bytes.fromhex(body.document_hash)
    async with house.database.begin() as session:
        made = await approve_document(session, house.clock.now(), actor, seal_code=code, document_hash=digest, requester=body.requester)
    return _said({"id": str(made)}, 201)


@router.post("/seal-approvals/{approval_id}/withdraw")
@answered_once
async def post_withdraw_approval(request: Request, actor: Manager, approval_id: str) -> Response:
    """Take an approval back, at this instant."""
    house = _house(request)
    await withdraw_approval(house.database, house.clock, actor, _id(approval_id))
    return _said({"id": approval_id, "withdrawn": True})


@router.get("/seals/{code}/legal-bases")
async def get_legal_bases(request: Request, actor: Reader, code: str) -> Response:
    """Approval matters that may take this seal though it is none for approvals, and by which law."""
    async with _house(request).database.session() as session:
        check_reader(actor, await get_seal(session, code))
        found = await legal_bases_of(session, code)
    return _said({"items": [plain(one) for one in found], "next_cursor": None})


@router.post("/seals/{code}/legal-bases", status_code=201)
@answered_once
async def post_legal_basis(request: Request, actor: Manager, code: str, body: LegalBasisBody) -> Response:
    """Propose one; it counts once another security administrator confirmed it."""
    house = _house(request)
    made = await propose_legal_basis(house.database, house.clock, actor, seal_code=code, matter_code=body.matter_code, basis=body.basis)
    return _said({"id": str(made)}, 201)


@router.post("/legal-bases/{basis_id}/{step}")
@answered_once
async def post_legal_basis_step(request: Request, actor: Manager, basis_id: str, step: str) -> Response:
    """``confirm`` or ``withdraw`` it."""
    house, steps = _house(request), {"confirm": confirm_legal_basis, "withdraw": withdraw_legal_basis}
    if step not in steps:
        raise NotFound(step[:20])
    await steps[step](house.database, house.clock, actor, _id(basis_id))
    return _said({"id": basis_id, "step": step})


@router.put("/matters/{code}")
@answered_once
async def put_one_matter(request: Request, actor: Manager, code: Line, body: MatterBody) -> Response:
    """Add or change a matter: the organisation's keeper, or a security administrator."""
    house, matter = _house(request), Matter(code, **body.model_dump())
    await check_matter_keeper(house.database, house.clock, actor, matter, await divisions_of(house, matter))
    async with house.database.begin() as session:
        await put_matter(session, house.clock.now(), actor, matter)
    return _said(plain(matter))


# --- windows ---------------------------------------------------------------------------------------------------------------------


@router.get("/windows")
async def get_windows(request: Request, actor: Reader, organisation: Line | None = None, cursor: Line = "") -> Response:
    """Windows with the seals they keep; who works there is for those who manage them, and for each person about themselves."""
    async with _house(request).database.session() as session:
        found = await list_windows(session, organisation=organisation, after=cursor, limit=PAGE)
    items = [
        {**plain(one.window), "closed": one.closed, "seals": list(one.seals), "people": list(shown_people(one, actor))} for one in found
    ]
    return _page(items, "id")


@router.put("/windows/{window_id}")
@answered_once
async def put_one_window(request: Request, actor: Manager, window_id: str, body: WindowBody) -> Response:
    """Add or change a window: a keeper of the organisation that runs it, or a security administrator."""
    house, members = _house(request), body.model_dump(exclude={"networks"})
    window = Window(window_id, **members, networks=tuple(body.networks))
    await put_window(house.database, house.clock, actor, window)
    return _said(plain(window))


@router.post("/windows/{window_id}/{step}")
@answered_once
async def post_window_step(request: Request, actor: Manager, window_id: str, step: str, body: NameBody) -> Response:
    """``give`` and ``take`` a seal (``name``: its code), ``post`` and ``leave`` a person (a username), ``close`` the window."""
    await window_step(_house(request), actor, window_id, step, body.name)
    return _said({"id": window_id, "step": step, "name": body.name})
