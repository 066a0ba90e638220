"""Where somebody is who uses a seal: at a window they are posted to, and at a network address. And which seals are at their windows."""

import uuid

from sqlalchemy import Select, select

from keys.base.actor import Actor, ActorKind, Role
from keys.base.db import AsyncSession
from seal.authority_models import PostingRow, WindowRow, WindowSealRow
from seal.models import SealRow
from seal.policy_facts import Place


async def place_of(session: AsyncSession, actor: Actor, named: str | None, address: str | None) -> Place:
    """The place of an actor's use. ``named``: the window that the approving system says, believed of those the actor is posted to.

    Whoever is posted to one window only need not name it, where no network tells its desks apart; else the address finds it.
    """
    if actor.kind is not ActorKind.PERSON:
        return Place(None, address)
    posted = {row.id: bool(row.networks) for row in await session.scalars(_posted(actor))}
    if named in posted:
        return Place(named, address)
    only = next(iter(posted)) if len(posted) == 1 else None
    return Place(only if only is not None and not posted[only] else None, address)


async def kept_for(session: AsyncSession, actor: Actor) -> frozenset[str]:
    """Codes of the seals that the windows keep to which this clerk is posted."""
    if actor.kind is not ActorKind.PERSON or Role.WINDOW_CLERK not in actor.roles:
        return frozenset()
    windows = _posted(actor).with_only_columns(WindowRow.id)
    kept = select(SealRow.code).join(WindowSealRow, WindowSealRow.seal_id == SealRow.id)
    codes = await session.scalars(kept.where(WindowSealRow.window_id.in_(windows), WindowSealRow.returned_at.is_(None)))
    return frozenset(code for code in codes if code is not None)


async def is_left_to_windows(session: AsyncSession, seal_id: uuid.UUID, place: Place | None) -> bool:
    """Whether windows keep the seal and ``place`` is at none of them: whoever is there does not stamp."""
    kept = set(
        await session.scalars(select(WindowSealRow.window_id).where(WindowSealRow.seal_id == seal_id, WindowSealRow.returned_at.is_(None)))
    )
    return bool(kept) and (place is None or place.window not in kept)


def _posted(actor: Actor) -> Select[WindowRow]:
    posting = select(PostingRow.window_id).where(PostingRow.person == actor.id, PostingRow.ended_at.is_(None))
    return select(WindowRow).where(WindowRow.id.in_(posting), WindowRow.closed_at.is_(None), WindowRow.organisation == actor.organisation)
