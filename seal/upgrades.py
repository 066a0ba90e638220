"""Keeping sealed files provable: upgraded to B-LTA, and stamped again before certificates or algorithms age.

1. :func:`enrol`      in the transaction that issues the file: it has a place in the list, or it does not exist
2. :func:`keep_up`    in the background: take what is due, write the new version to the files, then say so in one transaction

Files are content-addressed and never changed, so a kill between the steps leaves the old version in force and at most a file that
nobody names; the work is due again. Every version there ever was leads to the file it is of: :func:`version_of` answers by the hash
somebody has, :func:`current_hash` by the hash the file was issued under. The record that was issued keeps its hash for ever.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import SYSTEM
from keys.base.blobs import BlobStore
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event
from seal.levels_obtaining import Obtaining, Upgraded, add_document_timestamp
from seal.upgrade_models import SealedFileRow, SealedVersionRow
from seal.upgrade_policy import LEAST, Renewal, Stamping

log = structlog.get_logger("fujie.seal.upgrades")

BATCH = 20
IN_HAND = dt.timedelta(minutes=5)
PAUSE = dt.timedelta(minutes=1)
LONGEST_PAUSE = dt.timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Upgrading:
    """What the background needs. ``clock`` is the guard: a wrong clock would find nothing due, or everything."""

    database: Database
    clock: Clock
    blobs: BlobStore
    obtaining: Obtaining
    renewal: Renewal = field(default_factory=Renewal)


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a sealed file: ``first_hash`` is what it was issued as, ``current_hash`` its newest version."""

    subject: str
    document_hash: bytes
    level: str
    first_hash: bytes
    current_hash: bytes

    @property
    def superseded(self) -> bool:
        return self.document_hash != self.current_hash


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many files are kept, how many are due, how many of those failed last time, and the instant the oldest was due."""

    kept: int
    due: int
    failing: int
    oldest: dt.datetime | None


async def enrol(
    session: AsyncSession, now: dt.datetime, subject: str, document_hash: bytes, level: str = "PAdES-B-B",
    stamping: Stamping | None = None, due: dt.datetime | None = None,
) -> None:  # fmt: skip
    """Keep this file provable from now on, in the caller's transaction; enrolling it again changes nothing.

    ``stamping``  its last document time stamp, and ``due`` when the next is wanted; None: it has none, and is upgraded at once
    """
    file = {
        "id": new_id(), "subject": subject, "first_hash": document_hash, "current_hash": document_hash, "level": level,
        "enrolled_at": now, "due_at": due or now, "next_attempt_at": due or now, "attempts": 0,
    }  # fmt: skip
    statement = insert(SealedFileRow).values(file).on_conflict_do_nothing().returning(SealedFileRow.id)
    file_id = (await session.execute(statement)).scalar_one_or_none()
    if file_id is not None:
        stamped = (stamping.instant, stamping.ends, stamping.algorithm) if stamping else (None, None, None)
        ages = dict(zip(("stamped_at", "ends_at", "algorithm"), stamped, strict=True))
        session.add(SealedVersionRow(document_hash=document_hash, file_id=file_id, level=level, made_at=now, **ages))


async def current_hash(session: AsyncSession, first_hash: bytes) -> bytes:
    """The newest version of the file that was issued with this hash: itself, if it is not kept up."""
    found = await session.scalar(select(SealedFileRow.current_hash).where(SealedFileRow.first_hash == first_hash))
    return found or first_hash


async def version_of(session: AsyncSession, document_hash: bytes) -> Version | None:
    """The file that somebody has a version of, by that version's hash; None: not one that is kept up."""
    query = select(SealedVersionRow, SealedFileRow).join(SealedFileRow, SealedFileRow.id == SealedVersionRow.file_id)
    found = (await session.execute(query.where(SealedVersionRow.document_hash == document_hash))).one_or_none()
    if found is None:
        return None
    version, file = found
    return Version(file.subject, version.document_hash, version.level, file.first_hash, file.current_hash)


async def backlog(session: AsyncSession, now: dt.datetime) -> Backlog:
    is_due = SealedFileRow.due_at <= now
    row = await session.execute(
        select(
            func.count(),
            func.count().filter(is_due),
            func.count().filter(is_due, SealedFileRow.failure.is_not(None)),
            func.min(SealedFileRow.due_at).filter(is_due),
        ).select_from(SealedFileRow)
    )
    kept, due, failing, oldest = row.one()
    return Backlog(kept, due, failing, oldest)


async def keep_up(upgrading: Upgrading) -> int:
    """Upgrade and renew what is due until nothing is left or the first failure; how many new versions were made."""
    count = 0
    await _announce(upgrading)
    while taken := await _take(upgrading):
        for number, file in enumerate(taken):
            if not await _renew(upgrading, file):
                await _put_back(upgrading, [one.id for one in taken[number + 1 :]])
                return count
            count += 1
    return count


async def _announce(upgrading: Upgrading) -> None:
    """An end of a digest that was announced since makes what was stamped over it due earlier: :meth:`Renewal.due` in SQL."""
    version, zero = SealedVersionRow, dt.timedelta()
    async with upgrading.database.begin() as session:
        for algorithm, sunset in upgrading.renewal.sunsets.items():
            if sunset is None:
                continue
            end = func.least(version.ends_at, sunset)
            half = version.stamped_at + func.greatest(end - version.stamped_at, zero) / 2
            due = func.greatest(end - upgrading.renewal.margin, half, version.stamped_at + LEAST)
            newest = (version.document_hash == SealedFileRow.current_hash, version.algorithm == algorithm)
            sooner = update(SealedFileRow).where(*newest, SealedFileRow.due_at > due).values(due_at=due, next_attempt_at=due)
            await session.execute(sooner, execution_options={"synchronize_session": False})


async def _take(upgrading: Upgrading) -> Sequence[SealedFileRow]:
    """The longest due, in hand for a while: no other process takes them, and a kill leaves them due."""
    now = upgrading.clock.now()
    due = (
        select(SealedFileRow.id)
        .where(SealedFileRow.due_at <= now, SealedFileRow.next_attempt_at <= now)
        .order_by(SealedFileRow.due_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    statement = update(SealedFileRow).where(SealedFileRow.id.in_(due)).values(next_attempt_at=now + IN_HAND).returning(SealedFileRow)
    async with upgrading.database.begin() as session:
        rows = await session.scalars(statement, execution_options={"synchronize_session": False})
        return sorted(rows, key=lambda row: row.due_at)


async def _renew(upgrading: Upgrading, file: SealedFileRow) -> bool:
    """One file: stamp, store, record. A failure is noted and leaves it due."""
    try:
        pdf = await upgrading.blobs.get(file.current_hash)
        algorithm = upgrading.renewal.algorithm(upgrading.clock.now())
        made = await add_document_timestamp(upgrading.obtaining, pdf, algorithm)
        digest = await upgrading.blobs.put(made.pdf)
        await _record(upgrading, file, made, digest)
    except FujieError as error:
        log.warning("a sealed file waits for its time stamp", file=file.subject, code=error.code, detail=error.detail)
        await _note_failure(upgrading, file, error.code)
        return False
    return True


async def _record(upgrading: Upgrading, file: SealedFileRow, made: Upgraded, digest: bytes) -> None:
    """The new version is in force from this commit on; whoever was faster keeps theirs."""
    now = upgrading.clock.now()
    due = upgrading.renewal.due(Stamping(made.stamped_at, made.ends_at, made.algorithm))
    values = {"current_hash": digest, "level": made.level, "due_at": due, "next_attempt_at": due, "attempts": 0, "failure": None}
    async with upgrading.database.begin() as session:
        unchanged = (SealedFileRow.id == file.id, SealedFileRow.current_hash == file.current_hash)
        won = await session.scalar(update(SealedFileRow).where(*unchanged).values(values).returning(SealedFileRow.id))
        if won is None:
            return
        session.add(_version(file.id, made, digest, now))
        details: dict[str, audit.JSON] = {"from": file.current_hash.hex(), "to": digest.hex(), "level": made.level, "due": due.isoformat()}
        await audit.record(session, now, Event("seal.upgrade", file.subject, audit.Outcome.DONE, SYSTEM, details))


def _version(file_id: uuid.UUID, made: Upgraded, digest: bytes, now: dt.datetime) -> SealedVersionRow:
    return SealedVersionRow(
        document_hash=digest, file_id=file_id, level=made.level, made_at=now,
        stamped_at=made.stamped_at, ends_at=made.ends_at, algorithm=made.algorithm,
    )  # fmt: skip


async def _note_failure(upgrading: Upgrading, file: SealedFileRow, code: str) -> None:
    """Tried again later, and ever later: but never given up."""
    pause = min(PAUSE * 2 ** min(file.attempts, 16), LONGEST_PAUSE)
    values = {"attempts": file.attempts + 1, "failure": code, "next_attempt_at": upgrading.clock.now() + pause}
    async with upgrading.database.begin() as session:
        await session.execute(update(SealedFileRow).where(SealedFileRow.id == file.id).values(values))


async def _put_back(upgrading: Upgrading, ids: Sequence[uuid.UUID]) -> None:
    async with upgrading.database.begin() as session:
        await session.execute(update(SealedFileRow).where(SealedFileRow.id.in_(ids)).values(next_attempt_at=upgrading.clock.now()))
