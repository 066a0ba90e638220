"""Requests to seal documents as values: what is asked, what is answered, and what the journeys are given."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from keys.base.actor import Actor, ActorKind, Role
from keys.base.blobs import BlobStore
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.work import Workers
from keys.custody.store import KeyStore
from seal.document_errors import DocumentNotFound, RejectionNeedsReason, RequestForbidden, RequestKeyNeeded
from seal.document_levels import Level, Levels
from seal.document_lifecycle import RequestStatus
from seal.policy_facts import Place
from seal.rebuilding import Rebuilder

STAFF = frozenset({Role.APPROVER, Role.SEAL_KEEPER, Role.WINDOW_CLERK})
LONGEST_TITLE, LONGEST_REASON, LONGEST_KEY = 200, 400, 128


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """``person``, ``organisation``: octets that may wait to be sealed; ``days``: how long an upload is kept that nobody asks to seal."""

    person: int = 5120 << 20
    organisation: int = 51_200 << 20
    days: float = 30.0


@dataclass(frozen=True, slots=True)
class Sealing:
    """What the journeys need. ``gate`` tells the instant of what is sealed and raises while nothing may be; ``clock`` every other."""

    database: Database
    keystore: KeyStore
    clock: Clock
    gate: Clock
    workers: Workers
    blobs: BlobStore
    rebuilder: Rebuilder
    levels: Levels | None = None
    uploads: UploadLimits = field(default_factory=UploadLimits)


@dataclass(frozen=True, slots=True)
class Document:
    """An uploaded document. ``pages``: width and height in millimetres; hashes are SHA-256, 32 octets."""

    id: uuid.UUID
    organisation: str
    name: str
    source_hash: bytes
    document_hash: bytes
    octets: int
    pages: tuple[tuple[float, float], ...]
    removed: Mapping[str, int]
    not_embedded: tuple[str, ...]
    uploaded_at: dt.datetime


@dataclass(frozen=True, slots=True)
class SealLine:
    """One seal of an order. ``placements`` as :mod:`seal.stamp_plans` reads them."""

    seal_code: str
    matter_code: str
    placements: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class SealingOrder:
    """What is asked. ``certification``: 0 none, 1 P1, 2 P2; None: P1 for one seal, P2 for several. ``profile``: see ``seal.placing``.

    ``level``: of the file once every seal is on it, B-B, B-T, B-LT or B-LTA.
    """

    document_id: uuid.UUID
    title: str
    document_kind: str | None
    seals: tuple[SealLine, ...]
    certification: int | None = None
    profile: str = "pades"
    unattended: bool = False
    level: str = Level.B_B


@dataclass(frozen=True, slots=True)
class Approval:
    approver: str
    approver_name: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class RequestedSeal:
    """One seal of a request, in its order. ``digest``: what an approver agrees to; None until its turn has come."""

    position: int
    seal_code: str
    organisation: str
    matter_code: str
    plan: Mapping[str, Any]
    approvals_needed: int
    base_hash: bytes | None
    digest: bytes | None
    sealed_hash: bytes | None
    sealed_at: dt.datetime | None
    failure: str | None
    approvals: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True)
class SealRequest:
    """A request as others see it. ``position``: the seal that is due."""

    id: uuid.UUID
    document_id: uuid.UUID
    organisation: str
    title: str
    document_kind: str | None
    requester: str
    requester_name: str
    unattended: bool
    position: int
    status: RequestStatus
    status_since: dt.datetime
    created_at: dt.datetime
    seals: tuple[RequestedSeal, ...] = field(default=())

    @property
    def due(self) -> RequestedSeal:
        return self.seals[self.position]


@dataclass(frozen=True, slots=True)
class RequestMoveView:
    """One line of a request's history."""

    move: str
    new: str
    at: dt.datetime
    actor_kind: str
    actor_id: str
    position: int
    reason: str


def require_staff(actor: Actor) -> str:
    """The organisation of whoever asks: staff of one, a client of one, or the machine's administrator for one.

    Raises :class:`RequestForbidden`.
    """
    person = actor.kind is ActorKind.PERSON and bool(actor.roles & STAFF)
    if actor.organisation is None or not (person or actor.kind in (ActorKind.CLIENT, ActorKind.SYSTEM)):
        raise RequestForbidden(actor.kind)
    return actor.organisation


def require_sight(actor: Actor, organisations: Sequence[str], requester: str) -> None:
    """Whoever asked, the staff of the organisations concerned, the machine's administrator. Raises :class:`DocumentNotFound`."""
    if actor.kind is ActorKind.SYSTEM:
        return
    staff = actor.kind is ActorKind.PERSON and bool(actor.roles & STAFF) and actor.organisation in organisations
    if actor.id != requester and not staff:
        raise DocumentNotFound("not theirs")


def require_key(key: str | None) -> str:
    """Raises :class:`RequestKeyNeeded` unless it is 1–128 visible ASCII characters."""
    if not key or len(key) > LONGEST_KEY or not all("!" <= character <= "~" for character in key):
        raise RequestKeyNeeded
    return key


def require_reason(reason: str) -> str:
    """Raises :class:`RejectionNeedsReason`."""
    if not 1 <= len(reason.strip()) <= LONGEST_REASON:
        raise RejectionNeedsReason
    return reason.strip()


def kept_actor(actor: Actor, place: Place | None = None) -> dict[str, Any]:
    """An actor as they are now, and where, to be kept with what they decided."""
    values = asdict(actor) | {"place": asdict(place) if place else None}
    return values | {"roles": sorted(actor.roles), "scopes": sorted(actor.scopes), "kind": str(actor.kind)}


def read_actor(values: Mapping[str, Any]) -> Actor:
    """The actor that :func:`kept_actor` wrote down."""
    sets = {"roles": frozenset(Role(one) for one in values["roles"]), "scopes": frozenset(values["scopes"])}
    own = {name: value for name, value in values.items() if name != "place"}
    return Actor(**(own | sets | {"kind": ActorKind(values["kind"])}))


def read_place(values: Mapping[str, Any]) -> Place | None:
    """Where the actor was that :func:`kept_actor` wrote down."""
    return Place(**values["place"]) if values.get("place") else None
