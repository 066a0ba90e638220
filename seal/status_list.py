"""The signed list of the status of all our seals, which a verifier takes along and needs nobody to ask.

1. the last list says what is true now and is younger than a day, or is younger than five minutes: it stands
2. else wait for anyone else who is making one, and look again
3. gather every filed seal with its public history; sign as :mod:`keys.trust.signed` says, the next version

A list is good for two days. Reading one, a verifier answers for any past instant up to when it was issued.
"""

import datetime as dt
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import delete, func, select

from keys.base.actor import SYSTEM
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import InvalidInput
from keys.custody.store import Algorithm, KeyStore, Purpose
from keys.evidence.audit import JSON, Event, Outcome, record
from keys.trust.publishing import ensure_list_signer
from keys.trust.signed import SignedDocument, sign_document, verify_document
from seal.life_models import StatusListRow
from seal.lifecycle import Status
from seal.models import StatusChangeRow
from seal.public_status import PublicSeal, Since, instant_text, public_seals, step_at

FORMAT = "fujie-seal-status-list/1"
TYPE = "fujie-seal-status-list+json"
VALIDITY = dt.timedelta(days=2)
REFRESH = dt.timedelta(days=1)
CALM = dt.timedelta(minutes=5)
MAX_LIST = 256 << 20
_KEPT = 8
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError)


class SealListMalformed(InvalidInput):
    """No signed list of seals, or one of another format."""

    code = "SEAL_LIST_MALFORMED"
    public = ("这不是印章状态列表。", "This is no list of the status of seals.")


class SealListOutdated(InvalidInput):
    """The list is past its next update, or asked about an instant after it was issued."""

    code = "SEAL_LIST_OUTDATED"
    public = ("印章状态列表已过期，或无法回答所问时间。", "The list of seals is out of date, or cannot speak of that time.")


@dataclass(frozen=True, slots=True)
class PublishedStatus:
    """A list as it is served. ``jws`` is JSON; ``digest`` its SHA-256."""

    version: int
    issued_at: dt.datetime
    next_update: dt.datetime
    digest: bytes
    jws: bytes


async def current_status_list(
    database: Database, keystore: KeyStore, clock: Clock, base_url: str, algorithm: Algorithm = Algorithm.P256
) -> PublishedStatus:
    """The list as of now, made if it must be. Raises ``AuthorityUnknown`` before the ceremony."""
    async with database.begin() as session:
        last = await _last(session)
        if last is not None and await _stands(session, last, clock.now()):
            return _published(last)
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("seal.status_list", 0))))
        last, now = await _last(session), clock.now()
        if last is not None and await _stands(session, last, now):
            return _published(last)
        return await _publish(session, keystore, now, base_url, algorithm, last)


async def _stands(session: AsyncSession, last: StatusListRow, now: dt.datetime) -> bool:
    age = now - last.issued_at
    return dt.timedelta(0) <= age < CALM or (dt.timedelta(0) <= age < REFRESH and await _position(session) == last.position)


async def _position(session: AsyncSession) -> int:
    """How many moves there are: one that commits late changes it, which the highest number would not show."""
    return await session.scalar(select(func.count()).select_from(StatusChangeRow)) or 0


async def _publish(
    session: AsyncSession, keystore: KeyStore, now: dt.datetime, base_url: str, algorithm: Algorithm, last: StatusListRow | None
) -> PublishedStatus:
    signer = await ensure_list_signer(session, keystore, now, algorithm)
    position, seals = await _position(session), await public_seals(session)
    version, issued_at = (last.version + 1 if last else 1), now
    document = list_document(base_url, version, issued_at, seals)
    jws = sign_document(TYPE, document, signer.alg, signer.chain, lambda message: keystore.sign(signer.key, message, Purpose.TRUST))
    digest = hashlib.sha256(jws).digest()
    row = StatusListRow(version=version, issued_at=issued_at, next_update=issued_at + VALIDITY, position=position, digest=digest, jws=jws)
    session.add(row)
    await session.flush([row])
    await session.execute(delete(StatusListRow).where(StatusListRow.version <= version - _KEPT))
    details: dict[str, JSON] = {"version": version, "sha256": digest.hex(), "seals": len(seals)}
    await record(session, now, Event("seal.status_list", f"seal-status-list:{version}", Outcome.DONE, SYSTEM, details))
    return _published(row)


def list_document(issuer: str, version: int, issued_at: dt.datetime, seals: Sequence[PublicSeal]) -> dict[str, Any]:
    """What is signed. Pure."""
    return {
        "format": FORMAT,
        "issuer": issuer,
        "version": version,
        "issued_at": instant_text(issued_at),
        "next_update": instant_text(issued_at + VALIDITY),
        "seals": [one.to_json() for one in seals],
    }


async def _last(session: AsyncSession) -> StatusListRow | None:
    query = select(StatusListRow).order_by(StatusListRow.version.desc()).limit(1).execution_options(populate_existing=True)
    found: StatusListRow | None = await session.scalar(query)
    return found


def _published(row: StatusListRow) -> PublishedStatus:
    return PublishedStatus(row.version, row.issued_at, row.next_update, row.digest, row.jws)


# --- for whoever was given one -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListedSeal:
    valid_from: dt.datetime
    valid_to: dt.datetime
    history: tuple[Since, ...]
    successor: str | None


@dataclass(frozen=True, slots=True)
class StatusList:
    """A list whose signature holds; ``signed.chain`` says whose it is."""

    issuer: str
    version: int
    issued_at: dt.datetime
    next_update: dt.datetime
    seals: Mapping[str, ListedSeal]
    signed: SignedDocument

    def step_at(self, code: str, instant: dt.datetime) -> Since | None:
        """None: no seal of this code was filed by then. Raises :class:`SealListOutdated` for an instant the list cannot know of."""
        if instant > self.issued_at:
            raise SealListOutdated(f"issued {instant_text(self.issued_at)}")
        seal = self.seals.get(code)
        return None if seal is None else step_at(seal.history, seal.valid_to, instant)


def verify_status_list(data: bytes, roots: Sequence[bytes] = ()) -> StatusList:
    """The list, its signature and its signer's chain checked. Raises :class:`SealListMalformed`, ``TrustListMalformed``,
    ``TrustListSignatureBroken``.
    """
    signed = verify_document(TYPE, data, roots, most=MAX_LIST)
    try:
        document = orjson.loads(signed.payload)
        if document["format"] != FORMAT:
            raise ValueError("another format")
        instants = (read_instant(document["issued_at"]), read_instant(document["next_update"]))
        seals = {one["code"]: _listed(one) for one in document["seals"]}
        return StatusList(str(document["issuer"]), int(document["version"]), *instants, seals, signed)
    except _UNREADABLE as error:
        raise SealListMalformed(type(error).__name__) from error


def require_current(listed: StatusList, now: dt.datetime) -> None:
    """Raises :class:`SealListOutdated` for a list past its next update, not issued yet, or whose signer's chain has ended."""
    if not listed.issued_at <= now <= listed.next_update or not all(one.valid_at(now) for one in listed.signed.chain):
        raise SealListOutdated(f"good from {instant_text(listed.issued_at)} to {instant_text(listed.next_update)}")


def _listed(document: Mapping[str, Any]) -> ListedSeal:
    return ListedSeal(
        read_instant(document["valid_from"]), read_instant(document["valid_to"]), read_history(document["history"]), document["successor"]
    )


def read_history(steps: Sequence[Sequence[Any]]) -> tuple[Since, ...]:
    """From ``[status, instant, invalid type]`` each, oldest first. Raises ValueError, TypeError."""
    history = tuple(Since(Status(status), read_instant(at), invalid) for status, at, invalid in steps)
    if not history or any(later.at < earlier.at for earlier, later in itertools.pairwise(history)):
        raise ValueError("no history, or one that runs backwards")
    return history


def read_instant(text: str) -> dt.datetime:
    """RFC 3339 with a zone. Raises ValueError."""
    instant = dt.datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant without a zone")
    return instant.astimezone(dt.UTC)
