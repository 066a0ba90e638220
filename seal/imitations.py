"""Whether the words of an order look like those of another seal and are not: asked of every seal that was not refused.

The skeletons are made in the database: names are few thousand, an order is rare, and no column must keep in step with the look-alikes.
"""

import uuid

from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from keys.base.db import AsyncSession
from seal.lifecycle import Status
from seal.models import SealRow
from seal.naming import ALIKE, PLAIN, Names, SealNameImitates, skeleton


async def require_no_imitation(session: AsyncSession, names: Names, successor_of: uuid.UUID | None = None) -> None:
    """Raises :class:`seal.naming.SealNameImitates`. ``successor_of``: the seal whose place it takes, whose words it may correct."""
    words = sorted({names.name, names.organisation_name, names.upper or names.name})
    clash = or_(_alike(SealRow.name, words), _alike(SealRow.organisation_name, words))
    query = select(SealRow.id).where(clash, SealRow.status != Status.REJECTED).limit(1)
    if successor_of is not None:
        query = query.where(SealRow.id != successor_of)
    found = await session.scalar(query)
    if found is not None:
        raise SealNameImitates(f"seal {found}")


def _alike(column: InstrumentedAttribute[str], words: list[str]) -> ColumnElement[bool]:
    plain = func.translate(func.normalize(column, literal_column("NFKC")), ALIKE, PLAIN)
    return and_(plain.in_([skeleton(one) for one in words]), column.not_in(words))
