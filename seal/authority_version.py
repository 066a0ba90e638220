"""What narrows the use of a seal beside grants acts at once: the seal's version counts it, and permits name the version.

A permit is decided upon facts of many tables. Instead of locking them all when it is spent, whoever narrows one of them
counts the seal's version up in the same transaction. That waits for uses under way, because they hold the seal's row; and
whoever comes after finds that the permit is older than the change.
"""

import uuid
from collections.abc import Sequence

from sqlalchemy import select, update

from keys.base.db import AsyncSession
from seal.models import SealRow
from seal.reads import Seal, SealNotFound, seal_view


async def narrowed(session: AsyncSession, seal_id: uuid.UUID) -> Seal:
    """The seal, held until the transaction ends; every permit given before it is worth nothing. Raises ``SealNotFound``."""
    statement = (
        update(SealRow)
        .where(SealRow.id == seal_id)
        .values(authority_version=SealRow.authority_version + 1)
        .returning(SealRow)
        .execution_options(populate_existing=True)
    )
    row = await session.scalar(statement)
    if row is None:
        raise SealNotFound(str(seal_id))
    return seal_view(row)


async def narrow_all(session: AsyncSession, seal_ids: Sequence[uuid.UUID]) -> None:
    """The same for several, in the order of their codes as everywhere, so that no two ever wait for each other."""
    if seal_ids:
        await session.execute(select(SealRow.id).where(SealRow.id.in_(seal_ids)).order_by(SealRow.code, SealRow.id).with_for_update())
        counted = update(SealRow).where(SealRow.id.in_(seal_ids)).values(authority_version=SealRow.authority_version + 1)
        await session.execute(counted.execution_options(synchronize_session=False))
