"""The register of seals as a feed: what others take from us, and what we take from them. ``docs/seals.md`` describes the lines.

JSON lines, one step in the life of one seal each, in the order in which they were committed; ``position`` grows from line to line, and who
took everything up to one position goes on after it. Members are named as the national feed names them; ``invalidType`` is 0 吊销,
1 撤销, 2 挂失, null for what is no end. The document that fixes the national feed is not public: the names are ours to change
(STANDARDS.md §3 [open]), hence ``format``.

:func:`export`
  1. wait for the moves under way, so that no line is committed behind one that was read
  2. read on from the position, filed seals only; each line stands by itself

:func:`take`
  1. each line must be complete and well-formed, of a seal the registry may speak of, and of no code of ours; else it is flagged and
     nothing of it is kept
  2. a batch of lines and the position after it are one transaction: an import that was broken off goes on where it stopped
"""

import datetime as dt
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.evidence.audit import Event, Outcome, record
from seal.changes import FEED_LOCK
from seal.codes import is_code, owner_of, take_code
from seal.life_models import FeedImportRow, ForeignSealRow, ForeignStatusRow
from seal.lifecycle import MOVES, Move, Status
from seal.models import SealRow, StatusChangeRow
from seal.motives import InvalidType, invalid_type
from seal.public_status import PUBLIC, instant_text
from seal.registries import Registry, get_registry
from seal.status_list import read_instant

FORMAT = "fujie-seal-feed/1"
BATCH = 500
LONGEST_LINE = 16 << 10
_TEXT = {"sealName": 200, "sealType": 40, "orgCode": 18}
_STATUSES = frozenset(str(one) for one in PUBLIC)
_ENDS = {Status.LOST: {InvalidType.LOST}, Status.CANCELLED: {InvalidType.WITHDRAWN, InvalidType.REVOKED}}
_ORG = re.compile(r"[0-9A-Z]{18}|[0-9A-Z]{9}|")
JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Flag:
    """A line that was not taken: its number from 1, and why (one code)."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Taken:
    """``position``: of the last line taken or passed over; ``known``: lines that an earlier import had taken."""

    position: int
    taken: int
    known: int
    flags: tuple[Flag, ...]


# --- export --------------------------------------------------------------------------------------------------------------------


async def export(database: Database, *, after: int = 0, since: dt.datetime | None = None, limit: int = BATCH) -> list[JSON]:
    """The lines after a position, at most ``limit``; ``since``: only what was recorded from this instant on."""
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(FEED_LOCK)))
        last = await session.scalar(select(func.max(StatusChangeRow.id)))
    async with database.session() as session:
        return [_line(*row) for row in await session.execute(_changes(after, since, last or 0, limit))]


async def export_all(database: Database, *, after: int = 0, since: dt.datetime | None = None) -> AsyncIterator[JSON]:
    """Every line after a position."""
    while lines := await export(database, after=after, since=since):
        for line in lines:
            yield line
        after = lines[-1]["position"]


def _changes(after: int, since: dt.datetime | None, last: int, limit: int) -> Any:
    before, next_ = aliased(SealRow), aliased(SealRow)
    change = StatusChangeRow
    query = (
        select(change, SealRow, before.code, next_.code)
        .join(SealRow, SealRow.id == change.seal_id)
        .outerjoin(before, before.id == SealRow.predecessor)
        .outerjoin(next_, next_.id == SealRow.successor)
    )
    filed = select(change.id).where(change.seal_id == SealRow.id, change.move == Move.FILE).correlate(SealRow).exists()
    query = query.where(change.id > after, change.id <= last, change.new.in_([*_STATUSES]), filed)
    if since is not None:
        query = query.where(change.recorded_at >= since)
    return query.order_by(change.id).limit(limit)


def _line(change: StatusChangeRow, seal: SealRow, predecessor: str | None, successor: str | None) -> JSON:
    ended = invalid_type(Move(change.move), change.reason_code)
    return {
        "format": FORMAT,
        "position": change.id,
        "sealCode": seal.code,
        "sealName": seal.name,
        "sealType": seal.kind,
        "orgCode": seal.organisation,
        "orgName": seal.organisation_name,
        "areaCode": seal.division,
        "validStart": instant_text(seal.valid_from),
        "validEnd": instant_text(seal.valid_to),
        "status": MOVES[Move(change.move)].target.value,
        "changeTime": instant_text(change.at),
        "recordTime": instant_text(change.recorded_at),
        "invalidType": None if ended is None else int(ended),
        "reasonCode": change.reason_code,
        "predecessor": predecessor,
        "successor": successor if change.move == Move.REPLACE else None,
    }


# --- import --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FeedLine:
    """A line that can be taken."""

    position: int
    code: str
    name: str
    kind: str
    organisation: str
    valid_from: dt.datetime
    valid_to: dt.datetime
    status: Status
    at: dt.datetime
    invalid_type: int | None


def read_line(octets: bytes) -> FeedLine | str:
    """The line, or the code of what is wrong with it. Pure; nothing of a line that is wrong is used."""
    if len(octets) > LONGEST_LINE:
        return "LINE_TOO_LONG"
    try:
        document = orjson.loads(octets)
    except orjson.JSONDecodeError:
        return "NO_JSON"
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return "FORMAT_UNKNOWN"
    if (fault := _fault(document)) is not None:
        return fault
    try:
        times = [read_instant(document[name]) for name in ("validStart", "validEnd", "changeTime")]
    except (ValueError, TypeError, KeyError, OverflowError):
        return "INSTANT_MALFORMED"
    if times[0] >= times[1]:
        return "PERIOD_EMPTY"
    texts = (document["sealName"], document["sealType"], document["orgCode"])
    status = Status(document["status"])
    return FeedLine(document["position"], document["sealCode"], *texts, times[0], times[1], status, times[2], document["invalidType"])


def _fault(document: JSON) -> str | None:
    position, code, status = document.get("position"), document.get("sealCode"), document.get("status")
    known = isinstance(status, str) and status in _STATUSES
    checks = (
        (isinstance(position, int) and not isinstance(position, bool) and 0 < position < 1 << 62, "POSITION_MALFORMED"),
        (isinstance(code, str) and is_code(code), "CODE_MALFORMED"),
        (all(_is_text(document.get(name), longest) for name, longest in _TEXT.items()), "TEXT_MALFORMED"),
        (_ORG.fullmatch(str(document.get("orgCode"))) is not None, "ORGANISATION_MALFORMED"),
        (known, "STATUS_UNKNOWN"),
        (known and "invalidType" in document and _end_fits(str(status), document["invalidType"]), "INVALID_TYPE_UNSUITABLE"),
    )
    return next((fault for right, fault in checks if not right), None)


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest and "\0" not in value and value.isprintable()


def _end_fits(status: str, ended: object) -> bool:
    """An end says which; what is no end says none."""
    if isinstance(ended, bool) or not isinstance(ended, int | None):
        return False
    allowed = _ENDS.get(Status(status))
    return ended is None if allowed is None else ended in allowed


async def take(database: Database, clock: Clock, actor: Actor, name: str, lines: Iterable[bytes]) -> Taken:
    """See the module's steps. Raises ``SealRegistryUnknown``; a line that is wrong is flagged, never raised."""
    async with database.session() as session:
        registry = await get_registry(session, name)
        known = await session.get(FeedImportRow, name)
    done = Taken(known.position if known else 0, 0, 0, ())
    for batch in _batches(lines):
        done = await _take_batch(database, clock, registry, batch, done)
    async with database.begin() as session:
        details = {"taken": done.taken, "known": done.known, "flagged": len(done.flags), "position": done.position}
        await record(session, clock.now(), Event("seal.feed.import", f"seal-registry:{name}", Outcome.DONE, actor, details))
    return done


def _batches(lines: Iterable[bytes]) -> Iterator[list[tuple[int, bytes]]]:
    batch: list[tuple[int, bytes]] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            batch.append((number, line))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _take_batch(database: Database, clock: Clock, registry: Registry, batch: list[tuple[int, bytes]], done: Taken) -> Taken:
    async with database.begin() as session:
        for number, octets in batch:
            done = await _take_line(session, clock.now(), registry, number, octets, done)
        values = {"position": done.position, "taken": done.taken, "flagged": len(done.flags), "at": clock.now()}
        new = insert(FeedImportRow).values(source=registry.name, **values)
        await session.execute(new.on_conflict_do_update(index_elements=["source"], set_=values))
    return done


async def _take_line(session: AsyncSession, now: dt.datetime, registry: Registry, number: int, octets: bytes, done: Taken) -> Taken:
    line = read_line(octets)
    fault = line if isinstance(line, str) else await _objection(session, registry, line)
    if fault is not None or isinstance(line, str):
        return Taken(done.position, done.taken, done.known, (*done.flags, Flag(number, str(fault))))
    if not await _keep(session, now, registry.name, line):
        return Taken(max(done.position, line.position), done.taken, done.known + 1, done.flags)
    return Taken(max(done.position, line.position), done.taken + 1, done.known, done.flags)


async def _objection(session: AsyncSession, registry: Registry, line: FeedLine) -> str | None:
    if not registry.speaks_of(line.code):
        return "OUTSIDE_ITS_DIVISIONS"
    if await take_code(session, line.code, registry.name):
        return None
    owner = await owner_of(session, line.code)
    if owner is None or owner.source is None:
        return "CODE_IS_OURS"
    if owner.source != registry.name or owner.code != line.code:
        return "CODE_IS_ANOTHERS"
    return None


async def _keep(session: AsyncSession, now: dt.datetime, name: str, line: FeedLine) -> bool:
    """Whether the step was new. The seal's own data are those of the line with the highest position that was taken last."""
    told = {
        "name": line.name,
        "kind": line.kind,
        "organisation": line.organisation,
        "valid_from": line.valid_from,
        "valid_to": line.valid_to,
        "taken_at": now,
    }
    step = insert(ForeignStatusRow).values(
        source=name, code=line.code, position=line.position, status=line.status, invalid_type=line.invalid_type, at=line.at
    )
    if await session.scalar(step.on_conflict_do_nothing().returning(ForeignStatusRow.position)) is None:
        return False
    seal = insert(ForeignSealRow).values(source=name, code=line.code, **told)
    await session.execute(seal.on_conflict_do_update(index_elements=["source", "code"], set_=told))
    return True
