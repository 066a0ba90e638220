"""Reading certificates: by id, and the file. Every fetch of a file is logged with its purpose; searches are ``certs.finding``.

A purpose (≤ 200 characters) is mandatory (GB/T 36906); whoever may not see a certificate is told that there is none.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from sqlalchemy import select

from certs.access import may_read
from certs.approvals import is_clean
from certs.archiving import newest
from certs.catalogue import CertificateType, order_fields
from certs.models import AccessRow
from certs.privacy import holds_number
from certs.reads import get_certificate, is_held_by, type_of, types_of
from certs.reads import history as history_of
from certs.records import Certificate, HistoryEntry, Stage
from identity.people import holder_index_of
from identity.personal_data import PersonalData
from keys.base.actor import Actor, ActorKind
from keys.base.blobs import BlobStore
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event

MAX_PURPOSE = 200


class PurposeRequired(FujieError):
    """A fetch or search came without a reason for use."""

    code = "PURPOSE_REQUIRED"
    status = 400
    public = (
        "请说明用途：Purpose 头，百分号编码的 UTF-8，1–200 字，不含证件号码。",
        "State the purpose: header Purpose, percent-encoded UTF-8, 1–200 characters, without ID numbers.",
    )


class DocumentNotHeld(NotFound):
    """The record has no document here: it was imported without one."""

    code = "DOCUMENT_NOT_HELD"
    public = ("本系统没有该证照的文件。", "The certificate's file is not held here.")


@dataclass(frozen=True, slots=True)
class Access:
    """Somebody looked: ``kind`` file, view, search, export …; ``organisation``: for whom, a USCC."""

    at: dt.datetime
    kind: str
    purpose: str
    actor_kind: str
    actor_id: str
    organisation: str | None


@dataclass(frozen=True, slots=True)
class Library:
    """What reading needs."""

    database: Database
    clock: Clock
    blobs: BlobStore
    personal: PersonalData


def check_purpose(purpose: str) -> str:
    """The purpose as it is logged; raises :class:`PurposeRequired`."""
    text = purpose.strip()
    if not 0 < len(text) <= MAX_PURPOSE or not is_clean(text) or holds_number(text):
        raise PurposeRequired
    return text


def decode_purpose(header: str | None) -> str:
    """The purpose in a ``Purpose`` header: percent-encoded UTF-8. Raises :class:`PurposeRequired`."""
    try:
        return check_purpose(unquote_to_bytes(header or "").decode())
    except UnicodeDecodeError:
        raise PurposeRequired from None


async def read(library: Library, actor: Actor, certificate_id: uuid.UUID) -> tuple[Certificate, CertificateType | None]:
    """The certificate with its type, or ``NotFound``."""
    async with library.database.session() as session:
        certificate = await readable(session, actor, certificate_id)
        return certificate, await type_of(session, certificate)


async def read_history(library: Library, actor: Actor, certificate_id: uuid.UUID) -> tuple[HistoryEntry, ...]:
    """All operations on the certificate, oldest first, or ``NotFound``."""
    async with library.database.session() as session:
        await readable(session, actor, certificate_id)
        return await history_of(session, certificate_id)


async def file_of(library: Library, actor: Actor, certificate_id: uuid.UUID, purpose: str) -> bytes:
    """The sealed PDF, in its newest version. The access is committed before the file is handed out; the hash is checked again on reading.

    Raises ``NotFound``, :class:`PurposeRequired`, :class:`DocumentNotHeld`, ``BlobDamaged``.
    """
    reason, now = check_purpose(purpose), library.clock.now()
    async with library.database.begin() as session:
        certificate = await readable(session, actor, certificate_id)
        if certificate.stage is not Stage.ISSUED or certificate.document_hash is None:
            raise DocumentNotHeld
        session.add(access_row(library, actor, "file", reason, certificate_id))
        document_hash = await newest(session, certificate.document_hash)
        details: dict[str, JSON] = {"purpose": audit.digest(reason), "document": document_hash.hex()}
        await audit.record(session, now, Event("certs.file.fetch", f"certificate:{certificate_id}", audit.Outcome.DONE, actor, details))
    return await library.blobs.get(document_hash)


async def access_history(library: Library, actor: Actor, certificate_id: uuid.UUID, limit: int = 100) -> tuple[Access, ...]:
    """Who looked at the certificate and why, newest first, or ``NotFound``."""
    async with library.database.session() as session:
        await readable(session, actor, certificate_id)
        accesses = select(AccessRow).where(AccessRow.certificate_id == certificate_id)
        rows = await session.scalars(accesses.order_by(AccessRow.at.desc(), AccessRow.id.desc()).limit(limit))
        return tuple(to_access(row) for row in rows)


async def log_view(library: Library, actor: Actor, certificate: Certificate, purpose: str) -> None:
    """Somebody of the issuer read the record on a page: the holder sees it."""
    now = library.clock.now()
    async with library.database.begin() as session:
        session.add(access_row(library, actor, "view", check_purpose(purpose), certificate.id))
        await audit.record(session, now, Event("certs.view", f"certificate:{certificate.id}", audit.Outcome.DONE, actor))


def to_access(row: AccessRow) -> Access:
    """The view of a row."""
    return Access(row.at, row.kind, row.purpose, row.actor_kind, row.actor_id, row.organisation)


async def kinds_of(library: Library, certificates: Sequence[Certificate]) -> tuple[CertificateType | None, ...]:
    """The type of each, in the version it was issued under, to name and order its fields."""
    async with library.database.session() as session:
        found = await types_of(session, certificates)
    return tuple(found.get((one.type_code, one.type_version)) for one in certificates)


def ordered_fields(certificate: Certificate, kind: CertificateType | None) -> tuple[tuple[str, str], ...]:
    """The fields in the type's order; those of an imported record as they come."""
    if kind is None or certificate.flags or not kind.fields:
        return tuple(certificate.fields.items())
    try:
        return order_fields(kind, certificate.fields)
    except InvalidInput:
        return tuple(certificate.fields.items())


async def readable(session: AsyncSession, actor: Actor, certificate_id: uuid.UUID) -> Certificate:
    """The certificate, if the actor may read it, or ``NotFound``."""
    certificate = await get_certificate(session, certificate_id)
    if certificate is None or certificate.stage is Stage.VOID:
        raise NotFound("certificate")
    own = await own_index(session, actor)
    is_holder = own is not None and certificate.stage is Stage.ISSUED and await is_held_by(session, certificate_id, own)
    if not may_read(certificate, actor, is_holder=is_holder):
        raise NotFound("certificate")
    return certificate


async def own_index(session: AsyncSession, actor: Actor) -> bytes | None:
    """The blind index of the number bound to a person's account."""
    if actor.kind is not ActorKind.PERSON:
        return None
    try:
        return await holder_index_of(session, uuid.UUID(actor.id))
    except ValueError:
        return None


def access_row(library: Library, actor: Actor, kind: str, purpose: str, certificate_id: uuid.UUID | None) -> AccessRow:
    """Who looked, when and why; the holder sees it."""
    return AccessRow(
        id=new_id(), certificate_id=certificate_id, at=library.clock.now(), kind=kind, purpose=purpose,
        actor_kind=actor.kind.value, actor_id=actor.id, organisation=actor.organisation,
    )  # fmt: skip
