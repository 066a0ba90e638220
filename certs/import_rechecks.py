"""Checking again what an import brought: by today's rules, catalogue and registers. Records stand as they are; their flags change.

1. open    a re-check of one import; it goes on where it stopped, whichever process takes it
2. judge   each record as if it were a row once more. What only the file could tell (its form, its characters) stays as it was told;
           so do numbers masked in texts, and who imported it
3. match   against the registers, and whether another record still has the identifier
4. write   changed flags, what was gained and lost, the position: one transaction a batch
"""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, text, update

from certs.catalogue import CertificateType
from certs.holders import open_number
from certs.import_jobs import require_importer
from certs.ingestion import Ingestion
from certs.ingestion_models import RecheckRow
from certs.ingestion_rules import SEVERAL, judge
from certs.models import CertificateRow, HolderRow, ImportFlagRow, ImportRow
from certs.reads import all_types
from certs.records import DISPOSED
from identity.numbers import CodeType
from identity.reads import unregistered
from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession
from keys.base.errors import NotFound
from keys.base.ids import new_id
from keys.evidence.audit import JSON, Event, Outcome, record

BATCH = 500
OF_THE_FILE = frozenset(
    {"malformed_row", "encoding", "number_in_text", "type_mismatch", "holder_count", "issuer_foreign", "row_too_long", "file_missing"}
)
"""What only the file could tell: it stays."""
_OTHERS = text(
    "SELECT one.id FROM certs.certificates AS one WHERE one.id = ANY(:ids) AND EXISTS (SELECT 1 FROM certs.certificates AS other"
    " WHERE other.identifier = one.identifier AND NOT other.duplicate AND other.identifier <> '' AND other.id <> one.id)"
)


@dataclass(frozen=True, slots=True)
class RecheckView:
    """A re-check and what it found: rows that gained or lost each flag."""

    id: uuid.UUID
    import_id: uuid.UUID
    rows: int
    gained: dict[str, int]
    lost: dict[str, int]
    started_at: dt.datetime
    finished_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class _Judged:
    row: CertificateRow
    flags: tuple[str, ...]


async def request_recheck(ingestion: Ingestion, actor: Actor, import_id: uuid.UUID) -> RecheckView:
    """Step 1. One that is under way is answered again. ``NotFound`` for an import of somebody else or one that stored nothing."""
    now = ingestion.clock.now()
    async with ingestion.database.begin() as session:
        found = await session.get(ImportRow, import_id, with_for_update=True)
        own = actor.kind is ActorKind.SYSTEM or (found is not None and found.organisation == require_importer(actor))
        if found is None or not own or found.dry_run or not found.finished:
            raise NotFound("import")
        under_way = select(RecheckRow).where(RecheckRow.import_id == import_id, RecheckRow.finished_at.is_(None))
        row = await session.scalar(under_way)
        if row is None:
            row = RecheckRow(
                id=new_id(), import_id=import_id, cursor=None, rows_done=0, gained={}, lost={}, started_at=now, finished_at=None,
                actor={"kind": actor.kind.value, "id": actor.id, "name": actor.name, "organisation": actor.organisation},
            )  # fmt: skip
            session.add(row)
            await record(session, now, Event("certs.import.recheck", f"import:{import_id}", Outcome.INTENT, actor))
        return to_recheck(row)


async def rechecks_of(ingestion: Ingestion, import_id: uuid.UUID) -> tuple[RecheckView, ...]:
    """Those of an import, the newest first; who may see it was decided with the import."""
    async with ingestion.database.session() as session:
        rows = await session.scalars(select(RecheckRow).where(RecheckRow.import_id == import_id).order_by(RecheckRow.id.desc()))
        return tuple(to_recheck(row) for row in rows)


def to_recheck(row: RecheckRow) -> RecheckView:
    """The view of a row."""
    return RecheckView(row.id, row.import_id, row.rows_done, dict(row.gained), dict(row.lost), row.started_at, row.finished_at)


async def work_rechecks(ingestion: Ingestion) -> int:
    """Steps 2 to 4 for the oldest that is under way, to its end; rows done. Any number of processes may do it at once."""
    async with ingestion.database.session() as session:
        types = await all_types(session)
    done = 0
    while (batch := await _batch(ingestion, types)) is not None:
        done += batch
    return done


async def _batch(ingestion: Ingestion, types: Mapping[str, CertificateType]) -> int | None:
    """One batch; None where nothing is under way, or another process has it."""
    now = ingestion.clock.now()
    async with ingestion.database.begin() as session:
        waiting = select(RecheckRow).where(RecheckRow.finished_at.is_(None)).order_by(RecheckRow.id).limit(1)
        check = await session.scalar(waiting.with_for_update(skip_locked=True))
        if check is None:
            return None
        own = select(CertificateRow).where(CertificateRow.import_id == check.import_id).order_by(CertificateRow.id).limit(BATCH)
        rows = (await session.scalars(own.where(CertificateRow.id > check.cursor) if check.cursor else own)).all()
        judged = await _judge(ingestion, session, [row for row in rows if DISPOSED not in row.flags], types)
        gained, lost = await _write(session, check.import_id, judged)
        check.gained, check.lost = dict(Counter(check.gained) + gained), dict(Counter(check.lost) + lost)
        check.rows_done += len(rows)
        if rows:
            check.cursor = rows[-1].id
        if len(rows) < BATCH:
            await _finish(session, check, now)
        return len(rows)


async def _judge(
    ingestion: Ingestion, session: AsyncSession, rows: Sequence[CertificateRow], types: Mapping[str, CertificateType]
) -> list[_Judged]:
    ids = [row.id for row in rows]
    held: dict[uuid.UUID, list[HolderRow]] = {}
    found = select(HolderRow).where(HolderRow.certificate_id.in_(ids)).order_by(HolderRow.certificate_id, HolderRow.position)
    for one in await session.scalars(found):
        held.setdefault(one.certificate_id, []).append(one)
    repeated = set(await session.scalars(_OTHERS, {"ids": ids}))
    people = {one.code_index for ones in held.values() for one in ones if one.code_type in ("111", "X81") and one.code_index}
    legal = {one.code for ones in held.values() for one in ones if one.code_type == CodeType.USCC and one.code}
    unknown_people, unknown_legal = await unregistered(session, people, legal)
    judged = []
    for row in rows:
        holders = held.get(row.id, [])
        flags = _flags(ingestion, row, holders, types)
        if row.duplicate and row.id in repeated:
            flags.append("duplicate_identifier")
        unknown = any(one.code_index in unknown_people or one.code in unknown_legal for one in holders)
        if unknown and "holder_code_check" not in flags:
            flags.append("holder_unknown")
        judged.append(_Judged(row, tuple(dict.fromkeys(flags))))
    return judged


def _flags(ingestion: Ingestion, row: CertificateRow, holders: Sequence[HolderRow], types: Mapping[str, CertificateType]) -> list[str]:
    """What the rules say of the record today, and what the file said."""
    kept = [flag for flag in row.flags if flag in OF_THE_FILE]
    if "malformed_row" in kept and not holders:
        return list(row.flags)
    said = judge(_as_row(ingestion, row, holders, types), types).flags
    return [*(flag for flag in said if flag not in OF_THE_FILE), *kept]


def _as_row(
    ingestion: Ingestion, row: CertificateRow, holders: Sequence[HolderRow], types: Mapping[str, CertificateType]
) -> dict[str, str]:
    """The record as a row of GB/T 36903. A day that could not be read stands among the fields."""
    kind = types.get(row.type_code)
    short = {one.name: one.short for one in kind.fields} if kind else {}
    days = {"ZZBFRQ": row.issued_on, "ZZYXQQSRQ": row.valid_from, "ZZYXQJZRQ": row.valid_to}
    return {
        **{short.get(name, name): str(value) for name, value in row.fields.items()},
        **{name: day.isoformat() for name, day in days.items() if day is not None},
        "ZZLXDM": row.type_code, "ZZMC": row.type_name, "ZZBH": row.number, "ZZBS": row.identifier, "ZZBFJG": row.issuer_name,
        "ZZBFJGDM": row.issuer, "CZZT": SEVERAL.join(one.name for one in holders),
        "CZZTDM": SEVERAL.join(open_number(ingestion.personal, one) for one in holders),
        "CZZTDMLXDM": SEVERAL.join(one.code_type for one in holders),
    }  # fmt: skip


async def _write(session: AsyncSession, import_id: uuid.UUID, judged: Sequence[_Judged]) -> tuple[Counter[str], Counter[str]]:
    gained, lost = Counter[str](), Counter[str]()
    for one in judged:
        before, after = set(one.row.flags), set(one.flags)
        if before == after:
            continue
        gained.update(after - before)
        lost.update(before - after)
        one.row.flags = list(one.flags)
        told = update(ImportFlagRow).where(ImportFlagRow.import_id == import_id, ImportFlagRow.certificate_id == one.row.id)
        await session.execute(told.values(flags=list(one.flags)))
    return gained, lost


async def _finish(session: AsyncSession, check: RecheckRow, now: dt.datetime) -> None:
    check.finished_at = now
    details: dict[str, JSON] = {"rows": check.rows_done, "gained": sum(check.gained.values()), "lost": sum(check.lost.values())}
    values = check.actor
    actor = Actor(ActorKind(values["kind"]), values["id"], values["name"], values["organisation"])
    await record(session, now, Event("certs.import.recheck", f"import:{check.import_id}", Outcome.DONE, actor, details))
