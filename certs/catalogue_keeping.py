"""How the catalogue of certificate types changes. Each journey is one transaction: check, move, history, audit.

:func:`write_type`     a new type's first draft, or a copy of another type under a new code
:func:`write_version`  the next version of a type, begun from the one in force
:func:`edit_version`   another definition in a draft
:func:`take_step`      submit, send back, publish, retire, abandon

Whoever changes something names the digest of what they saw: what somebody else changed meanwhile is not overwritten, and a reviewer
publishes what the reviewer read. Every refusal is audited in a transaction of its own.
"""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from certs.approvals import IdempotencyKeyReused, is_clean
from certs.catalogue import CertificateType, parse_type
from certs.catalogue_access import check_move
from certs.catalogue_models import CatalogueRequestRow, TypeVersionRow
from certs.models import TypeRow
from certs.privacy import holds_number
from certs.type_lifecycle import OPEN, TypeMove, TypeMoveNotAllowed, TypeStatus
from certs.type_rows import add_versions, move_version, refresh, rewrite
from certs.type_rules import check_type
from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, FujieError, InvalidInput, NotFound
from keys.evidence.audit import JSON, Event, Outcome, digest, record, record_alone

MAX_REASON = 400
STEPS = (TypeMove.SUBMIT, TypeMove.SEND_BACK, TypeMove.PUBLISH, TypeMove.RETIRE, TypeMove.ABANDON)
"""The moves of :func:`take_step`."""
_TELLS_WHY = frozenset({TypeMove.SEND_BACK, TypeMove.RETIRE, TypeMove.ABANDON})


class TypeUnknown(NotFound):
    """There is no such type, or no such version of it."""

    code = "CERTIFICATE_TYPE_UNKNOWN"
    public = ("目录中没有该证照类型或该版本。", "The catalogue has no such type, or no such version of it.")


class TypeExists(Conflict):
    """The code is taken."""

    code = "CERTIFICATE_TYPE_EXISTS"
    public = ("该证照类型代码已在目录中。", "A type with this code stands in the catalogue already.")


class VersionBeingWritten(Conflict):
    """``extra['version']`` is the version that somebody is working on: there is one at a time."""

    code = "CERTIFICATE_TYPE_BEING_WRITTEN"
    public = ("该证照类型已有一个版本在起草或审核中。", "Another version of this type is being written or reviewed.")


class TypeChangedMeanwhile(Conflict):
    """The digest is not that of the version as it stands."""

    code = "CERTIFICATE_TYPE_CHANGED"
    public = ("该版本刚刚被他人修改，请刷新后重新查看。", "Somebody else has just changed this version. Reload and look at it again.")


class TypeReasonMissing(InvalidInput):
    """Sending back, retiring and abandoning need a reason: it is kept in the history."""

    code = "CATALOGUE_REASON_MISSING"
    public = ("请说明理由（1–400 字，不含证件号码）。", "Please give a reason (1–400 characters, without ID numbers).")


@dataclass(frozen=True, slots=True)
class Once:
    """An ``Idempotency-Key``; ``digest`` is what the request is recognised by."""

    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A version as it stands after a journey."""

    code: str
    version: int
    status: TypeStatus
    digest: bytes


async def write_type(
    database: Database, clock: Clock, actor: Actor, kind: CertificateType, reason: str = "", once: Once | None = None
) -> Kept:
    """The first draft of a new type. Raises ``TypeMalformed``, ``CatalogueForbidden``, :class:`TypeExists`."""
    draft = replace(kind, version=1)
    async with refusals_audited(database, clock, TypeMove.WRITE, kind.code, actor), database.begin() as session:
        now = clock.now()
        check_type(draft)
        check_move(actor, TypeMove.WRITE, draft)
        if done := await _claimed(session, now, actor, once, kind.code, 1):
            return done
        await _lock_code(session, kind.code)
        if await session.get(TypeRow, kind.code) is not None:
            raise TypeExists(kind.code)
        await add_versions(session, now, actor, [draft], TypeMove.WRITE, checked_reason(TypeMove.WRITE, reason))
        return await _told(session, now, actor, TypeMove.WRITE, kind.code, 1, reason)


async def write_version(
    database: Database, clock: Clock, actor: Actor, code: str, kind: CertificateType | None = None, reason: str = "",
    once: Once | None = None,
) -> Kept:  # fmt: skip
    """The next version, as a draft: of what ``kind`` says, else as the newest version is.

    Raises ``TypeMalformed``, ``CatalogueForbidden``, :class:`TypeUnknown`, :class:`VersionBeingWritten`.
    """
    async with refusals_audited(database, clock, TypeMove.WRITE, code, actor), database.begin() as session:
        now = clock.now()
        rows = await _versions(session, code)
        newest = parse_type(rows[-1].definition)
        check_move(actor, TypeMove.WRITE, newest)
        if done := await _claimed(session, now, actor, once, code, rows[-1].version + 1):
            return done
        if open_one := next((one for one in rows if TypeStatus(one.status) in OPEN), None):
            raise VersionBeingWritten(code, version=open_one.version)
        draft = replace(kind or _in_force(rows), code=code, version=rows[-1].version + 1)
        check_type(draft)
        await add_versions(session, now, actor, [draft], TypeMove.WRITE, checked_reason(TypeMove.WRITE, reason))
        await refresh(session, now, code)
        return await _told(session, now, actor, TypeMove.WRITE, code, draft.version, reason)


async def edit_version(
    database: Database, clock: Clock, actor: Actor, kind: CertificateType, seen: bytes, reason: str = "", once: Once | None = None
) -> Kept:
    """``kind`` names code and version. Raises ``TypeMalformed``, ``CatalogueForbidden``, ``TypeMoveNotAllowed``,
    :class:`TypeUnknown`, :class:`TypeChangedMeanwhile`.
    """
    async with refusals_audited(database, clock, TypeMove.EDIT, kind.code, actor), database.begin() as session:
        now = clock.now()
        check_type(kind)
        row = await _locked(session, kind.code, kind.version)
        check_move(actor, TypeMove.EDIT, parse_type(row.definition))
        check_move(actor, TypeMove.EDIT, kind)  # nobody gives a type away to an organisation that is not theirs
        if done := await _claimed(session, now, actor, once, kind.code, kind.version):
            return done
        _require_seen(row, seen)
        await rewrite(session, now, row, kind, actor, checked_reason(TypeMove.EDIT, reason))
        await refresh(session, now, kind.code)
        return await _told(session, now, actor, TypeMove.EDIT, kind.code, kind.version, reason)


async def take_step(
    database: Database, clock: Clock, actor: Actor, code: str, version: int, move: TypeMove, *, seen: bytes, reason: str = "",
    once: Once | None = None,
) -> Kept:  # fmt: skip
    """One of :data:`STEPS`. Publishing retires the version in force before it, in the same transaction.

    Raises ``CatalogueForbidden``, ``SamePerson``, ``TypeMoveNotAllowed``, :class:`TypeUnknown`, :class:`TypeChangedMeanwhile`,
    :class:`TypeReasonMissing`.
    """
    async with refusals_audited(database, clock, move, code, actor), database.begin() as session:
        return await step_within(session, clock.now(), actor, code, version, move, seen=seen, reason=reason, once=once)


async def step_within(
    session: AsyncSession, now: dt.datetime, actor: Actor, code: str, version: int, move: TypeMove, *, seen: bytes, reason: str,
    once: Once | None = None,
) -> Kept:  # fmt: skip
    """The inside of :func:`take_step`, in the caller's transaction."""
    if move not in STEPS:
        raise TypeMoveNotAllowed(move)
    row = await _locked(session, code, version)
    check_move(actor, move, parse_type(row.definition), row.writers)
    if done := await _claimed(session, now, actor, once, code, version):
        return done
    _require_seen(row, seen)
    told = checked_reason(move, reason)
    if move is TypeMove.PUBLISH:
        await _supersede(session, now, actor, code, told)
    await move_version(session, now, row, move, actor, told)
    await refresh(session, now, code)
    return await _told(session, now, actor, move, code, version, reason)


def checked_reason(move: TypeMove, reason: str) -> str:
    """The reason as it is kept. Raises :class:`TypeReasonMissing`."""
    text = reason.strip()
    missing = not text and move in _TELLS_WHY
    if missing or len(text) > MAX_REASON or not is_clean(text) or holds_number(text):
        raise TypeReasonMissing(move, errors=[{"field": "reason", "message": f"1–{MAX_REASON} printable characters"}])
    return text


@asynccontextmanager
async def refusals_audited(database: Database, clock: Clock, move: str, code: str, actor: Actor) -> AsyncIterator[None]:
    """A refusal is audited in its own transaction, and goes on."""
    try:
        yield
    except FujieError as error:
        event = Event(f"certs.type.{move}", f"certificate-type:{code[:21]}", Outcome.REFUSED, actor, {}, error.code)
        await record_alone(database, clock.now(), event)
        raise


async def _supersede(session: AsyncSession, now: dt.datetime, actor: Actor, code: str, reason: str) -> None:
    for row in await _versions(session, code):
        if row.status == TypeStatus.PUBLISHED:
            await move_version(session, now, row, TypeMove.SUPERSEDE, actor, reason)


async def _versions(session: AsyncSession, code: str) -> list[TypeVersionRow]:
    """All versions, oldest first, locked by the entry of their type. Raises :class:`TypeUnknown`."""
    await session.execute(select(TypeRow.code).where(TypeRow.code == code).with_for_update())
    query = select(TypeVersionRow).where(TypeVersionRow.type_code == code).order_by(TypeVersionRow.version)
    rows = list(await session.scalars(query.execution_options(populate_existing=True)))
    if not rows:
        raise TypeUnknown(code[:21])
    return rows


async def _locked(session: AsyncSession, code: str, version: int) -> TypeVersionRow:
    found = next((one for one in await _versions(session, code) if one.version == version), None)
    if found is None:
        raise TypeUnknown(f"{code[:21]} version {version}")
    return found


def _in_force(rows: list[TypeVersionRow]) -> CertificateType:
    """What the next version is begun from: the one in force, else the newest."""
    return parse_type(next((one for one in rows if one.status == TypeStatus.PUBLISHED), rows[-1]).definition)


def _require_seen(row: TypeVersionRow, seen: bytes) -> None:
    if row.digest != seen:
        raise TypeChangedMeanwhile(f"{row.type_code} version {row.version}")


async def _lock_code(session: AsyncSession, code: str) -> None:
    """Two that write the same new type take turns."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(code, 0x7479706573))))


async def _claimed(session: AsyncSession, now: dt.datetime, actor: Actor, once: Once | None, code: str, version: int) -> Kept | None:
    """None where this is the first time; else the version an earlier request with this key was about, as it stands."""
    if once is None:
        return None
    values = {"actor_id": actor.id, "key": once.key, "digest": once.digest, "type_code": code, "version": version, "at": now}
    new = insert(CatalogueRequestRow).values(values).on_conflict_do_nothing()
    if await session.scalar(new.returning(CatalogueRequestRow.key)) is not None:
        return None
    row = await session.get_one(CatalogueRequestRow, (actor.id, once.key))
    if row.digest != once.digest:
        raise IdempotencyKeyReused(once.key)
    return await _kept(session, row.type_code, row.version)


async def _kept(session: AsyncSession, code: str, version: int) -> Kept:
    row = await session.get_one(TypeVersionRow, (code, version), populate_existing=True)
    return Kept(code, version, TypeStatus(row.status), row.digest)


async def _told(session: AsyncSession, now: dt.datetime, actor: Actor, move: TypeMove, code: str, version: int, reason: str) -> Kept:
    kept = await _kept(session, code, version)
    details: dict[str, JSON] = {
        "version": version, "status": kept.status.value, "definition": kept.digest.hex(), "reason": digest(reason),
    }  # fmt: skip
    await record(session, now, Event(f"certs.type.{move}", f"certificate-type:{code}", Outcome.DONE, actor, details))
    return kept
