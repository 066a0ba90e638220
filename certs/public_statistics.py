"""How many certificates of each type stand in the library, for everybody: figures from which nobody can be picked out.

Every figure is rounded down to tens, and what is below ten is only said to be so; so no difference of two figures, nor of two days,
tells of a single certificate. Pure but for the one query.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select

from certs.lifecycle import Status
from certs.models import CertificateRow
from certs.records import Stage
from keys.base.db import Database

GRAIN = 10


@dataclass(frozen=True, slots=True)
class TypeFigures:
    """One type. Figures are multiples of ten; None: between one and nine. ``ended``: no longer in force for whatever reason."""

    code: str
    name: str
    in_force: int | None
    suspended: int | None
    ended: int | None

    def to_json(self) -> dict[str, object]:
        return {"type": self.code, "name": self.name, "in_force": self.in_force, "suspended": self.suspended, "ended": self.ended}


async def public_figures(database: Database) -> tuple[TypeFigures, ...]:
    """Every type of which there is a certificate, the most frequent first."""
    counted = (
        select(CertificateRow.type_code, func.max(CertificateRow.type_name), CertificateRow.status, func.count())
        .where(CertificateRow.stage == Stage.ISSUED.value, ~CertificateRow.duplicate)
        .group_by(CertificateRow.type_code, CertificateRow.status)
    )
    async with database.session() as session:
        return coarse([(row[0], row[1], Status(row[2]), row[3]) for row in await session.execute(counted)])


def coarse(counts: Iterable[tuple[str, str, Status, int]]) -> tuple[TypeFigures, ...]:
    """The figures from (type, name, status, count). Pure."""
    found: dict[str, tuple[str, dict[str, int]]] = {}
    for code, name, status, count in counts:
        column = {Status.VALID: "in_force", Status.SUSPENDED: "suspended"}.get(status, "ended")
        _, sums = found.setdefault(code, (name, {"in_force": 0, "suspended": 0, "ended": 0}))
        sums[column] += count
    ordered = sorted(found.items(), key=lambda item: (-(sum(item[1][1].values()) // GRAIN), item[0]))
    return tuple(TypeFigures(code, name, **{column: rounded(count) for column, count in sums.items()}) for code, (name, sums) in ordered)


def rounded(count: int) -> int | None:
    """Down to tens; None for one to nine, 0 for none."""
    return None if 0 < count < GRAIN else count // GRAIN * GRAIN
