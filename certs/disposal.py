"""Disposing of what was kept long enough: one person proposes, another agrees, and what is left says that there was a certificate.

1. propose    the certificates that are due, as a list; with two factors
2. agree      another person of the same organisation; or refuse, and the list is closed
3. erase      each in a transaction of its own, asked again whether it is due and not held: fields, holders and search words go, the
              record stays as a tombstone with its number, identifier, dates and history, and verifies as *disposed*
4. forget     the files, once nothing refers to them. A killed process's rest is done by the next
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, select, update

from certs.archiving import subject
from certs.copy_records import drop_files_of
from certs.grounds import check_reason
from certs.library_models import DisposalItemRow, DisposalRow, SearchQueueRow, SearchRow
from certs.models import CertificateRow, HolderRow, IssuingRow
from certs.records import DISPOSED
from certs.retention import due, is_over
from certs.scan_sealing import drop_scan_of
from certs.stored_files import referred_to
from keys.base.actor import Actor, ActorKind, Role
from keys.base.blobs import BlobStore
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden, FujieError, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event
from seal.upgrade_ending import stop_keeping

MOST_AT_ONCE = 10_000
_MAY = frozenset({Role.APPROVER, Role.SECURITY_ADMIN})
DONE = "disposed"


class State(StrEnum):
    PROPOSED = "proposed"
    AGREED = "agreed"
    REFUSED = "refused"
    DONE = "done"


class NothingDue(Conflict):
    """No certificate of the type has been kept long enough."""

    code = "NOTHING_DUE"
    public = ("没有到期可销毁的证照。", "No certificate is due to be disposed of.")


class MayNotDispose(Forbidden):
    """Approvers and security administrators dispose, logged in with two factors."""

    code = "MAY_NOT_DISPOSE"
    public = ("销毁须由审批人或安全管理员以双因素登录办理。", "Approvers and security administrators dispose of records, with two factors.")


class SamePersonTwice(Forbidden):
    """Whoever proposed may not agree."""

    code = "DISPOSAL_NEEDS_TWO"
    public = ("提出人不能同意自己提出的销毁，须由另一人办理。", "Another person than the one who proposed it must agree.")


class DisposalDecided(Conflict):
    """Somebody has agreed or refused already."""

    code = "DISPOSAL_DECIDED"
    public = ("该销毁清单已有决定。", "This list was decided already.")


@dataclass(frozen=True, slots=True)
class Disposing:
    """What disposal needs."""

    database: Database
    clock: Clock
    blobs: BlobStore


@dataclass(frozen=True, slots=True)
class Disposal:
    """A list. ``disposed``: how many are gone; ``kept``: how many something kept, by the code of what it was."""

    id: uuid.UUID
    organisation: str
    type_code: str
    reason: str
    state: State
    proposed_at: dt.datetime
    proposed_by: str
    decided_by: str | None
    certificates: int
    disposed: int
    kept: dict[str, int]


async def propose(disposing: Disposing, actor: Actor, type_code: str, reason: str) -> Disposal:
    """Step 1. Raises :class:`MayNotDispose`, :class:`NothingDue`, ``ReasonRequired``."""
    now = disposing.clock.now()
    try:
        organisation, why = require_disposer(actor), check_reason(reason)
        async with disposing.database.begin() as session:
            found = await due(session, now, organisation, type_code, MOST_AT_ONCE)
            if not found:
                raise NothingDue
            row = DisposalRow(
                id=new_id(), organisation=organisation, type_code=type_code, reason=why, state=State.PROPOSED.value,
                proposed_at=now, proposed_by=_person(actor), decided_at=None, decided_by=None,
            )  # fmt: skip
            session.add(row)
            await session.flush()
            session.add_all(DisposalItemRow(disposal_id=row.id, certificate_id=one, outcome=None, files=[], done_at=None) for one in found)
            details: dict[str, JSON] = {"type": type_code, "certificates": len(found), "reason": audit.digest(why)}
            await audit.record(session, now, Event("certs.disposal.propose", f"disposal:{row.id}", audit.Outcome.DONE, actor, details))
            await session.flush()
            return await disposal_of(session, row)
    except FujieError as error:
        await _refused(disposing, actor, "propose", f"certificate-type:{type_code[:40]}", error)
        raise


async def decide(disposing: Disposing, actor: Actor, disposal_id: uuid.UUID, *, agree: bool) -> Disposal:
    """Step 2; where somebody agreed, steps 3 and 4 follow. Raises :class:`SamePersonTwice`, :class:`DisposalDecided`, ``NotFound``."""
    now, name = disposing.clock.now(), "agree" if agree else "refuse"
    try:
        organisation = require_disposer(actor)
        async with disposing.database.begin() as session:
            row = await session.get(DisposalRow, disposal_id, with_for_update=True)
            if row is None or row.organisation != organisation:
                raise NotFound("disposal")
            if row.state != State.PROPOSED:
                raise DisposalDecided
            if agree and row.proposed_by["id"] == actor.id:
                raise SamePersonTwice
            row.state, row.decided_at, row.decided_by = State.AGREED.value if agree else State.REFUSED.value, now, _person(actor)
            await audit.record(session, now, Event(f"certs.disposal.{name}", f"disposal:{disposal_id}", audit.Outcome.DONE, actor))
    except FujieError as error:
        await _refused(disposing, actor, name, f"disposal:{disposal_id}", error)
        raise
    if agree:
        await carry_out(disposing, disposal_id)
    return await read_disposal(disposing.database, actor, disposal_id)


async def read_disposal(database: Database, actor: Actor, disposal_id: uuid.UUID) -> Disposal:
    """A list of the actor's organisation, or ``NotFound``."""
    async with database.session() as session:
        row = await session.get(DisposalRow, disposal_id)
        if row is None or (actor.kind is not ActorKind.SYSTEM and row.organisation != actor.organisation):
            raise NotFound("disposal")
        return await disposal_of(session, row)


async def carry_out_waiting(disposing: Disposing) -> int:
    """In the background: lists that were agreed to and not finished; how many."""
    async with disposing.database.session() as session:
        waiting = list(await session.scalars(select(DisposalRow.id).where(DisposalRow.state == State.AGREED.value)))
    for one in waiting:
        await carry_out(disposing, one)
    return len(waiting)


async def carry_out(disposing: Disposing, disposal_id: uuid.UUID) -> None:
    """Steps 3 and 4. It can be run again, and by several at once: every item has one turn."""
    waiting = select(DisposalItemRow.certificate_id).where(DisposalItemRow.disposal_id == disposal_id, DisposalItemRow.done_at.is_(None))
    async with disposing.database.session() as session:
        items = list(await session.scalars(waiting.order_by(DisposalItemRow.certificate_id)))
    for certificate_id in items:
        files = await _erase(disposing, disposal_id, certificate_id)
        await _forget(disposing, files)
        await _close(disposing, disposal_id, certificate_id)
    async with disposing.database.begin() as session:
        await session.execute(
            update(DisposalRow).where(DisposalRow.id == disposal_id, DisposalRow.state == State.AGREED.value).values(state=State.DONE.value)
        )


async def _erase(disposing: Disposing, disposal_id: uuid.UUID, certificate_id: uuid.UUID) -> list[bytes]:
    """One certificate becomes its tombstone; the files that nobody names any more."""
    now = disposing.clock.now()
    async with disposing.database.begin() as session:
        item = await session.get_one(DisposalItemRow, (disposal_id, certificate_id), with_for_update=True)
        if item.outcome is not None:
            return [bytes.fromhex(one) for one in item.files]
        row = await session.get_one(CertificateRow, certificate_id, with_for_update=True)
        if not await is_over(session, now, certificate_id, row.type_code):
            item.outcome = "NOT_DUE"
            return []
        files = await _make_tombstone(session, row)
        item.outcome, item.files = DONE, [one.hex() for one in files]
        decided = (await session.get_one(DisposalRow, disposal_id)).decided_by or {}
        details: dict[str, JSON] = {"disposal": str(disposal_id), "agreed_by": decided.get("id"), "files": list(item.files)}
        actor = Actor(ActorKind.SYSTEM, "disposal", "disposal")
        await audit.record(session, now, Event("certs.dispose", f"certificate:{certificate_id}", audit.Outcome.DONE, actor, details))
        return files


async def _make_tombstone(session: AsyncSession, row: CertificateRow) -> list[bytes]:
    work = await session.get(IssuingRow, row.id)
    named = [row.document_hash, work.unsealed_hash if work else None, *await stop_keeping(session, subject(row.id))]
    named += [*await drop_files_of(session, row.id), *await drop_scan_of(session, row.id)]
    row.fields, row.flags, row.document_hash = {}, [*row.flags, DISPOSED], None
    if work is not None:
        work.unsealed_hash, work.approval = None, {"unattended": False, "move": None, "reason": "", "window": None}
    nobody = {"name": "", "code": None, "code_masked": "", "code_index": b"", "code_sealed": None}
    await session.execute(update(HolderRow).where(HolderRow.certificate_id == row.id).values(**nobody))
    for table in (SearchRow, SearchQueueRow):
        await session.execute(delete(table).where(table.certificate_id == row.id))
    return sorted({one for one in named if one is not None})


async def _forget(disposing: Disposing, files: list[bytes]) -> None:
    if not files:
        return
    async with disposing.database.session() as session:
        named = await referred_to(session, files)
    for digest in files:
        if digest not in named:
            await disposing.blobs.forget(digest)


async def _close(disposing: Disposing, disposal_id: uuid.UUID, certificate_id: uuid.UUID) -> None:
    async with disposing.database.begin() as session:
        item = await session.get_one(DisposalItemRow, (disposal_id, certificate_id))
        item.done_at = disposing.clock.now()


async def disposal_of(session: AsyncSession, row: DisposalRow) -> Disposal:
    """A list as it stands."""
    outcome = DisposalItemRow.outcome
    statement = select(outcome, func.count()).where(DisposalItemRow.disposal_id == row.id).group_by(outcome)
    counts: dict[str | None, int] = {found[0]: found[1] for found in await session.execute(statement)}
    kept = {name: number for name, number in counts.items() if name not in (None, DONE)}
    return Disposal(
        row.id, row.organisation, row.type_code, row.reason, State(row.state), row.proposed_at, row.proposed_by["name"],
        (row.decided_by or {}).get("name"), sum(counts.values()), counts.get(DONE, 0), kept,
    )  # fmt: skip


def require_disposer(actor: Actor) -> str:
    """The organisation that a person with the right and two factors disposes for. Raises :class:`MayNotDispose`."""
    if not may_dispose(actor) or actor.organisation is None:
        raise MayNotDispose
    return actor.organisation


def may_dispose(actor: Actor) -> bool:
    """What a page offers. Pure."""
    return actor.kind is ActorKind.PERSON and bool(actor.roles & _MAY) and actor.authenticator >= 2 and actor.organisation is not None


def _person(actor: Actor) -> dict[str, Any]:
    return {"id": actor.id, "name": actor.name}


async def _refused(disposing: Disposing, actor: Actor, step: str, what: str, error: FujieError) -> None:
    event = Event(f"certs.disposal.{step}", what, audit.Outcome.REFUSED, actor, code=error.code)
    await audit.record_alone(disposing.database, disposing.clock.now(), event)
