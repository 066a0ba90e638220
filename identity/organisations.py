"""Organisations that act here, keyed by unified social credit code."""

import datetime as dt
import re
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from identity import numbers
from identity.models import OrganisationRow
from keys.base.db import AsyncSession
from keys.base.errors import InvalidInput

KINDS: dict[str, tuple[str, str]] = {
    "government": ("人民政府", "people's government"),
    "authority": ("政府部门", "government department"),
    "service_centre": ("政务服务中心", "service centre"),
    "enterprise": ("企业", "enterprise"),
    "individual_business": ("个体工商户", "individual business"),
    "social": ("社会组织", "social organisation"),
    "collective": ("农村集体经济组织", "rural collective"),
    "other": ("其他", "other"),
}
"""Kinds of organisation with their names (zh, en)."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """``uscc`` GB 32100; ``division`` GB/T 2260, 6 digits; ``kind`` of :data:`KINDS`."""

    uscc: str
    name: str
    division: str
    kind: str = "other"
    active: bool = True


def require_division(division: str) -> str:
    """The code itself if it is six ASCII digits (GB/T 2260); raises :class:`InvalidInput`."""
    if not re.fullmatch(r"[0-9]{6}", division):
        raise InvalidInput("division", errors=[{"field": "division", "message": "GB/T 2260: 6 digits"}])
    return division


async def get_organisation(session: AsyncSession, uscc: str) -> Organisation | None:
    row = await session.get(OrganisationRow, numbers.normalise(uscc))
    return _view(row) if row else None


async def names_of(session: AsyncSession, codes: Collection[str]) -> dict[str, str]:
    """The names of those of the organisations that are registered here, by credit code."""
    rows = await session.execute(select(OrganisationRow.uscc, OrganisationRow.name).where(OrganisationRow.uscc.in_(codes)))
    return {row.uscc: row.name for row in rows}


async def put_organisation(session: AsyncSession, now: dt.datetime, organisation: Organisation) -> Organisation:
    """Writes or replaces the entry. A wrong check digit is accepted: some live codes have one (STANDARDS §1)."""
    _require_valid(organisation)
    values = {
        "uscc": numbers.normalise(organisation.uscc),
        "name": organisation.name.strip(),
        "division": organisation.division,
        "kind": organisation.kind,
        "active": organisation.active,
        "updated_at": now,
    }
    statement = insert(OrganisationRow).values(values)
    changed = {name: statement.excluded[name] for name in values if name != "uscc"}
    row = await session.scalar(
        statement.on_conflict_do_update(index_elements=["uscc"], set_=changed).returning(OrganisationRow),
        execution_options={"populate_existing": True},
    )
    assert row is not None  # noqa: S101  an upsert returns its row
    return _view(row)


def _require_valid(organisation: Organisation) -> None:
    require_division(organisation.division)
    faults = {
        "uscc": not numbers.check(numbers.CodeType.USCC, organisation.uscc).well_formed,
        "name": not organisation.name.strip() or not organisation.name.isprintable(),
        "kind": organisation.kind not in KINDS,
    }
    errors = [{"field": field, "message": "not well-formed"} for field, found in faults.items() if found]
    if errors:
        raise InvalidInput("organisation", errors=errors)


def _view(row: OrganisationRow) -> Organisation:
    return Organisation(row.uscc, row.name, row.division, row.kind, row.active)
