"""How many seals there are and how much they are used: numbers only, no person and no document."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select

from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession
from seal.access import may_see
from seal.kinds import SealKind
from seal.lifecycle import Status
from seal.models import SealRow, UseRow
from seal.reads import Seal, seal_view

MOST_MONTHS = 36
_ZONE = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class SealCount:
    organisation: str
    organisation_name: str
    kind: SealKind
    status: Status
    seals: int


@dataclass(frozen=True, slots=True)
class UseCount:
    """Uses of the seals of one organisation and kind in one month of China Standard Time, ``2026-11``."""

    organisation: str
    kind: SealKind
    month: str
    uses: int
    unattended: int


@dataclass(frozen=True, slots=True)
class Statistics:
    seals: tuple[SealCount, ...]
    uses: tuple[UseCount, ...]


async def statistics(
    session: AsyncSession, actor: Actor, now: dt.datetime, *, organisation: str | None = None, months: int = 12
) -> Statistics:
    """Of the seals that the actor sees; uses of the last ``months`` months, at most 36."""
    mine = await _visible(session, actor, organisation)
    return Statistics(_counted(mine), await _uses(session, mine, now, min(max(months, 1), MOST_MONTHS)))


async def _visible(session: AsyncSession, actor: Actor, organisation: str | None) -> list[Seal]:
    query = select(SealRow).order_by(SealRow.organisation, SealRow.kind)
    own = actor.organisation if actor.kind is ActorKind.CLIENT else organisation
    if own is not None:
        query = query.where(SealRow.organisation == own)
    if organisation is not None:
        query = query.where(SealRow.organisation == organisation)
    return [seal for row in await session.scalars(query) if may_see(actor, seal := seal_view(row))]


def _counted(seals: Sequence[Seal]) -> tuple[SealCount, ...]:
    found: dict[tuple[str, str, SealKind, Status], int] = {}
    for seal in seals:
        key = (seal.organisation, seal.organisation_name, seal.kind, seal.status)
        found[key] = found.get(key, 0) + 1
    return tuple(SealCount(*key, number) for key, number in sorted(found.items()))


async def _uses(session: AsyncSession, seals: Sequence[Seal], now: dt.datetime, months: int) -> tuple[UseCount, ...]:
    month: ColumnElement[str] = func.to_char(func.timezone(_ZONE, UseRow.at), "YYYY-MM")
    query = (
        select(SealRow.organisation, SealRow.kind, month, func.count(), func.count().filter(UseRow.unattended))
        .join(SealRow, SealRow.id == UseRow.seal_id)
        .where(UseRow.seal_id.in_([seal.id for seal in seals]), UseRow.at > now - dt.timedelta(days=31 * months))
        .group_by(SealRow.organisation, SealRow.kind, month)
        .order_by(SealRow.organisation, SealRow.kind, month)
    )
    rows = await session.execute(query)
    return tuple(UseCount(organisation, SealKind(kind), named, uses, alone) for organisation, kind, named, uses, alone in rows)
