"""Statuses between instances: what changed, in one order, told page by page from where the other stopped.

*Our side.* A trigger queues every certificate that is written while there are peers. :func:`sequence` gives each its place in the order,
one transaction at a time, after the writing was committed: so whoever has read up to a place misses nothing that comes later. A
certificate stands in the order once, at its latest change: a peer that was away for a month reads what is true now, not all that
happened. What stood there before the first peer came is put into the order by and by.

*Their side.* :func:`take_in` keeps what a peer tells of issuers that it may speak for, and remembers its place in the same transaction.

An entry has no holder, no number and no field: who holds what stays where it was issued (docs/decisions/0122).
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from certs.federation import JSON, MALFORMED
from certs.federation_holders import index_certificates
from certs.federation_models import CHANGES, ChangeQueueRow, ChangeRow, FederationSelfRow, PeerRow, PeerStatusRow
from certs.federation_peers import EXCHANGING, Peer
from certs.library import Library
from certs.lifecycle import Standing, Status, standing
from certs.models import CertificateRow
from certs.numbering import inspect_identifier
from certs.privacy import holds_number
from certs.records import Stage
from keys.base.db import AsyncSession
from keys.custody.store import KeyStore
from keys.evidence.audit import Event, Outcome, record
from keys.trust.documents import instant_text
from seal.divisions import covers

PAGE = 1000
BATCH = 2000
_LOCK = "certs.federation.order"
_TEXTS = ("identifier", "type_code", "type_name", "issuer", "issuer_name", "status")
_DAYS = ("issued_on", "valid_from", "valid_to")
_LONGEST = 300
_REGION = len("990100")


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate as peers are told of it."""

    seq: int
    identifier: str
    type_code: str
    type_name: str
    issuer: str
    issuer_name: str
    status: str
    issued_on: dt.date | None
    valid_from: dt.date | None
    valid_to: dt.date | None
    successor: str | None
    document_hash: bytes | None

    def to_json(self) -> JSON:
        return {
            "seq": self.seq, **{name: getattr(self, name) for name in _TEXTS}, **{name: _day(getattr(self, name)) for name in _DAYS},
            "successor": self.successor, "document": self.document_hash.hex() if self.document_hash else None,
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Entry":
        """Raises ValueError."""
        try:
            texts: dict[str, Any] = {name: value[name] for name in _TEXTS}
            days: dict[str, Any] = {name: _read_day(value[name]) for name in _DAYS}
            document = bytes.fromhex(value["document"]) if value["document"] else None
            given = cls(seq=value["seq"], successor=value["successor"], document_hash=document, **texts, **days)
            good = all(isinstance(one, str) and len(one) <= _LONGEST for one in (*texts.values(), given.successor or ""))
            Status(given.status)
        except MALFORMED as error:
            raise ValueError("no entry") from error
        if not good or not given.identifier or not isinstance(given.seq, int) or holds_number(given.identifier):
            raise ValueError("no entry")
        return given


@dataclass(frozen=True, slots=True)
class Told:
    """A certificate of a peer as it last told us."""

    peer_id: uuid.UUID
    peer_name: str
    entry: Entry
    received_at: dt.datetime

    def standing(self, today: dt.date) -> Standing:
        """What holds on the civil date ``today``, from what was told."""
        entry = self.entry
        status = Status(entry.status)
        return standing(
            status, today=today, valid_from=entry.valid_from, valid_to=entry.valid_to, superseded=entry.successor is not None
        )  # fmt: skip

    def to_json(self, today: dt.date) -> JSON:
        told = {name: one for name, one in self.entry.to_json().items() if name != "seq"}
        return told | {
            "standing": self.standing(today).value, "peer": {"id": str(self.peer_id), "name": self.peer_name},
            "told_at": instant_text(self.received_at),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class TakenIn:
    """``refused``: entries of issuers that the peer may not speak for, or that cannot be read; they are left out and the rest goes on."""

    kept: int
    refused: int
    cursor: int
    more: bool


async def sequence(library: Library, keystore: KeyStore) -> int:
    """Give what changed its place in the order; index its holders for peers that may ask for them. How many changes there were."""
    async with library.database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(_LOCK, 0))))
        taken = await _queued(session)
        taken = taken or await _filled(session)
        if taken:
            await _place(session, taken)
            await index_certificates(session, keystore, library.personal, taken)
        return len(taken)


async def _queued(session: AsyncSession) -> list[uuid.UUID]:
    oldest = select(ChangeQueueRow.id).order_by(ChangeQueueRow.id).limit(BATCH).scalar_subquery()
    gone = delete(ChangeQueueRow).where(ChangeQueueRow.id.in_(oldest)).returning(ChangeQueueRow.certificate_id)
    return sorted(set(await session.scalars(gone)))


async def _filled(session: AsyncSession) -> list[uuid.UUID]:
    """The next of what stood there before the first peer came."""
    begun = await session.scalar(select(FederationSelfRow.filled_to).where(FederationSelfRow.filled_to.is_not(None)))
    if begun is None:
        return []
    query = select(CertificateRow.id).where(CertificateRow.id > begun, CertificateRow.stage == Stage.ISSUED.value)
    found = list(await session.scalars(query.order_by(CertificateRow.id).limit(BATCH)))
    await session.execute(update(FederationSelfRow).values(filled_to=found[-1] if found else None))
    return found


async def _place(session: AsyncSession, certificates: Sequence[uuid.UUID]) -> None:
    new = insert(ChangeRow).from_select(
        ["certificate_id", "seq"],
        select(CertificateRow.id, CHANGES.next_value()).where(CertificateRow.id.in_(certificates)),
    )
    moved = new.on_conflict_do_update(index_elements=[ChangeRow.certificate_id], set_={"seq": new.excluded.seq})
    await session.execute(moved)


async def changes(session: AsyncSession, after: int, limit: int = PAGE) -> tuple[tuple[Entry, ...], int, bool]:
    """Entries after a place in the order, the place up to which they are told, and whether there is more.

    Records without an identifier, repetitions of an import and what holds a number of a person are not told; the place moves on.
    """
    query = (
        select(CertificateRow, ChangeRow.seq)
        .join(ChangeRow, ChangeRow.certificate_id == CertificateRow.id)
        .where(ChangeRow.seq > after)
        .order_by(ChangeRow.seq)
        .limit(limit)
    )
    rows = list(await session.execute(query))
    told = tuple(_entry(row, seq) for row, seq in rows if row.identifier and not row.duplicate and not holds_number(row.identifier))
    return told, rows[-1][1] if rows else after, len(rows) == limit


def _entry(row: CertificateRow, seq: int) -> Entry:
    return Entry(
        seq, row.identifier, row.type_code, row.type_name, row.issuer, row.issuer_name, row.status, row.issued_on, row.valid_from,
        row.valid_to, row.successor, row.document_hash,
    )  # fmt: skip


async def take_in(session: AsyncSession, now: dt.datetime, peer: Peer, answer: JSON) -> TakenIn:
    """Keep a page of what a peer tells. Raises ValueError where it is no page, or does not go on from where we stopped."""
    cursor, more, given = answer["cursor"], answer["more"], answer["entries"]
    if not isinstance(cursor, int) or not isinstance(more, bool) or not isinstance(given, list) or len(given) > PAGE:
        raise ValueError("no page")
    locked = await session.scalar(select(PeerRow.cursor).where(PeerRow.id == peer.id).with_for_update())
    if locked != peer.cursor or cursor < peer.cursor:
        raise ValueError("another place than we stopped at")
    read = [_readable(one) for one in given]
    kept = {one.identifier: one for one in read if one is not None and may_tell(peer, one) and peer.cursor < one.seq <= cursor}
    if kept:
        await _keep(session, now, peer, kept.values())
    refused = len(given) - sum(one is not None and one.identifier in kept for one in read)
    if refused:
        event = Event("certs.federation.statuses", f"peer:{peer.id}", Outcome.REFUSED, peer.actor, {"entries": refused}, "OUT_OF_SCOPE")
        await record(session, now, event)
    await session.execute(update(PeerRow).where(PeerRow.id == peer.id).values(cursor=cursor))
    return TakenIn(len(kept), refused, cursor, more and cursor > peer.cursor)


def may_tell(peer: Peer, entry: Entry) -> bool:
    """Whether the peer may speak for the issuer of the entry, and for the one that the identifier names, where it names one."""
    parts = inspect_identifier(entry.identifier).identifier
    named = parts.issuer if parts else entry.issuer
    region = len(named) == _REGION
    return peer.speaks_for(entry.issuer) and (any(covers(one, named) for one in peer.divisions) if region else peer.speaks_for(named))


def _readable(value: object) -> Entry | None:
    try:
        return Entry.from_json(value) if isinstance(value, dict) else None
    except ValueError:
        return None


async def _keep(session: AsyncSession, now: dt.datetime, peer: Peer, entries: Iterable[Entry]) -> None:
    names = [*_TEXTS, *_DAYS, "successor", "document_hash", "seq"]
    values = [{name: getattr(one, name) for name in names} | {"peer_id": peer.id, "received_at": now} for one in entries]
    new = insert(PeerStatusRow)
    changed = {name: new.excluded[name] for name in (*names, "received_at") if name != "identifier"}
    statement = new.on_conflict_do_update(
        index_elements=[PeerStatusRow.peer_id, PeerStatusRow.identifier], set_=changed, where=PeerStatusRow.seq < new.excluded.seq
    )
    await session.execute(statement, values)


async def told_of(session: AsyncSession, identifier: str) -> tuple[Told, ...]:
    """What peers told of the certificate with this identifier."""
    return await _told(session, PeerStatusRow.identifier == identifier)


async def told_of_document(session: AsyncSession, document_hash: bytes) -> tuple[Told, ...]:
    """What peers told of the certificate whose file has this SHA-256."""
    return await _told(session, PeerStatusRow.document_hash == document_hash)


async def _told(session: AsyncSession, rule: Any) -> tuple[Told, ...]:
    query = (
        select(PeerStatusRow, PeerRow.name).join(PeerRow, PeerRow.id == PeerStatusRow.peer_id).where(rule, PeerRow.status.in_(EXCHANGING))
    )
    return tuple(
        Told(row.peer_id, name, _kept(row), row.received_at) for row, name in await session.execute(query.order_by(PeerRow.name).limit(20))
    )


def _kept(row: PeerStatusRow) -> Entry:
    return Entry(
        row.seq, row.identifier, row.type_code, row.type_name, row.issuer, row.issuer_name, row.status, row.issued_on, row.valid_from,
        row.valid_to, row.successor, row.document_hash,
    )  # fmt: skip


async def count_told(session: AsyncSession) -> dict[uuid.UUID, int]:
    """How many certificates each peer told us of."""
    rows = await session.execute(select(PeerStatusRow.peer_id, func.count()).group_by(PeerStatusRow.peer_id))
    return {peer_id: int(number) for peer_id, number in rows}


def _day(day: dt.date | None) -> str | None:
    return day.isoformat() if day else None


def _read_day(value: str | None) -> dt.date | None:
    return dt.date.fromisoformat(value) if value is not None else None
