"""A person leaves: the account is closed, the role is lost, the organisation is another. Their authority over seals ends at once.

What ends, in one transaction with whatever made them leave (``fujie user close``, ``fujie user change``):

1. grants to the person, and with them what was handed on from these
2. approvals of documents that were not sealed yet, also those of requests and batches that were decided and wait for their turn
3. postings at windows
4. permits for all of this that were given and not used (``seal.authority_version``)

Whoever comes back is given again what they need: nothing revives. Accounts are not known here; whoever keeps them says who left.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import ColumnElement, CompoundSelect, CursorResult, SQLColumnExpression, Update, exists, func, or_, select, union, update
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import Conflict
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.authority_models import ApprovalRow, PostingRow, WindowSealRow
from seal.authority_version import narrow_all
from seal.departure_models import DepartureRow
from seal.document_models import BatchRow
from seal.models import GrantRow

_UNFINISHED = ("awaiting_approval", "running", "paused")
_PERSON = "person"


class ApproverDeparted(Conflict):
    code = "APPROVER_DEPARTED"
    public = (
        "批准此文件的人员已离任或账号已停用，须重新审批。",
        "Who approved this has left their office since. It has to be approved again.",
    )


async def depart(session: AsyncSession, now: dt.datetime, actor: Actor, person: str, *, barred: bool) -> None:
    """End the authority of a person (an account's UUID), in the caller's transaction. ``barred``: until :func:`come_back`.

    Uses under way are waited for; none that had not committed before can follow.
    """
    await session.execute(select(func.pg_advisory_xact_lock(_lock(person))))
    statement = insert(DepartureRow).values(person=person, at=now, barred=barred)
    await session.execute(statement.on_conflict_do_update(index_elements=[DepartureRow.person], set_={"at": now, "barred": barred}))
    await narrow_all(session, sorted(await session.scalars(_seals_of(person))))
    ended: dict[str, audit.JSON] = {
        "grants": await _end(session, update(GrantRow).where(*_granted(person)).values(withdrawn_at=now, withdrawn_by=actor.id)),
        "approvals": await _end(session, update(ApprovalRow).where(*_approved(person)).values(withdrawn_at=now)),
        "postings": await _end(session, update(PostingRow).where(*_posted(person)).values(ended_at=now, ended_by=actor.id)),
        "batches": await _leave_batches(session, person),
    }
    await audit.record(
        session, now, Event("seal.person.depart", f"account:{person}", Outcome.DONE, actor, {"barred": barred, "ended": ended})
    )


async def come_back(session: AsyncSession, now: dt.datetime, actor: Actor, person: str) -> None:
    """The person may be given authority again."""
    await session.execute(update(DepartureRow).where(DepartureRow.person == person).values(barred=False))
    await audit.record(session, now, Event("seal.person.return", f"account:{person}", Outcome.DONE, actor))


async def require_present(session: AsyncSession, decided: Mapping[str, dt.datetime]) -> None:
    """Of people (identifier) who decided something at an instant, none left since. Raises :class:`ApproverDeparted`.

    Holds them until the transaction ends: who leaves at the same moment waits, and finds what was written upon this.
    """
    for person in sorted(decided):
        await session.execute(select(func.pg_advisory_xact_lock_shared(_lock(person))))
    rows = await session.scalars(select(DepartureRow).where(DepartureRow.person.in_(list(decided))))
    if gone := sorted(row.person for row in rows if row.barred or row.at >= decided[row.person]):
        raise ApproverDeparted(", ".join(gone))


def left_since(person: SQLColumnExpression[str], decided: SQLColumnExpression[dt.datetime]) -> ColumnElement[bool]:
    """Part of a statement: whether the person left after they decided, or is barred."""
    return exists().where(DepartureRow.person == person, or_(DepartureRow.barred, DepartureRow.at >= decided))


def is_barred(person: SQLColumnExpression[str]) -> ColumnElement[bool]:
    """Part of a statement: whether the person has left."""
    return exists().where(DepartureRow.person == person, DepartureRow.barred)


def _lock(person: str) -> ColumnElement[int]:
    return func.hashtextextended(f"fujie.departure:{person}", 0)


def _granted(person: str) -> tuple[ColumnElement[bool], ...]:
    return GrantRow.grantee_kind == _PERSON, GrantRow.grantee_id == person, GrantRow.withdrawn_at.is_(None)


def _approved(person: str) -> tuple[ColumnElement[bool], ...]:
    return ApprovalRow.approver == person, ApprovalRow.withdrawn_at.is_(None)


def _posted(person: str) -> tuple[ColumnElement[bool], ...]:
    return PostingRow.person == person, PostingRow.ended_at.is_(None)


def _seals_of(person: str) -> CompoundSelect[uuid.UUID]:
    kept = select(WindowSealRow.seal_id).join(PostingRow, PostingRow.window_id == WindowSealRow.window_id)
    return union(
        select(GrantRow.seal_id).where(*_granted(person)),
        select(ApprovalRow.seal_id).where(*_approved(person)),
        kept.where(*_posted(person), WindowSealRow.returned_at.is_(None)),
    )


async def _end(session: AsyncSession, statement: Update) -> int:
    ended = cast(CursorResult[Any], await session.execute(statement.execution_options(synchronize_session=False)))
    return ended.rowcount


async def _leave_batches(session: AsyncSession, person: str) -> int:
    """Their approval stands on no batch any more: what is not sealed waits for another."""
    rows = await session.scalars(select(BatchRow).where(BatchRow.status.in_(_UNFINISHED)).order_by(BatchRow.id).with_for_update())
    left = [row for row in rows if any(one["actor"]["id"] == person for one in row.approvals)]
    for row in left:
        row.approvals = [one for one in row.approvals if one["actor"]["id"] != person]
    return len(left)
