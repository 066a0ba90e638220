"""Numbers, names and mobiles of people: found by a blind index, kept in an envelope, revealed only on the record.

*Blind index*: HMAC-SHA256 under a key of its own, which never rotates (every index would change). It answers "is it this
number?" to whoever can ask this process, and nothing to whoever has only the database.

*Envelope*: AES-256-GCM under a data key that custody keeps wrapped under the key-encryption key. One data key serves many
values, not one key a value: a random 96-bit nonce is safe for 2^32 values a key (NIST SP 800-38D §8.3), and 60 octets a
value are saved. The envelope names its data key, so a new one takes over without touching what is sealed. The context
(table, column and row) is authenticated: an envelope moved to another row does not open.

    version 1 (1 octet) ‖ data key id (16) ‖ AES-256-GCM by custody
"""

import datetime as dt
import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

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

_VERSION = b"\x01"
_HEADER = 17
_KEYS_LOCK = 0x66756A_6964  # one process at a time makes the keys


class EnvelopeInvalid(FujieError):
    """What is stored is not an envelope of ours, or its data key is not known here."""

    code = "ENVELOPE_INVALID"


@dataclass(frozen=True, slots=True)
class PersonalData:
    """The keys of personal data, and what is done with them. Synchronous and picklable."""

    keystore: KeyStore
    index_key: StoredKey
    data_key: StoredKey
    older: Mapping[uuid.UUID, StoredKey] = field(default_factory=dict)

    def index(self, code_type: str, value: str) -> bytes:
        """The blind index of a number, 32 octets; equal for one number declared under two kinds of one family."""
        return self._mac("number", numbers.index_family(code_type), numbers.normalise(value))

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
        key = self.data_key if key_id == self.data_key.id else self.older.get(key_id)
        if key is None:
            raise EnvelopeInvalid("unknown data key")
        return key

    def _mac(self, *parts: str) -> bytes:
        # Each part is preceded by its length: no two lists of parts give one message.
        encoded = [part.encode("utf-8", "surrogatepass") for part in ("fujie.identity.1", *parts)]
        return self.keystore.mac(self.index_key, b"".join(struct.pack(">I", len(part)) + part for part in encoded))


async def open_personal_data(database: Database, keystore: KeyStore, clock: Clock) -> PersonalData:
    """Loads the keys of personal data; makes them where there are none. Safe to call from several processes at once."""
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(_KEYS_LOCK)))
        index_keys = await _keys(session, "index") or [await _make(session, keystore, clock, "index", Algorithm.HMAC)]
        data_keys = await _keys(session, "data") or [await _make(session, keystore, clock, "data", Algorithm.AES256)]
    newest, *older = data_keys
    return PersonalData(keystore, index_keys[0], newest, {key.id: key for key in older})


async def rotate_data_key(database: Database, keystore: KeyStore, clock: Clock, actor: Actor = SYSTEM) -> PersonalData:
    """A new data key for what is sealed from now on; what is sealed already still opens."""
    await open_personal_data(database, keystore, clock)
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(_KEYS_LOCK)))
        key = await _make(session, keystore, clock, "data", Algorithm.AES256)
        event = audit.Event("identity.personal_data.rotate", f"key:{key.id}", audit.Outcome.DONE, actor)
        await audit.record(session, clock.now(), event)
    return await open_personal_data(database, keystore, clock)


async def _keys(session: AsyncSession, role: str) -> list[StoredKey]:
    query = select(PersonalDataKeyRow.key_id).where(PersonalDataKeyRow.role == role)
    newest_first = query.order_by(PersonalDataKeyRow.created_at.desc(), PersonalDataKeyRow.key_id.desc())
    return [await custody.load_key(session, key_id) for key_id in (await session.scalars(newest_first)).all()]


async def _make(session: AsyncSession, keystore: KeyStore, clock: Clock, role: str, algorithm: Algorithm) -> StoredKey:
    key = keystore.generate(algorithm, Purpose.PERSONAL_DATA)
    await custody.store_key(session, key, clock.now())
    session.add(PersonalDataKeyRow(key_id=key.id, role=role, created_at=clock.now()))
    await session.flush()
    return key


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
