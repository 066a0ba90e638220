"""Departments claim the items of a licence that absorbed theirs (多证合一), and what nobody claimed in time raises an alert.

A claim says: the department has taken the item into its own supervision. It is made by the department's clients, approvers and window
clerks, once. Overdue is what was not claimed by the end of its last day: the department is told by an event, the audit log has it, and
its pages show it, once; it can still be claimed.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import aliased

from certs.access import may_submit
from certs.approvals import is_clean
from certs.issuing_models import MergedItemRow
from certs.merging import item_payload
from certs.models import CertificateRow
from certs.outbox import write_event
from certs.privacy import holds_number
from certs.reads import holders_of
from certs.records import Holder
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.clock import Clock, civil_date
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, FujieError, InvalidInput, NotFound
from keys.evidence import audit
from keys.evidence.audit import Event

MAX_NOTE = 200
PAGE_SIZE = 50
_AT_ONCE = 200
_LOOK = frozenset({Role.AUDITOR, Role.SEAL_KEEPER})


class ItemNotFound(NotFound):
    """There is no such item, or it is another department's."""

    code = "MERGED_ITEM_NOT_FOUND"
    public = ("没有这个合并事项。", "There is no such merged item.")


class ItemClaimed(Conflict):
    """The department claimed it before."""

    code = "MERGED_ITEM_CLAIMED"
    public = ("该合并事项已认领。", "This merged item was claimed already.")


class ItemState(StrEnum):
    OPEN = "open"
    OVERDUE = "overdue"
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True)
class Item:
    """An item of an issued licence. ``absorbed``: the identifier of the certificate before it, where there was one."""

    id: uuid.UUID
    certificate_id: uuid.UUID
    identifier: str
    licence_name: str
    number: str
    issuer_name: str
    holders: tuple[Holder, ...]
    type_code: str
    name: str
    department: str
    absorbed: str | None
    opened_at: dt.datetime
    due_on: dt.date
    claimed_at: dt.datetime | None
    claimed_by: str | None
    note: str

    def state(self, today: dt.date) -> ItemState:
        """What is due today is not overdue yet."""
        if self.claimed_at is not None:
            return ItemState.CLAIMED
        return ItemState.OVERDUE if self.due_on < today else ItemState.OPEN


async def claim_item(database: Database, clock: Clock, actor: Actor, item_id: uuid.UUID, note: str = "") -> Item:
    """Claim it; the item as it stands after. Raises :class:`ItemNotFound`, :class:`ItemClaimed`, ``InvalidInput``."""
    try:
        return await _claim(database, clock.now(), actor, item_id, note.strip())
    except FujieError as error:
        event = Event("certs.merged.claim", f"merged-item:{item_id}", audit.Outcome.REFUSED, actor, code=error.code)
        await audit.record_alone(database, clock.now(), event)
        raise


async def _claim(database: Database, now: dt.datetime, actor: Actor, item_id: uuid.UUID, note: str) -> Item:
    if len(note) > MAX_NOTE or not is_clean(note) or holds_number(note):
        raise InvalidInput("note", errors=[{"field": "note", "message": f"at most {MAX_NOTE} printable characters, no ID number"}])
    async with database.begin() as session:
        row = await session.get(MergedItemRow, item_id, with_for_update=True)
        if row is None or row.opened_at is None or not may_submit(actor, row.department):
            raise ItemNotFound
        if row.claimed_at is not None:
            raise ItemClaimed
        row.claimed_at, row.claimed_by, row.note = now, actor.name, note
        await session.flush()
        (item,) = await _items(session, MergedItemRow.id == item_id, most=1)
        write_event(session, now, "merged_item.claimed", row.certificate_id, item_payload(row, item.identifier), to=(row.department,))
        await audit.record(session, now, Event("certs.merged.claim", f"merged-item:{item_id}", audit.Outcome.DONE, actor))
    return item


async def list_items(
    database: Database,
    clock: Clock,
    actor: Actor,
    state: ItemState | None = None,
    *,
    after: uuid.UUID | None = None,
    limit: int = PAGE_SIZE,
) -> tuple[list[Item], uuid.UUID | None]:
    """The items of the actor's department, the oldest first, and the id to go on after if there are more."""
    if not may_look(actor):
        return [], None
    wanted = [MergedItemRow.department == actor.organisation, *_in_state(state, civil_date(clock.now()))]
    if after is not None:
        wanted.append(MergedItemRow.id > after)
    async with database.session() as session:
        found = await _items(session, *wanted, most=limit + 1)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def may_look(actor: Actor) -> bool:
    """The department's clients and staff."""
    if actor.organisation is None:
        return False
    return may_submit(actor, actor.organisation) or (actor.kind is ActorKind.PERSON and bool(actor.roles & _LOOK))


def _in_state(state: ItemState | None, today: dt.date) -> list[ColumnElement[bool]]:
    match state:
        case ItemState.CLAIMED:
            return [MergedItemRow.claimed_at.is_not(None)]
        case ItemState.OVERDUE:
            return [MergedItemRow.claimed_at.is_(None), MergedItemRow.due_on < today]
        case ItemState.OPEN:
            return [MergedItemRow.claimed_at.is_(None), MergedItemRow.due_on >= today]
        case None:
            return []


async def _items(session: AsyncSession, *wanted: ColumnElement[bool], most: int) -> list[Item]:
    before = aliased(CertificateRow)
    query = (
        select(MergedItemRow, CertificateRow, before.identifier)
        .join(CertificateRow, CertificateRow.id == MergedItemRow.certificate_id)
        .outerjoin(before, before.id == MergedItemRow.absorbed_id)
        .where(MergedItemRow.opened_at.is_not(None), *wanted)
        .order_by(MergedItemRow.id)
        .limit(most)
    )
    rows = (await session.execute(query)).all()
    holders = await holders_of(session, [licence.id for _, licence, _ in rows])
    return [_view(row, licence, before, tuple(holders.get(licence.id, ()))) for row, licence, before in rows]


def _view(row: MergedItemRow, licence: CertificateRow, before: str | None, holders: tuple[Holder, ...]) -> Item:
    if row.opened_at is None or row.due_on is None:
        raise LookupError(f"merged item {row.id} is not open")
    return Item(
        row.id, licence.id, licence.identifier, licence.type_name, licence.number, licence.issuer_name, holders, row.type_code, row.name,
        row.department, before, row.opened_at, row.due_on, row.claimed_at, row.claimed_by, row.note,
    )  # fmt: skip


async def tell_overdue(database: Database, clock: Clock) -> int:
    """A background step: the alert of each item that was not claimed in time, once; how many there were."""
    now = clock.now()
    async with database.begin() as session:
        query = (
            select(MergedItemRow, CertificateRow.identifier, CertificateRow.issuer)
            .join(CertificateRow, CertificateRow.id == MergedItemRow.certificate_id)
            .where(MergedItemRow.claimed_at.is_(None), MergedItemRow.alerted_at.is_(None), MergedItemRow.due_on < civil_date(now))
            .order_by(MergedItemRow.due_on)
            .limit(_AT_ONCE)
            .with_for_update(of=MergedItemRow, skip_locked=True)
        )
        rows = (await session.execute(query)).all()
        for row, identifier, issuer in rows:
            row.alerted_at = now
            write_event(session, now, "merged_item.overdue", row.certificate_id, item_payload(row, identifier), to=(row.department, issuer))
            details: dict[str, audit.JSON] = {"department": row.department, "type": row.type_code}
            await audit.record(session, now, Event("certs.merged.overdue", f"merged-item:{row.id}", audit.Outcome.DONE, SYSTEM, details))
    return len(rows)


async def count_items(session: AsyncSession, department: str, today: dt.date) -> dict[ItemState, int]:
    """How many items of a department are in each state."""
    counts = {}
    for state in ItemState:
        query = select(func.count()).where(MergedItemRow.department == department, MergedItemRow.opened_at.is_not(None))
        counts[state] = (await session.execute(query.where(*_in_state(state, today)))).scalar_one()
    return counts
