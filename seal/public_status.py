"""What anybody may know of a seal of ours: whether it was in use at an instant, and its public history from its filing on.

The same description stands in the answer about one seal, in the signed list of all and in the feed. It names no person.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import aliased

from keys.base.db import AsyncSession
from seal.lifecycle import MOVES, Move, Status
from seal.models import SealRow, StatusChangeRow
from seal.motives import invalid_type
from seal.reads import standing

FORMAT = "fujie-seal-status/1"
TYPE = "fujie-seal-status+json"
PUBLIC = frozenset({Status.FILED, Status.ACTIVE, Status.SUSPENDED, Status.LOST, Status.EXPIRED, Status.CANCELLED, Status.CLOSED})
"""What is told; an application and a seal that was not filed yet are nobody's business."""

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Since:
    """One step of a public history: from ``at`` on the status was ``status``; ``invalid_type`` of the national feed, of an end."""

    status: Status
    at: dt.datetime
    invalid_type: int | None = None

    def to_json(self) -> list[Any]:
        return [self.status.value, instant_text(self.at), self.invalid_type]


@dataclass(frozen=True, slots=True)
class PublicSeal:
    """``history`` oldest first; ``successor``: the code of the seal that took its place."""

    code: str
    name: str
    kind: str
    organisation: str
    organisation_name: str
    valid_from: dt.datetime
    valid_to: dt.datetime
    history: tuple[Since, ...]
    predecessor: str | None = None
    successor: str | None = None

    def at(self, instant: dt.datetime) -> Since | None:
        """The step that held at that instant, the end of the period counted; None before the filing."""
        return step_at(self.history, self.valid_to, instant)

    def to_json(self) -> JSON:
        """As the signed list holds it."""
        return {
            "code": self.code,
            "valid_from": instant_text(self.valid_from),
            "valid_to": instant_text(self.valid_to),
            "history": [one.to_json() for one in self.history],
            "successor": self.successor,
        }


def step_at(history: Sequence[Since], valid_to: dt.datetime, instant: dt.datetime) -> Since | None:
    """Pure; ``history`` oldest first."""
    found = next((step for step in reversed(history) if step.at <= instant), None)
    if found is None or standing(found.status, valid_to, instant) is found.status:
        return found
    return Since(Status.EXPIRED, valid_to)


def instant_text(instant: dt.datetime) -> str:
    """RFC 3339 in UTC, to the microsecond where there are any."""
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


async def public_seal(session: AsyncSession, code: str) -> PublicSeal | None:
    """The seal of this code; None where there is none that was filed."""
    return next(iter(await public_seals(session, codes=[code])), None)


async def public_seals(session: AsyncSession, *, codes: Sequence[str] | None = None) -> list[PublicSeal]:
    """Every filed seal in the order of the codes, or those of ``codes``: two selects, however many there are."""
    before, after = aliased(SealRow), aliased(SealRow)
    query = select(SealRow, before.code, after.code).outerjoin(before, before.id == SealRow.predecessor)
    query = query.outerjoin(after, after.id == SealRow.successor).where(SealRow.code.is_not(None)).order_by(SealRow.code)
    changes = select(StatusChangeRow).order_by(StatusChangeRow.seal_id, StatusChangeRow.id)
    if codes is not None:
        query = query.where(SealRow.code.in_(codes))
        changes = changes.join(SealRow, SealRow.id == StatusChangeRow.seal_id).where(SealRow.code.in_(codes))
    histories = _by_seal(await session.scalars(changes))
    found = [(row, first, second, _public(histories.get(row.id, []))) for row, first, second in await session.execute(query)]
    return [_seal(row, first, second, history) for row, first, second, history in found if history]


def _by_seal(rows: Iterable[StatusChangeRow]) -> Mapping[Any, list[StatusChangeRow]]:
    found: dict[Any, list[StatusChangeRow]] = {}
    for row in rows:
        found.setdefault(row.seal_id, []).append(row)
    return found


def _public(rows: Sequence[StatusChangeRow]) -> tuple[Since, ...]:
    """From the filing on; one that was cancelled before it never was a seal to anybody."""
    steps = [Since(MOVES[Move(row.move)].target, row.at, invalid_type(Move(row.move), row.reason_code)) for row in rows]
    first = next((place for place, step in enumerate(steps) if step.status is Status.FILED), None)
    return () if first is None else tuple(steps[first:])


def _seal(row: SealRow, predecessor: str | None, successor: str | None, history: tuple[Since, ...]) -> PublicSeal:
    return PublicSeal(
        code=row.code or "",
        name=row.name,
        kind=row.kind,
        organisation=row.organisation,
        organisation_name=row.organisation_name,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        history=history,
        predecessor=predecessor,
        successor=successor,
    )


def status_document(issuer: str, code: str, seal: PublicSeal | None, at: dt.datetime, now: dt.datetime) -> JSON:
    """The answer about one seal; ``known`` false: this registry has filed none of this code. ``at``: the instant asked about. Pure."""
    document: JSON = {
        "format": FORMAT,
        "issuer": issuer,
        "code": code,
        "known": seal is not None,
        "at": instant_text(at),
        "produced_at": instant_text(now),
    }
    if seal is None:
        return document
    step = seal.at(at)
    return document | {
        "status": step.status.value if step else None,
        "since": instant_text(step.at) if step else None,
        "invalid_type": step.invalid_type if step else None,
        "name": seal.name,
        "kind": seal.kind,
        "organisation": seal.organisation,
        "organisation_name": seal.organisation_name,
        "predecessor": seal.predecessor,
        **seal.to_json(),
    }
