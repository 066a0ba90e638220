"""What the keepers of an organisation are told of its seals: every move, and that a period is about to end.

A notice is written in the transaction of the move it tells of: there is none without the other. Keepers read them on the page, by the
API or with ``fujie seal notices``; who was the first to is kept.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor, Role
from keys.base.db import AsyncSession
from keys.base.errors import Forbidden
from seal.life_models import NoticeRow
from seal.lifecycle import IN_USE, MOVES, Move
from seal.models import SealRow
from seal.motives import Why

EXPIRING = "expiring"
WARNED_BEFORE = dt.timedelta(days=30)
MOST = 200


class NoticesForbidden(Forbidden):
    """Notices are for the keepers of the organisation."""

    code = "SEAL_NOTICES_FORBIDDEN"
    public = ("通知仅供本单位的印章保管人查看。", "Notices are for the organisation's seal keepers.")


@dataclass(frozen=True, slots=True)
class Notice:
    """``kind``: a move, or ``expiring``; ``zh``, ``en``: what happened, in a few words; ``text``: the words of who did it."""

    id: int
    seal_id: uuid.UUID
    seal_code: str
    seal_name: str
    organisation: str
    kind: str
    at: dt.datetime
    reason_code: str
    text: str
    zh: str
    en: str
    read_at: dt.datetime | None
    read_by: str | None


def add_notice(session: AsyncSession, seal_id: uuid.UUID, organisation: str, move: Move, at: dt.datetime, reason: Why) -> None:
    """Tell the keepers of a move, in its transaction."""
    session.add(
        NoticeRow(seal_id=seal_id, organisation=organisation, kind=move, at=at, reason_code=reason.code, text=reason.text, read_at=None)
    )


async def warn_of_endings(session: AsyncSession, now: dt.datetime) -> int:
    """Tell once of each seal in use whose period ends within thirty days. How many were told of now."""
    due = select(SealRow.id, SealRow.organisation).where(
        SealRow.status.in_(IN_USE), SealRow.valid_to > now, SealRow.valid_to <= now + WARNED_BEFORE
    )
    rows = [
        {"seal_id": one.id, "organisation": one.organisation, "kind": EXPIRING, "at": now, "reason_code": "", "text": ""}
        for one in await session.execute(due)
    ]
    if not rows:
        return 0
    told = insert(NoticeRow).values(rows).on_conflict_do_nothing().returning(NoticeRow.id)
    return len((await session.scalars(told)).all())


async def notices_of(
    session: AsyncSession, actor: Actor, *, before: int | None = None, unread: bool = False, limit: int = 50
) -> list[Notice]:
    """The organisation's notices, latest first, from the one before ``before`` on. Raises :class:`NoticesForbidden`."""
    organisation = _keeper_of(actor)
    query = select(NoticeRow, SealRow.code, SealRow.name).join(SealRow, SealRow.id == NoticeRow.seal_id)
    query = query.where(NoticeRow.organisation == organisation).order_by(NoticeRow.id.desc()).limit(min(limit, MOST))
    if before is not None:
        query = query.where(NoticeRow.id < before)
    if unread:
        query = query.where(NoticeRow.read_at.is_(None))
    return [_notice(row, code, name) for row, code, name in await session.execute(query)]


async def mark_read(session: AsyncSession, now: dt.datetime, actor: Actor, up_to: int) -> int:
    """Every notice of the organisation up to this one was seen by the keeper. How many were new. Raises :class:`NoticesForbidden`."""
    mine = (NoticeRow.organisation == _keeper_of(actor), NoticeRow.id <= up_to, NoticeRow.read_at.is_(None))
    seen = update(NoticeRow).where(*mine).values(read_at=now, read_by=actor.id).returning(NoticeRow.id)
    return len((await session.scalars(seen)).all())


def _keeper_of(actor: Actor) -> str:
    if Role.SEAL_KEEPER not in actor.roles or actor.organisation is None:
        raise NoticesForbidden
    return actor.organisation


def _notice(row: NoticeRow, code: str | None, name: str) -> Notice:
    zh, en = _words(row.kind)
    told = (row.id, row.seal_id, code or "", name, row.organisation, row.kind, row.at, row.reason_code, row.text)
    return Notice(*told, zh, en, row.read_at, row.read_by)


def _words(kind: str) -> tuple[str, str]:
    if kind == EXPIRING:
        return "有效期将在三十日内届满", "its period ends within thirty days"
    rule = MOVES[Move(kind)]
    return rule.zh, rule.en
