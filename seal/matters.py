"""Matters: what organisations act in. Whether a matter is an approval decides which seal it takes."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Forbidden, InvalidInput
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.authority_access import administers, keeps
from seal.authority_version import narrow_all
from seal.changes import refusals_audited
from seal.models import MatterRow, SealRow

_LONGEST = 200


class MatterForbidden(Forbidden):
    code = "MATTER_FORBIDDEN"
    public = ("您没有权限更改此事项。", "You may not change this matter.")


class MatterInvalid(InvalidInput):
    code = "MATTER_INVALID"
    public = ("事项的内容不正确。", "The matter is not well-formed.")


@dataclass(frozen=True, slots=True)
class Matter:
    """``code`` as in the list of government-service matters; ``organisation`` is the USCC of who acts in it."""

    code: str
    name: str
    is_approval: bool
    organisation: str


async def put_matter(session: AsyncSession, now: dt.datetime, actor: Actor, matter: Matter) -> None:
    """Add or change a matter; audited, because it decides which seal may be used: permits given before a change are worth nothing."""
    old = await get_matter(session, matter.code)
    if old is not None and (old.is_approval, old.organisation) != (matter.is_approval, matter.organisation):
        await narrow_all(session, list(await session.scalars(select(SealRow.id).where(SealRow.organisation == old.organisation))))
    values = {"name": matter.name, "is_approval": matter.is_approval, "organisation": matter.organisation, "changed_at": now}
    statement = insert(MatterRow).values(code=matter.code, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=[MatterRow.code], set_=values))
    details: dict[str, audit.JSON] = {"is_approval": matter.is_approval, "organisation": matter.organisation}
    await audit.record(session, now, Event("seal.matter.put", f"matter:{matter.code}", Outcome.DONE, actor, details))


async def get_matter(session: AsyncSession, code: str) -> Matter | None:
    row = await session.scalar(select(MatterRow).where(MatterRow.code == code).execution_options(populate_existing=True))
    return None if row is None else _view(row)


async def list_matters(session: AsyncSession, *, organisation: str) -> list[Matter]:
    rows = await session.scalars(select(MatterRow).where(MatterRow.organisation == organisation).order_by(MatterRow.code))
    return [_view(row) for row in rows]


async def find_matters(
    session: AsyncSession, *, text: str = "", organisation: str = "", after: str = "", limit: int = 50
) -> tuple[list[Matter], str | None]:
    """Matters by code, and the code to go on after if there are more; ``text`` is any part of code or name."""
    query = select(MatterRow).where(MatterRow.code > after).order_by(MatterRow.code).limit(limit + 1)
    if text.strip():
        query = query.where((func.strpos(MatterRow.name, text.strip()) > 0) | (func.strpos(MatterRow.code, text.strip()) > 0))
    if organisation:
        query = query.where(MatterRow.organisation == organisation)
    found = [_view(row) for row in await session.scalars(query)]
    return found[:limit], found[limit - 1].code if len(found) > limit else None


async def matter_names(session: AsyncSession, codes: Collection[str]) -> dict[str, str]:
    """The names of those of the matters that are known, by code."""
    rows = await session.execute(select(MatterRow.code, MatterRow.name).where(MatterRow.code.in_(codes)))
    return {row.code: row.name for row in rows}


def _view(row: MatterRow) -> Matter:
    return Matter(row.code, row.name, row.is_approval, row.organisation)


async def check_matter_keeper(database: Database, clock: Clock, actor: Actor, matter: Matter, divisions: Sequence[str] = ()) -> None:
    """Who says what an organisation acts in: its keeper, or a security administrator of the division; both hold for a change of hands.

    That an approval is none any more takes an administrator: it would do away with the approval seal, and a legal basis takes two.
    ``divisions``: of the organisations that have the matter now and are to have it, ``""`` where one is unknown.
    Raises :class:`MatterForbidden`, audited, and :class:`MatterInvalid`.
    """
    async with refusals_audited(database, clock, "seal.matter.put", f"matter:{matter.code[:40]}", actor), database.session() as session:
        texts = (matter.code, matter.name, matter.organisation)
        if not all(0 < len(one.strip()) <= _LONGEST and one.isprintable() for one in texts):
            raise MatterInvalid(matter.code[:40])
        old = await get_matter(session, matter.code)
        if actor.kind is ActorKind.SYSTEM or (divisions and all(administers(actor, one) for one in divisions)):
            return
        own = keeps(actor, matter.organisation) and (old is None or keeps(actor, old.organisation))
        if not own or (old is not None and old.is_approval and not matter.is_approval):
            raise MatterForbidden(matter.code[:40])
