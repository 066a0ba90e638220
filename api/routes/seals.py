"""Seals over HTTP: ``/api/v1/seals`` (``docs/seals.md``).

Scope ``seals:manage``, in a token that speaks for a person who logged in with two factors: a keeper for the own organisation, a security
administrator within the division. Scope ``seals:read`` for looking. Every step carries a reason and may carry documents (kind, SHA-256,
name); what changes something carries an ``Idempotency-Key``. Who may do what is for the journeys to say, and every refusal is in the
audit log.
"""

import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api.bearer import InsufficientScope, bearer_token, require_scope
from api.seal_names import RegisteredNames
from api.seal_views import change_json, notice_json, seal_json, statistics_json
from api.wiring import House
from certs.approvals import IdempotencyKeyReused
from certs.idempotency import require_key
from identity.organisations import get_organisation
from identity.tokens import authenticate_bearer
from keys.base.actor import Actor, Role
from keys.base.errors import InvalidInput, NotFound
from seal.access import may_see, require_two_factors, seen
from seal.activation import activate_seal
from seal.asn1_build import DEFAULT_VERSION, SignerList
from seal.changes import move_seal
from seal.designs import Shape
from seal.impressions import MediaType, Upload
from seal.kinds import SealKind
from seal.lifecycle import Move, Status, Succession
from seal.looks import SealLook
from seal.making import SealOrder, apply_for_seal, make_reviewed_seal
from seal.motives import Why, read_papers
from seal.notices import mark_read, notices_of
from seal.once import Once, SealRequestReused
from seal.reads import Seal, SealNotFound, Wanted, find_seals, history_of, list_applications, pictures_of, resolve
from seal.reviewing import review_seal
from seal.statistics import statistics
from seal.succession import Changes, succeed

MANAGE, READ = "seals:manage", "seals:read"
PAGE = 50
router = APIRouter(prefix="/api/v1/seals", tags=["seals"])
Line = Annotated[str, StringConstraints(max_length=500)]
_NO_STORE = {"Cache-Control": "no-store"}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DocumentBody(_Body):
    """A document a step rests on. ``kind``: a value of ``seal.motives.DocumentKind``; ``sha256``: of its octets, hexadecimal."""

    kind: Line
    sha256: Line
    name: Line


class WhyBody(_Body):
    """``reason_code``: of the table in ``docs/seals.md``, the step's usual one without it; ``reason``: words."""

    reason_code: Line = ""
    reason: Line = ""
    documents: Annotated[list[DocumentBody], Field(max_length=20)] = []

    def why(self) -> Why:
        return Why(self.reason_code, self.reason, read_papers(one.model_dump() for one in self.documents))


class ImpressionBody(_Body):
    """An uploaded picture of an impression, base64, and its real size in millimetres; what lies outside of ``shape`` is cut off."""

    content: Annotated[str, StringConstraints(max_length=8 << 20)]
    media_type: MediaType
    width_mm: float
    height_mm: float
    shape: Shape = Shape.ROUND

    def upload(self) -> Upload:
        try:
            content = base64.b64decode(self.content, validate=True)
        except binascii.Error as error:
            raise InvalidInput("no base64", errors=[{"field": "impression.content", "message": "no base64"}]) from error
        return Upload(content, self.media_type, self.width_mm, self.height_mm, self.shape)


class OrderBody(WhyBody):
    """What is ordered. ``organisation`` and its name default to those of whoever asks; ``division`` to the organisation's."""

    name: Line
    kind: Line
    organisation: Line | None = None
    organisation_name: Line | None = None
    division: Line | None = None
    lower_text: Line | None = None
    valid_from: AwareDatetime
    valid_to: AwareDatetime
    ses_version: int = DEFAULT_VERSION
    document_signer: Line | None = None
    seal_signer: Line | None = None
    maker: Line | None = None
    signer_list: SignerList = SignerList.CERTIFICATES
    look: dict[str, Any] | None = None
    impression: ImpressionBody | None = None

    def order(self, organisation: str, organisation_name: str, division: str) -> SealOrder:
        members: dict[str, Any] = self.model_dump(include=_ORDERED)
        members |= {"organisation": organisation, "organisation_name": organisation_name, "division": division}
        if self.look is not None:
            members["look"] = look_of(self.look)
        return SealOrder(**members, impression=self.impression.upload() if self.impression else None)


_ORDERED = {
    "name", "kind", "lower_text", "valid_from", "valid_to", "ses_version", "document_signer", "seal_signer", "maker", "signer_list",
}  # fmt: skip


def look_of(members: dict[str, Any]) -> SealLook:
    try:
        return SealLook.from_json(members)
    except TypeError as error:
        raise InvalidInput("a member nobody knows", errors=[{"field": "look", "message": "unknown member or wrong type"}]) from error


class ChangesBody(WhyBody):
    """What the new seal has otherwise; a re-making changes no words."""

    name: Line | None = None
    organisation_name: Line | None = None
    lower_text: Line | None = None
    valid_from: AwareDatetime | None = None
    valid_to: AwareDatetime | None = None
    document_signer: Line | None = None
    seal_signer: Line | None = None
    maker: Line | None = None

    def changes(self) -> Changes:
        return Changes(**self.model_dump(exclude={"reason_code", "reason", "documents"}))


class UpToBody(_Body):
    """Everything up to this notice was seen."""

    up_to: int


async def manager(request: Request) -> Actor:
    """Whoever sent a token of scope ``seals:manage`` for a person with two factors."""
    actor = await require_scope(request, MANAGE)
    require_two_factors(actor)
    return actor


async def reader(request: Request) -> Actor:
    """Whoever sent a token of scope ``seals:read`` or ``seals:manage``."""
    house: House = request.app.state.house
    actor = await authenticate_bearer(house.database.hot, house.clock.now(), bearer_token(request))
    if actor is not None and MANAGE in actor.scopes:
        return await manager(request)
    if actor is not None and READ not in actor.scopes:
        raise InsufficientScope(READ)
    return await require_scope(request, READ)


Manager = Annotated[Actor, Depends(manager)]
Reader = Annotated[Actor, Depends(reader)]


def _answer(seal: Seal, status: int = 200) -> Response:
    location = {"Location": f"/api/v1/seals/{seal.id}"} if status == 201 else {}
    return JSONResponse(seal_json(seal), status, _NO_STORE | location)


def _once(request: Request, body: BaseModel) -> Once:
    key = require_key(request.headers.get("idempotency-key"))
    return Once(key, hashlib.sha256(f"{request.url.path}\n{body.model_dump_json()}".encode()).digest())


async def _first(journey: Awaitable[Seal]) -> Seal:
    """A key used before for something else is refused as everywhere in this API."""
    try:
        return await journey
    except SealRequestReused as error:
        raise IdempotencyKeyReused from error


async def _seen(house: House, actor: Actor, reference: str) -> Seal:
    async with house.database.session() as session:
        return seen(actor, await resolve(session, reference))


# --- looking -------------------------------------------------------------------------------------------------------------------


@router.get("")
async def list_seals(
    request: Request,
    actor: Reader,
    organisation: Line | None = None,
    status: Status | None = None,
    kind: SealKind | None = None,
    cursor: Line | None = None,
) -> Response:
    """Seals and applications, the latest application first: of the own organisation, or of an administrator's division."""
    house: House = request.app.state.house
    wide = bool(actor.roles & {Role.SECURITY_ADMIN, Role.SYSTEM_ADMIN, Role.AUDITOR})
    wanted = Wanted(organisation if wide else actor.organisation or "", actor.division if wide else None, status, kind)
    before = (await _seen(house, actor, cursor)).id if cursor else None
    async with house.database.session() as session:
        found = await find_seals(session, wanted, before=before, limit=PAGE)
    following = str(found[-1].id) if len(found) == PAGE else None
    return JSONResponse({"items": [seal_json(one) for one in found if may_see(actor, one)], "next_cursor": following}, headers=_NO_STORE)


@router.get("/applications")
async def applications(request: Request, actor: Manager) -> Response:
    """What waits for a reviewer in the administrator's division, oldest first."""
    async with request.app.state.house.database.session() as session:
        found = await list_applications(session, division=actor.division or "")
    shown = [seal_json(one) for one in found if Role.SECURITY_ADMIN in actor.roles]
    return JSONResponse({"items": shown, "next_cursor": None}, headers=_NO_STORE)


@router.get("/notices")
async def notices(
    request: Request, actor: Manager, before: int | None = None, unread: bool = False, limit: Annotated[int, Query(ge=1, le=200)] = PAGE
) -> Response:
    """What the keepers of the organisation are told, latest first."""
    async with request.app.state.house.database.session() as session:
        found = await notices_of(session, actor, before=before, unread=unread, limit=limit)
    following = found[-1].id if len(found) == limit else None
    return JSONResponse({"items": [notice_json(one) for one in found], "next_cursor": following}, headers=_NO_STORE)


@router.post("/notices/read")
async def read_notices(request: Request, actor: Manager, body: UpToBody) -> Response:
    """Every notice of the organisation up to this one was seen. Asking twice changes nothing."""
    house: House = request.app.state.house
    async with house.database.begin() as session:
        return JSONResponse({"marked": await mark_read(session, house.clock.now(), actor, body.up_to)}, headers=_NO_STORE)


@router.get("/statistics")
async def told(
    request: Request, actor: Reader, organisation: Line | None = None, months: Annotated[int, Query(ge=1, le=36)] = 12
) -> Response:
    """How many seals of which organisation, kind and status; uses by month."""
    house: House = request.app.state.house
    async with house.database.session() as session:
        found = await statistics(session, actor, house.clock.now(), organisation=organisation, months=months)
    return JSONResponse(statistics_json(found), headers=_NO_STORE)


@router.get("/{reference}")
async def get_seal(request: Request, actor: Reader, reference: str) -> Response:
    """One seal, by its code or by the identifier of its application."""
    return _answer(await _seen(request.app.state.house, actor, reference))


@router.get("/{reference}/history")
async def get_history(request: Request, actor: Reader, reference: str) -> Response:
    """Every step of its life, oldest first, with reasons and documents."""
    house: House = request.app.state.house
    seal = await _seen(house, actor, reference)
    async with house.database.session() as session:
        steps = await history_of(session, seal.id)
    return JSONResponse({"items": [change_json(one) for one in steps], "next_cursor": None}, headers=_NO_STORE)


@router.get("/{reference}/picture.{form}", response_class=Response)
async def get_picture(request: Request, actor: Reader, reference: str, form: str) -> Response:
    """The impression of a made seal, ``svg`` or ``png``."""
    house: House = request.app.state.house
    seal = await _seen(house, actor, reference)
    if form not in ("svg", "png"):
        raise NotFound("picture")
    async with house.database.session() as session:
        found = await pictures_of(session, seal.code)
    headers = _NO_STORE | {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(
        found.svg if form == "svg" else found.png, media_type="image/svg+xml" if form == "svg" else "image/png", headers=headers
    )


# --- moving --------------------------------------------------------------------------------------------------------------------


@router.post("", status_code=201)
async def post_seal(request: Request, actor: Manager, body: OrderBody) -> Response:
    """Apply for a seal: two other people review it. Header ``Idempotency-Key`` is required."""
    house: House = request.app.state.house
    once, order = _once(request, body), await _order(house, actor, body)
    names = RegisteredNames(house.database)
    return _answer(await _first(apply_for_seal(house.database, house.guard, actor, order, body.why(), once=once, register=names)), 201)


async def _order(house: House, actor: Actor, body: OrderBody) -> SealOrder:
    uscc = body.organisation or actor.organisation or ""
    async with house.database.session() as session:
        known = await get_organisation(session, uscc)
    name, division = body.organisation_name or (known.name if known else ""), body.division or (known.division if known else "")
    return body.order(uscc, name, division or actor.division or "")


async def _review(house: House, actor: Actor, seal: Seal, why: Why, once: Once) -> Seal:
    return await review_seal(house.database, house.clock, actor, seal.id, reason=why, once=once)


async def _reject(house: House, actor: Actor, seal: Seal, why: Why, once: Once) -> Seal:
    return await review_seal(house.database, house.clock, actor, seal.id, approved=False, reason=why, once=once)


async def _make(house: House, actor: Actor, seal: Seal, why: Why, once: Once) -> Seal:
    return await make_reviewed_seal(house.database, house.keystore, house.guard, actor, seal.id, why, once)


async def _activate(house: House, actor: Actor, seal: Seal, why: Why, once: Once) -> Seal:
    return await activate_seal(house.database, house.clock, actor, _code(seal), why, once)


Step = Callable[[House, Actor, Seal, Why, Once], Awaitable[Seal]]


def _moving(move: Move) -> Step:
    async def step(house: House, actor: Actor, seal: Seal, why: Why, once: Once) -> Seal:
        return await move_seal(house.database, house.clock, actor, _code(seal), move, why, once)

    return step


def _code(seal: Seal) -> str:
    if not seal.code:
        raise SealNotFound(f"{seal.id} is not made yet")
    return seal.code


_STEPS: dict[str, tuple[Step, str]] = {
    "review": (_review, "Agree to an application; the second of two people who agree ends the review."),
    "reject": (_reject, "Refuse an application."),
    "make": (_make, "Make a reviewed seal: code, impression, keys, certificates, structure."),
    "file": (_moving(Move.FILE), "File a made seal under its code (备案)."),
    "activate": (_activate, "From now on it may be used; the seal whose place it takes ends at the same instant."),
    "suspend": (_moving(Move.SUSPEND), "Stop a seal for now; its certificates are on hold."),
    "resume": (_moving(Move.RESUME), "Let a suspended seal be used again."),
    "report-lost": (_moving(Move.REPORT_LOST), "Control over the seal was lost; its certificates are revoked."),
    "cancel": (_moving(Move.CANCEL), "The end of the seal; its code is never given again."),
    "file-cancellation": (_moving(Move.FILE_CANCELLATION), "File the cancellation."),
}


def _add_step(name: str, step: Step, description: str) -> None:
    async def endpoint(request: Request, actor: Manager, reference: str, body: WhyBody) -> Response:
        house: House = request.app.state.house
        once, why = _once(request, body), body.why()
        return _answer(await _first(step(house, actor, await _seen(house, actor, reference), why, once)))

    _add(name, endpoint, f"{description} Header `Idempotency-Key` is required.")


def _add_succession(succession: Succession, description: str) -> None:
    async def endpoint(request: Request, actor: Manager, reference: str, body: ChangesBody) -> Response:
        house: House = request.app.state.house
        once, why, changes = _once(request, body), body.why(), body.changes()
        seal = await _seen(house, actor, reference)
        names = RegisteredNames(house.database)
        made = succeed(house.database, house.guard, actor, _code(seal), succession, changes, why, once, names)
        return _answer(await _first(made), 201)

    _add(succession.value, endpoint, f"{description} Header `Idempotency-Key` is required.", 201)


def _add(name: str, endpoint: Callable[..., Awaitable[Response]], description: str, status: int = 200) -> None:
    word = name.replace("-", "_")
    router.add_api_route(
        f"/{{reference}}/{name}",
        endpoint,
        methods=["POST"],
        status_code=status,
        name=f"post_{word}_seal",
        operation_id=f"post_{word}_seal",
        description=description,
    )


for _name, (_step, _description) in _STEPS.items():
    _add_step(_name, _step, _description)
_add_succession(Succession.CHANGE, "Order a seal with another name, other words or another period in the place of this one.")
_add_succession(Succession.REMAKE, "Order the same seal again: damaged, lost, expired, or its certificate was re-issued.")
