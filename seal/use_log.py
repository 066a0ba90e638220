"""The log of a seal's uses in pages, and what was refused: for keepers and auditors of the seal's organisation only."""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import select, tuple_

from keys.base.actor import Actor
from keys.base.db import AsyncSession
from seal.authority_access import check_reader
from seal.models import UseRow
from seal.reads import get_seal


@dataclass(frozen=True, slots=True)
class LoggedUse:
    """One stamping: which document (SHA-256 before it), in which matter, by whom, for whom, where, under which grant."""

    permit_id: uuid.UUID
    at: dt.datetime
    document_hash: bytes
    matter_code: str
    certificate_type: str | None
    document_kind: str | None
    actor_kind: str
    actor_id: str
    requester: str | None
    unattended: bool
    window_id: str | None
    address: str | None
    grant_id: uuid.UUID | None


async def read_uses(
    session: AsyncSession, actor: Actor, seal_code: str, *, before: uuid.UUID | None = None, limit: int = 50
) -> list[LoggedUse]:
    """The latest first, from the one before ``before`` on. Raises ``SealNotFound``, ``AuthorityHidden``."""
    seal = await get_seal(session, seal_code)
    check_reader(actor, seal)
    query = select(UseRow).where(UseRow.seal_id == seal.id).order_by(UseRow.at.desc(), UseRow.permit_id.desc()).limit(limit)
    if before is not None:
        last = select(UseRow.at, UseRow.permit_id).where(UseRow.permit_id == before)
        query = query.where(tuple_(UseRow.at, UseRow.permit_id) < last.scalar_subquery())
    return [_view(row) for row in await session.scalars(query)]


def _view(row: UseRow) -> LoggedUse:
    return LoggedUse(**{name: getattr(row, name) for name in LoggedUse.__slots__})
