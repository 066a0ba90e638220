"""The rights that applications for access opened, as ``certs.sharing`` reads them."""

import datetime as dt

from sqlalchemy import select

from certs.copy_models import AccessApplicationRow
from certs.sharing import Right, Want
from keys.base.clock import CHINA_STANDARD_TIME
from keys.base.db import AsyncSession

OPEN = "open"


async def rights_of(session: AsyncSession, now: dt.datetime, organisation: str, type_code: str) -> tuple[Right, ...]:
    """What was opened for an organisation and a type and still stands, the latest first."""
    query = (
        select(AccessApplicationRow)
        .where(AccessApplicationRow.organisation == organisation, AccessApplicationRow.type_code == type_code)
        .where(AccessApplicationRow.stage == OPEN)
        .order_by(AccessApplicationRow.id.desc())
    )
    found = (to_right(row) for row in await session.scalars(query))
    return tuple(right for right in found if right.valid_from <= now < right.valid_to)


async def right_of(
    session: AsyncSession, now: dt.datetime, organisation: str, type_code: str, want: Want, matter: str = ""
) -> Right | None:
    """The right that covers this want and matter, or None."""
    found = await rights_of(session, now, organisation, type_code)
    return next((one for one in found if want in one.wants and (not one.matters or matter in one.matters)), None)


def to_right(row: AccessApplicationRow) -> Right:
    """The right an open application gives: from its opening to the end of its last civil day."""
    ends = dt.datetime.combine(row.until + dt.timedelta(days=1), dt.time(), CHINA_STANDARD_TIME).astimezone(dt.UTC)
    return Right(
        organisation=row.organisation,
        type_code=row.type_code,
        wants=frozenset(Want(one) for one in row.uses),
        valid_from=row.decided_at or ends,
        valid_to=ends,
        matters=frozenset({row.matter_code} if row.matter_code else ()),
        without_holder=row.without_holder,
        basis=row.basis,
    )
