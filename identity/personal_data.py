"""Numbers, names and mobiles of people: found by a blind index, kept in an envelope, revealed only on the record.

*Blind index*: HMAC-SHA256 (国密: HMAC-SM3) under a key of its own. It answers "is it this number?" to whoever can ask this
process, and nothing to whoever has only the database. This key never rotates: every index of every table would change in one
instant, and with them the unique keys that hold one number to one account. Age does not wear it out either: it seals nothing,
and what it leaks by being used is only what a database shows anyway, that two rows speak of one person.

*Envelope*: AES-256-GCM (国密: SM4-GCM) under a data key that custody keeps wrapped under the key-encryption key. One data key
serves many values, not one key a value: a random 96-bit nonce is safe for 2^32 values a key (NIST SP 800-38D §8.3), and 60 octets
a value are saved. The envelope names its data key, so a new one takes over without touching what is sealed. The context
(table, column and row) is authenticated: an envelope moved to another row does not open.

    version 1 (1 octet) ‖ data key id (16) ‖ ciphertext by custody

*Rotation*: a new data key is announced before it seals, so that every process can open what another one sealed. What older keys
sealed is sealed again in the background, then the old key is destroyed (``identity.rewrapping``).
"""

import asyncio
import contextlib
import datetime as dt
import struct
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import structlog
from sqlalchemy import func, select

from identity import numbers
from identity.models import PersonalDataKeyRow
from keys.base.actor import SYSTEM, Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError, InvalidInput
from keys.custody import reads as custody
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.evidence import audit
from keys.suites import INTERNATIONAL, Suite

log = structlog.get_logger("fujie.identity.personal_data")

REREAD = dt.timedelta(seconds=5)
"""How often each process reads which data keys there are."""
NOTICE = dt.timedelta(minutes=1)
"""A new data key seals so long after it was announced: by then every process has read it, a slow one too."""

_VERSION = b"\x01"
_HEADER = 17
_KEYS_LOCK = 0x66756A_6964  # one process at a time makes the keys


class EnvelopeInvalid(FujieError):
    """What is stored is not an envelope of ours, or its data key is not known here."""

    code = "ENVELOPE_INVALID"


class DataKeyUnknown(EnvelopeInvalid):
    """The envelope names a data key that this process has not read yet, or that is none. It reads anew within seconds."""

    code = "DATA_KEY_UNKNOWN"
    status = 503
    public = ("数据密钥正在更换，请稍后再试。", "The keys of the data are being changed. Please try again shortly.")

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(int(REREAD.total_seconds()))}


@dataclass(frozen=True, slots=True)
class DataKeys:
    """The data keys that stand, as one process knows them: the one that seals, and all others, older and announced."""

    sealing: StoredKey
    others: Mapping[uuid.UUID, StoredKey] = field(default_factory=dict)

    def get(self, key_id: uuid.UUID) -> StoredKey | None:
        return self.sealing if key_id == self.sealing.id else self.others.get(key_id)


@dataclass(slots=True)
class PersonalData:
    """The keys of personal data, and what is done with them. Synchronous and picklable.

    ``keys`` is replaced as a whole by :func:`reread`; the index key is the same for ever, though it may be wrapped anew.
    """

    keystore: KeyStore
    index_key: StoredKey
    keys: DataKeys

    @property
    def data_key(self) -> StoredKey:
        """The key that seals."""
        return self.keys.sealing

    def index(self, code_type: str, value: str) -> bytes:
        """The blind index of a number, 32 octets; equal for one number declared under two kinds of one family."""
        return self.keystore.mac(self.index_key, _before_numbers(numbers.index_family(code_type)) + _framed(numbers.normalise(value)))

    def linked_index(self, number_index: bytes, kind: str, value: str) -> bytes:
        """A digest of a name or mobile that holds for one number only: equal names of two people do not show."""
        return self._mac("linked", number_index.hex(), kind, value)

    def subject(self, kind: str, value: str) -> bytes:
        """A keyed digest of an account name, an address or a claim: to count or to cite, not to find people by."""
        return self._mac("subject", kind, value)

    def seal(self, value: str, context: str) -> bytes:
        """The envelope of ``value``, bound to ``context`` (``identity.bindings.number:<row>``)."""
        sealed = self.keystore.encrypt(self.data_key, value.encode(), context.encode())
        return _VERSION + self.data_key.id.bytes + sealed

    def open(self, sealed: bytes, context: str) -> str:
        """What the envelope holds. Raises :class:`EnvelopeInvalid`, or custody's error where anything was altered.

        For rules that need the value; showing it to somebody is :func:`reveal`.
        """
        if len(sealed) < _HEADER or not sealed.startswith(_VERSION):
            raise EnvelopeInvalid
        key = self._data_key(uuid.UUID(bytes=sealed[1:_HEADER]))
        return self.keystore.decrypt(key, sealed[_HEADER:], context.encode()).decode()

    def _data_key(self, key_id: uuid.UUID) -> StoredKey:
        if (key := self.keys.get(key_id)) is None:
            raise DataKeyUnknown(f"data key {key_id}")
        return key

    def _mac(self, *parts: str) -> bytes:
        return self.keystore.mac(self.index_key, _framed("fujie.identity.1", *parts))


def _framed(*parts: str) -> bytes:
    """Each part preceded by its length: no two lists of parts give one message."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join([struct.pack(">I", len(part)) + part for part in encoded])


@lru_cache(256)
def _before_numbers(family: str) -> bytes:
    """What comes before the number itself, the same for all numbers of a family."""
    return _framed("fujie.identity.1", "number", family)


async def open_personal_data(database: Database, keystore: KeyStore, clock: Clock, suite: Suite = INTERNATIONAL) -> PersonalData:
    """Loads the keys of personal data; makes them where there are none. Safe to call from several processes at once."""
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(_KEYS_LOCK)))
        now = clock.now()
        rows = await _rows(session)
        if not any(row.role == "index" for row in rows):
            rows.append(await _make(session, keystore, now, now, "index", suite.mac))
        if not any(row.role == "data" for row in rows):
            rows.append(await _make(session, keystore, now, now, "data", suite.cipher))
        index_key = await custody.load_key(session, next(row.key_id for row in rows if row.role == "index"))
        return PersonalData(keystore, index_key, await read_data_keys(session, now))


async def read_data_keys(session: AsyncSession, now: dt.datetime) -> DataKeys:
    """The data keys that stand. The one that began to seal last seals; before any did, the first that will."""
    rows = [row for row in await _rows(session) if row.role == "data"]
    begun = [row for row in rows if row.seals_from <= now] or rows[:1]
    keys = {row.key_id: await custody.load_key(session, row.key_id) for row in rows}
    sealing = keys.pop(begun[-1].key_id)
    return DataKeys(sealing, keys)


async def reread(personal: PersonalData, database: Database, now: dt.datetime) -> None:
    """Bring ``personal`` up to date: keys announced since, the one that seals now, those that were destroyed; how each is wrapped."""
    async with database.session() as session:
        personal.keys = await read_data_keys(session, now)
        personal.index_key = await custody.load_key(session, personal.index_key.id)


@contextlib.asynccontextmanager
async def following(personal: PersonalData, database: Database, clock: Clock) -> AsyncIterator[None]:
    """Read the data keys anew every :data:`REREAD` until leaving. Every process that opens or seals does this."""

    async def follow() -> None:
        while True:
            await asyncio.sleep(REREAD.total_seconds())
            try:
                await reread(personal, database, clock.now())
            except Exception:  # the database is away: what is known stays good
                log.warning("data keys not read", exc_info=True)

    task = asyncio.create_task(follow(), name="personal data keys")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class DataKeyRotation:
    """A data key that was announced: it seals from ``seals_from`` on."""

    key_id: uuid.UUID
    seals_from: dt.datetime


async def rotate_data_key(
    database: Database,
    keystore: KeyStore,
    clock: Clock,
    suite: Suite = INTERNATIONAL,
    actor: Actor = SYSTEM,
    *,
    notice: dt.timedelta = NOTICE,
) -> DataKeyRotation:
    """Announce a new data key, which seals after ``notice``; one that is announced already is answered instead.

    What is sealed already still opens, and is sealed again by and by (``identity.rewrapping``).
    """
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(_KEYS_LOCK)))
        now = clock.now()
        coming = [row for row in await _rows(session) if row.role == "data" and row.seals_from > now]
        if coming:
            return DataKeyRotation(coming[0].key_id, coming[0].seals_from)
        row = await _make(session, keystore, now, now + notice, "data", suite.cipher)
        details: dict[str, audit.JSON] = {"seals_from": row.seals_from.isoformat(timespec="seconds")}
        event = audit.Event("identity.personal_data.rotate", f"key:{row.key_id}", audit.Outcome.DONE, actor, details)
        await audit.record(session, now, event)
        return DataKeyRotation(row.key_id, row.seals_from)


async def _rows(session: AsyncSession) -> list[PersonalDataKeyRow]:
    """The keys that stand, in the order in which they take over."""
    query = select(PersonalDataKeyRow).where(PersonalDataKeyRow.destroyed_at.is_(None))
    return list(await session.scalars(query.order_by(PersonalDataKeyRow.seals_from, PersonalDataKeyRow.key_id)))


async def _make(
    session: AsyncSession, keystore: KeyStore, now: dt.datetime, seals_from: dt.datetime, role: str, algorithm: Algorithm
) -> PersonalDataKeyRow:
    key = keystore.generate(algorithm, Purpose.PERSONAL_DATA)
    await custody.store_key(session, key, now)
    row = PersonalDataKeyRow(key_id=key.id, role=role, created_at=now, seals_from=seals_from, destroyed_at=None)
    session.add(row)
    await session.flush()
    return row


async def reveal(
    database: Database,
    now: dt.datetime,
    personal: PersonalData,
    *,
    actor: Actor,
    sealed: bytes,
    context: str,
    purpose: str,
    legal_basis: str,
) -> str:
    """Opens an envelope for somebody to see, and says so in the audit log first (PIPL 51; GB/T 22239 §8.1.4).

    1. A purpose and a legal basis (PIPL 13, 29, 34) are given, 1–200 characters each.
    2. The envelope opens; if not, the attempt is recorded as failed.
    3. Who saw what, why and on what basis is committed before the value is handed out.
    """
    _require_reason(purpose, legal_basis)
    try:
        value = personal.open(sealed, context)
    except FujieError as error:
        await audit.record_alone(database, now, _event(actor, context, purpose, legal_basis, error.code))
        raise
    await audit.record_alone(database, now, _event(actor, context, purpose, legal_basis, None))
    return value


def _event(actor: Actor, context: str, purpose: str, legal_basis: str, code: str | None) -> audit.Event:
    outcome = audit.Outcome.FAILED if code else audit.Outcome.DONE
    details: dict[str, audit.JSON] = {"purpose": purpose, "legal_basis": legal_basis}
    return audit.Event("identity.personal_data.reveal", context, outcome, actor, details, code)


def _require_reason(purpose: str, legal_basis: str) -> None:
    reasons = {"purpose": purpose, "legal_basis": legal_basis}
    errors = [{"field": name, "message": "1-200 characters"} for name, text in reasons.items() if not 0 < len(text.strip()) <= 200]
    if errors:
        raise InvalidInput("a reveal needs a purpose and a legal basis", errors=errors)
