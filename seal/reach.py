"""Who gets to see a seal's impression before it is on a document: an impression is all that a forgery on paper takes."""

from sqlalchemy import select

from keys.base.actor import Actor
from keys.base.db import AsyncSession
from seal.access import may_see
from seal.authority_models import PostingRow, WindowRow, WindowSealRow
from seal.models import GrantRow
from seal.reads import Seal


async def within_reach(session: AsyncSession, actor: Actor, seal: Seal) -> bool:
    """Whoever may see the seal, whoever holds a grant on it that stands, and who works at a window that keeps it."""
    if may_see(actor, seal):
        return True
    granted = select(GrantRow.id).where(
        GrantRow.seal_id == seal.id,
        GrantRow.grantee_kind == str(actor.kind),
        GrantRow.grantee_id == actor.id,
        GrantRow.withdrawn_at.is_(None),
    )
    kept = (
        select(WindowSealRow.id)
        .join(WindowRow, WindowRow.id == WindowSealRow.window_id)
        .join(PostingRow, PostingRow.window_id == WindowRow.id)
        .where(WindowSealRow.seal_id == seal.id, WindowSealRow.returned_at.is_(None), WindowRow.closed_at.is_(None))
        .where(PostingRow.person == actor.id, PostingRow.ended_at.is_(None))
    )
    return any([await session.scalar(query.limit(1)) is not None for query in (granted, kept)])
