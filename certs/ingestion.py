"""Importing certificates that were issued elsewhere.

1. read    the file's hash names the job: the same file continues, or is already done
2. judge   each row: flagged, never refused (``certs.ingestion_rules``)
3. match   of several rows with one identifier the first is clean
4. store   a batch of records and the job's new position in one transaction, so that a killed import goes on where it stopped
5. finish  the job is closed and audited
"""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from certs.catalogue import CertificateType
from certs.holders import holder_values
from certs.ingestion_files import SourceRow, file_digest, read_rows
from certs.ingestion_rules import Draft, judge
from certs.lifecycle import Operation, Status
from certs.models import CertificateRow, EventRow, HolderRow, ImportFlagRow, ImportRow
from certs.reads import all_types, known_identifiers
from certs.records import Source, Stage
from identity.personal_data import PersonalData
from keys.base.actor import Actor
from keys.base.blobs import BlobStore
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict
from keys.base.ids import new_id
from keys.evidence.audit import JSON, Event, Outcome, record

BATCH = 500
_MAX_FILE = 64 << 20
_DOCUMENTS = (b"%PDF", b"PK\x03\x04")  # PDF, OFD
_LOCK = 0x66756A6965  # of all imports into one database: "the first row is clean" needs one order


class ImportRunning(Conflict):
    """Another process is importing this very file."""

    code = "IMPORT_RUNNING"
    public = ("该文件正在由另一进程导入。", "Another process is importing this file.")


@dataclass(frozen=True, slots=True)
class Ingestion:
    """What an import needs. ``progress`` is told (rows done, octets read, flagged rows)."""

    database: Database
    personal: PersonalData
    clock: Clock
    blobs: BlobStore
    progress: Callable[[int, int, int], None] = lambda rows, octets, flagged: None


@dataclass(frozen=True, slots=True)
class Request:
    """``type_code``: every row is of this type, else its own ``ZZLXDM`` counts. ``grade``: trust grade A to D (STANDARDS §1)."""

    path: Path
    type_code: str = ""
    grade: str = "B"
    encoding: str = "utf-8"
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class FlaggedRow:
    line: int
    identifier: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """``rows``: all rows of the file; ``resumed_at``: how many of them an earlier run had stored already."""

    import_id: uuid.UUID | None
    rows: int
    resumed_at: int
    already_done: bool
    flag_counts: dict[str, int]
    flagged: tuple[FlaggedRow, ...]


@dataclass(slots=True)
class _Tally:
    """What a run counts as it goes."""

    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    flagged: list[FlaggedRow] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Judged:
    line: int
    draft: Draft
    document_hash: bytes | None = None


async def import_file(ingestion: Ingestion, actor: Actor, request: Request) -> Report:
    """Import a file, or go on with it. Raises ``ImportUnreadable``, :class:`ImportRunning`, ``OSError``."""
    async with ingestion.database.session() as session:
        types = await all_types(session)
    if request.dry_run:
        return await _rehearse(ingestion, request, types)
    job = await _open_job(ingestion, actor, request)
    if job.finished:
        return await _report(ingestion, job.id, job.rows_done, already_done=True)
    await _store_all(ingestion, request, types, job)
    await _close_job(ingestion, actor, job.id)
    return await _report(ingestion, job.id, job.rows_done)


async def _open_job(ingestion: Ingestion, actor: Actor, request: Request) -> ImportRow:
    digest, now = file_digest(request.path), ingestion.clock.now()
    next(read_rows(request.path, request.encoding), None)  # an unreadable file opens no job
    async with ingestion.database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        same = select(ImportRow).where(ImportRow.file_hash == digest, ImportRow.type_code == request.type_code)
        found = (await session.scalars(same)).one_or_none()
        if found is not None:
            return found
        job = ImportRow(
            id=new_id(), file_hash=digest, type_code=request.type_code, file_name=request.path.name,
            rows_done=0, finished=False, flag_counts={}, started_at=now, finished_at=None,
        )  # fmt: skip
        session.add(job)
        details: dict[str, JSON] = {"file": digest.hex(), "type": request.type_code}
        await record(session, now, Event("certs.import.open", f"import:{job.id}", Outcome.INTENT, actor, details))
    return job


async def _store_all(ingestion: Ingestion, request: Request, types: dict[str, CertificateType], job: ImportRow) -> None:
    tally = _Tally(rows=job.rows_done)
    rows = islice(read_rows(request.path, request.encoding), job.rows_done, None)
    for batch in _batches(rows):
        judged = [await _attach(ingestion, request, _judge(row, types, request.type_code)) for row in batch]
        await _store(ingestion, request, job.id, judged, tally)
        ingestion.progress(tally.rows, batch[-1].octets, len(tally.flagged))


def _batches(rows: Iterator[SourceRow]) -> Iterator[list[SourceRow]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _judge(row: SourceRow, types: dict[str, CertificateType], type_code: str) -> _Judged:
    draft = judge(row.values, types, type_code)
    return _Judged(row.line, replace(draft, flags=(*draft.flags, "malformed_row")) if row.malformed else draft)


async def _attach(ingestion: Ingestion, request: Request, judged: _Judged) -> _Judged:
    """Take in the row's own file, if it names one that lies beside or below the import file."""
    if not judged.draft.file:
        return judged
    data = _read_attached(request.path.parent, judged.draft.file)
    if data is None:
        return replace(judged, draft=replace(judged.draft, flags=(*judged.draft.flags, "file_missing")))
    return judged if request.dry_run else replace(judged, document_hash=await ingestion.blobs.put(data))


def _read_attached(folder: Path, name: str) -> bytes | None:
    """The file beside or below the import file, if it is a document; a row can make nothing else of this machine a certificate."""
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file() or path.stat().st_size > _MAX_FILE:
            return None
        data = path.read_bytes()
    except (OSError, ValueError):  # any text may stand there: too long for a name, not to be read, …
        return None
    return data if data.startswith(_DOCUMENTS) else None


async def _store(ingestion: Ingestion, request: Request, import_id: uuid.UUID, batch: list[_Judged], tally: _Tally) -> None:
    now = ingestion.clock.now()
    async with ingestion.database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        job = await session.get_one(ImportRow, import_id, with_for_update=True)
        if job.rows_done != tally.rows:
            raise ImportRunning(f"import {import_id} is at row {job.rows_done}")
        matched = await _match(session, batch, tally)
        await _insert(session, ingestion, request, import_id, matched, now)
        _count(matched, tally)
        job.rows_done = tally.rows
        job.flag_counts = dict(Counter(job.flag_counts) + _flags_of(matched))


async def _match(session: AsyncSession, batch: Sequence[_Judged], tally: _Tally) -> list[_Judged]:
    """Flag every row whose identifier an earlier row or record has."""
    identifiers = {one.draft.identifier for one in batch if one.draft.identifier}
    known = tally.seen | await known_identifiers(session, list(identifiers))
    matched = []
    for one in batch:
        duplicate = one.draft.identifier in known
        if one.draft.identifier:
            known.add(one.draft.identifier)
        draft = replace(one.draft, flags=(*one.draft.flags, "duplicate_identifier")) if duplicate else one.draft
        matched.append(replace(one, draft=draft))
    return matched


def _flags_of(batch: Sequence[_Judged]) -> Counter[str]:
    return Counter(flag for one in batch for flag in one.draft.flags)


def _count(batch: Sequence[_Judged], tally: _Tally) -> None:
    tally.rows += len(batch)
    tally.counts += _flags_of(batch)
    tally.flagged += [FlaggedRow(one.line, one.draft.identifier, one.draft.flags) for one in batch if one.draft.flags]


async def _insert(
    session: AsyncSession, ingestion: Ingestion, request: Request, import_id: uuid.UUID, batch: Sequence[_Judged], now: dt.datetime
) -> None:
    ids = [new_id() for _ in batch]
    pairs = list(zip(ids, batch, strict=True))
    await session.execute(insert(CertificateRow), [_certificate_values(key, one, request.grade, now) for key, one in pairs])
    holders = [
        holder_values(ingestion.personal, key, position, name=one.name, code_type=one.code_type, code=one.code)
        for key, judged in pairs
        for position, one in enumerate(judged.draft.holders)
    ]
    if holders:
        await session.execute(insert(HolderRow), holders)
    await session.execute(insert(EventRow), [_event_values(key, now) for key in ids])
    flagged = [
        {
            "import_id": import_id,
            "line": one.line,
            "certificate_id": key,
            "identifier": one.draft.identifier,
            "flags": list(one.draft.flags),
        }
        for key, one in pairs
        if one.draft.flags
    ]
    if flagged:
        await session.execute(insert(ImportFlagRow), flagged)


def _certificate_values(certificate_id: uuid.UUID, judged: _Judged, grade: str, now: dt.datetime) -> dict[str, Any]:
    draft = judged.draft
    shared = (
        "type_code", "type_name", "number", "identifier", "issuer", "issuer_name", "division", "issued_on", "valid_from", "valid_to",
    )  # fmt: skip
    return {
        **{name: getattr(draft, name) for name in shared},
        "id": certificate_id,
        "stage": Stage.ISSUED.value,
        "status": Status.VALID.value,
        "source": Source.IMPORTED.value,
        "duplicate": "duplicate_identifier" in draft.flags,
        "fields": dict(draft.fields),
        "document_hash": judged.document_hash,
        "trust_grade": grade,
        "flags": list(draft.flags),
        "created_at": now,
    }


def _event_values(certificate_id: uuid.UUID, now: dt.datetime) -> dict[str, Any]:
    return {
        "id": new_id(), "certificate_id": certificate_id, "at": now, "operation": Operation.OTHER.value, "from_status": None,
        "to_status": Status.VALID.value, "reason": "import", "actor_kind": "system", "actor_id": "import", "actor_name": "import",
    }  # fmt: skip


async def _close_job(ingestion: Ingestion, actor: Actor, import_id: uuid.UUID) -> None:
    now = ingestion.clock.now()
    async with ingestion.database.begin() as session:
        job = await session.get_one(ImportRow, import_id, with_for_update=True)
        job.finished, job.finished_at = True, now
        details: dict[str, JSON] = {"rows": job.rows_done, "flags": sum(job.flag_counts.values())}
        await record(session, now, Event("certs.import.close", f"import:{import_id}", Outcome.DONE, actor, details))


async def _report(ingestion: Ingestion, import_id: uuid.UUID, resumed_at: int, *, already_done: bool = False) -> Report:
    async with ingestion.database.session() as session:
        job = await session.get_one(ImportRow, import_id)
        flagged = await session.scalars(select(ImportFlagRow).where(ImportFlagRow.import_id == import_id).order_by(ImportFlagRow.line))
        rows = tuple(FlaggedRow(row.line, row.identifier, tuple(row.flags)) for row in flagged)
    return Report(import_id, job.rows_done, resumed_at, already_done, dict(job.flag_counts), rows)


async def _rehearse(ingestion: Ingestion, request: Request, types: dict[str, CertificateType]) -> Report:
    """Judge the whole file and write nothing."""
    tally = _Tally()
    async with ingestion.database.session() as session:
        for batch in _batches(read_rows(request.path, request.encoding)):
            judged = [await _attach(ingestion, request, _judge(row, types, request.type_code)) for row in batch]
            matched = await _match(session, judged, tally)
            _count(matched, tally)
            tally.seen.update(one.draft.identifier for one in matched if one.draft.identifier)
            ingestion.progress(tally.rows, batch[-1].octets, len(tally.flagged))
    return Report(None, tally.rows, 0, False, dict(tally.counts), tuple(tally.flagged))
