"""Bringing many types into the catalogue at once, with a report for every row.

1. read    CSV or JSON lines; a row that cannot be read is reported, the rest goes on
2. judge   each row against the catalogue: new, changed, unchanged or refused; columns a row does not have keep what is known
3. write   new types and new versions as drafts (or submitted for review), in one transaction; a dry run stops before

Nothing comes into force by an import: somebody else reviews and publishes, one by one or many at once (:func:`step_many`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select

from certs.catalogue import CertificateType, definition, parse_type
from certs.catalogue_access import check_move
from certs.catalogue_files import read_table
from certs.catalogue_keeping import checked_reason, refusals_audited, step_within
from certs.catalogue_models import TypeVersionRow
from certs.tables import TableRow
from certs.type_lifecycle import OPEN, TypeMove, TypeStatus
from certs.type_rows import add_versions, move_version, refresh, rewrite
from certs.type_rules import TypeMalformed, read_definition
from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError, InvalidInput
from keys.evidence.audit import JSON, Event, Outcome, digest, record

MOST_ROWS = 20_000
MOST_STEPS = 5_000
NEW, CHANGED, UNCHANGED, REFUSED = "new", "changed", "unchanged", "refused"
_LOCK = 0x7479706573
Existing = dict[str, list[TypeVersionRow]]


class TooManyRows(InvalidInput):
    """One import or one list of steps takes so many at most."""

    code = "CATALOGUE_TOO_MANY"
    public = ("一次提交的条目过多。", "Too many at once.")


@dataclass(frozen=True, slots=True)
class RowReport:
    """What becomes of one row. ``errors``: (member, what is wrong); ``code`` is empty where it could not be read."""

    line: int
    code: str
    outcome: str
    version: int | None = None
    errors: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        errors = [{"field": field, "message": message} for field, message in self.errors]
        return {"line": self.line, "code": self.code, "outcome": self.outcome, "version": self.version, "errors": errors}


@dataclass(frozen=True, slots=True)
class Step:
    """One move of :func:`step_many`; ``seen``: the digest of what was read."""

    code: str
    version: int
    seen: bytes


@dataclass(frozen=True, slots=True)
class _Judged:
    report: RowReport
    kind: CertificateType | None = None
    draft: TypeVersionRow | None = None


async def import_types(
    database: Database, clock: Clock, actor: Actor, document: bytes, *, dry_run: bool = False, submit: bool = False, reason: str = ""
) -> tuple[RowReport, ...]:
    """Raises ``CatalogueFileUnreadable``, :class:`TooManyRows`, ``CatalogueForbidden`` for who may write nothing at all."""
    async with refusals_audited(database, clock, "import", "catalogue", actor):
        rows = [row for row, _ in zip(read_table(document), range(MOST_ROWS + 1), strict=False)]
        if len(rows) > MOST_ROWS:
            raise TooManyRows(f"{MOST_ROWS}")
        told = checked_reason(TypeMove.WRITE, reason)
        async with database.begin() as session:
            await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            judged = _judge_all(actor, rows, await _existing(session, rows))
            if not dry_run:
                await _write(session, clock.now(), actor, judged, told, submit=submit)
                await _audit(session, clock.now(), actor, judged, document)
    return tuple(one.report for one in judged)


async def step_many(
    database: Database, clock: Clock, actor: Actor, move: TypeMove, steps: Sequence[Step], reason: str = ""
) -> tuple[tuple[Step, FujieError | None], ...]:
    """The same move for many versions, each in its own transaction: one that is refused holds up no other."""
    if len(steps) > MOST_STEPS:
        raise TooManyRows(f"{MOST_STEPS}")
    found: list[tuple[Step, FujieError | None]] = []
    for one in steps:
        try:
            async with refusals_audited(database, clock, move, one.code, actor), database.begin() as session:
                await step_within(session, clock.now(), actor, one.code, one.version, move, seen=one.seen, reason=reason)
            found.append((one, None))
        except FujieError as error:
            found.append((one, error))
    return tuple(found)


async def _existing(session: AsyncSession, rows: Sequence[TableRow]) -> Existing:
    codes = sorted({str(row.members.get("code", "")).strip() for row in rows})
    query = select(TypeVersionRow).where(TypeVersionRow.type_code.in_(codes)).order_by(TypeVersionRow.type_code, TypeVersionRow.version)
    found: Existing = {}
    for row in await session.scalars(query):
        found.setdefault(row.type_code, []).append(row)
    return found


def _judge_all(actor: Actor, rows: Sequence[TableRow], existing: Existing) -> list[_Judged]:
    judged, seen = [], set[str]()
    for row in rows:
        code = str(row.members.get("code", "")).strip()[:21]
        one = _refused(row, code, ("code", "stands twice in the file")) if code and code in seen else _judge(actor, row, code, existing)
        seen.add(code)
        judged.append(one)
    return judged


def _judge(actor: Actor, row: TableRow, code: str, existing: Existing) -> _Judged:
    if row.fault:
        return _refused(row, code, ("row", row.fault))
    versions = existing.get(code, [])
    known = definition(parse_type(versions[-1].definition)) if versions else {}
    number = versions[-1].version if versions else 1
    try:
        kind = read_definition(_merged(known, row.members) | {"version": number})
        check_move(actor, TypeMove.WRITE, kind)
        if versions:
            check_move(actor, TypeMove.WRITE, parse_type(versions[-1].definition))
    except TypeMalformed as error:
        return _refused(row, code, *((one["field"], one["message"]) for one in error.extra["errors"]))  # type: ignore[attr-defined]
    except FujieError as error:
        return _refused(row, code, ("code", error.code))
    return _compared(row, kind, versions)


def _merged(known: Mapping[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
    """What the row says over what is known; its part of ``sharing`` likewise."""
    sharing = {**known.get("sharing", {"class": "conditional"}), **(members.get("sharing") or {})}
    return {**known, **members, "sharing": sharing}


def _compared(row: TableRow, kind: CertificateType, versions: list[TypeVersionRow]) -> _Judged:
    if not versions:
        return _Judged(RowReport(row.line, kind.code, NEW, 1), kind)
    newest = versions[-1]
    if newest.status != TypeStatus.ABANDONED and parse_type(newest.definition) == kind:
        return _Judged(RowReport(row.line, kind.code, UNCHANGED, newest.version))
    if newest.status == TypeStatus.REVIEW:
        return _refused(row, kind.code, ("code", "a version is in review"))
    if TypeStatus(newest.status) in OPEN:
        return _Judged(RowReport(row.line, kind.code, CHANGED, newest.version), kind, newest)
    number = newest.version + 1
    return _Judged(RowReport(row.line, kind.code, CHANGED, number), replace(kind, version=number))


def _refused(row: TableRow, code: str, *errors: tuple[str, str]) -> _Judged:
    return _Judged(RowReport(row.line, code, REFUSED, None, errors))


async def _write(session: AsyncSession, now: dt.datetime, actor: Actor, judged: Sequence[_Judged], reason: str, *, submit: bool) -> None:
    fresh = [one.kind for one in judged if one.kind is not None and one.draft is None]
    await add_versions(session, now, actor, fresh, TypeMove.WRITE, reason)
    for one in judged:
        if one.kind is not None and one.draft is not None:
            await rewrite(session, now, one.draft, one.kind, actor, reason)
    if submit:
        await _submit(session, now, actor, [one.kind for one in judged if one.kind is not None], reason)
    for one in judged:
        if one.kind is not None and (submit or one.report.outcome == CHANGED):
            await refresh(session, now, one.kind.code)


async def _submit(session: AsyncSession, now: dt.datetime, actor: Actor, kinds: Sequence[CertificateType], reason: str) -> None:
    codes = [one.code for one in kinds]
    query = select(TypeVersionRow).where(TypeVersionRow.type_code.in_(codes), TypeVersionRow.status == TypeStatus.DRAFT)
    for row in await session.scalars(query):
        await move_version(session, now, row, TypeMove.SUBMIT, actor, reason)


async def _audit(session: AsyncSession, now: dt.datetime, actor: Actor, judged: Sequence[_Judged], document: bytes) -> None:
    counts = {outcome: sum(one.report.outcome == outcome for one in judged) for outcome in (NEW, CHANGED, UNCHANGED, REFUSED)}
    details: dict[str, JSON] = {"file": digest(document.decode("utf-8", "replace")), **counts}
    await record(session, now, Event("certs.type.import", "catalogue", Outcome.DONE, actor, details))
