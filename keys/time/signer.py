"""Who signs time stamps: a P-256 key of purpose ``time`` and its certificate, made when it is first needed and renewed in time.

A token is worth something while its signer's certificate can be checked. So a new key takes over when half of the present
certificate's period is gone, and at once when it was revoked: every token can be checked for at least half a period.
"""

import datetime as dt
from dataclasses import dataclass

from asn1crypto.x509 import Certificate
from sqlalchemy import func, select

from keys.base import der, der_values
from keys.base.actor import SYSTEM
from keys.base.db import AsyncSession, Database
from keys.custody.reads import load_key, store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.evidence.audit import Event, Outcome, record
from keys.pki.authority import issue
from keys.pki.reads import CertificateStatus, get_authority, serial_text, service_subject, status_at
from keys.time.models import TimestampSignerRow

AUTHORITY, PROFILE = "tsa", "tsa-signer"
COMMON_NAME = "符节时间戳 Fujie time stamps"


@dataclass(frozen=True, slots=True)
class Signer:
    """The key that signs now. ``certificates``: its own, then its issuers up to the root, DER."""

    key: StoredKey
    certificates: tuple[bytes, ...]
    not_before: dt.datetime
    not_after: dt.datetime

    def serves(self, now: dt.datetime) -> bool:
        """Whether it may sign now, rather than make room for the next."""
        return self.not_before <= now < self.not_before + (self.not_after - self.not_before) / 2


async def ensure_signer(database: Database, keystore: KeyStore, now: dt.datetime) -> Signer:
    """The signer of this instant.

    1. the newest, if it serves and is not revoked
    2. else wait for anyone else who is making one, and look again
    3. else make a key, have it certified, keep both, and leave an audit event

    Raises ``AuthorityUnknown`` where no authority certifies time stamps.
    """
    async with database.session() as session:
        found = await _present(session, now)
    if found is not None:
        return found
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("keys.time.signer", 0))))
        return await _present(session, now) or await _make(session, keystore, now)


async def _present(session: AsyncSession, now: dt.datetime) -> Signer | None:
    row = await session.scalar(select(TimestampSignerRow).order_by(TimestampSignerRow.created_at.desc()).limit(1))
    if row is None:
        return None
    signer = Signer(await load_key(session, row.key_id), (row.certificate, *_split(row.chain)), row.not_before, row.not_after)
    status = await status_at(session, int(row.serial, 16), now)
    return signer if signer.serves(now) and status.status is CertificateStatus.GOOD else None


async def _make(session: AsyncSession, keystore: KeyStore, now: dt.datetime) -> Signer:
    key = keystore.generate(Algorithm.P256, Purpose.TIME)
    await store_key(session, key, now)
    subject = service_subject(await get_authority(session, AUTHORITY), COMMON_NAME)
    issued = await issue(session, keystore, now, authority=AUTHORITY, profile=PROFILE, subject=subject, public_key=key.public)
    validity = Certificate.load(issued.certificate)["tbs_certificate"]["validity"].native
    row = TimestampSignerRow(
        serial=serial_text(issued.serial),
        key_id=key.id,
        certificate=issued.certificate,
        chain=b"".join(issued.chain),
        not_before=validity["not_before"],
        not_after=validity["not_after"],
        created_at=now,
    )
    session.add(row)
    await record(session, now, Event("keys.time.signer", f"certificate-serial:{row.serial}", Outcome.DONE, SYSTEM))
    return Signer(key, (issued.certificate, *issued.chain), row.not_before, row.not_after)


def _split(chain: bytes) -> list[bytes]:
    """The certificates that stand one behind the other."""
    return [one.encoded for one in der_values.children(der.read(der.sequence(chain)))]
