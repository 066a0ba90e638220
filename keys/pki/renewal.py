"""A certificate's successor: renewed with the same key, or re-keyed with a new one. Both name whom it named, and remember it.

1. find the certificate and hold it, so that two successors are not made at once
2. refuse one that is an authority's, has ended, or is revoked or on hold
3. issue under the same authority, with the same profile, subject and holder; the predecessor is written down

The predecessor stays in force until it ends or is revoked (``keys.pki.status``): whoever replaces a key that is lost revokes it
with reason ``key_compromise``, whoever merely moves on with ``superseded``.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import select

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.custody.store import KeyStore
from keys.evidence.audit import Event, Outcome, record_alone
from keys.models import CertificateRow
from keys.pki.certificate import Subject, certified_key, certified_subject
from keys.pki.errors import CertificateUnknown, RenewalUnsuitable
from keys.pki.issuing import CertificateOrder, IssuedCertificate, issue_order
from keys.pki.profiles import PROFILES
from keys.pki.reads import serial_text


async def renew(database: Database, keystore: KeyStore, clock: Clock, actor: Actor, serial: int) -> IssuedCertificate:
    """The same key for another period. Raises ``CertificateUnknown``, ``RenewalUnsuitable`` and what ``issue_order`` raises."""
    return await _succeed(database, keystore, clock, actor, serial, None)


async def rekey(database: Database, keystore: KeyStore, clock: Clock, actor: Actor, serial: int, public_key: bytes) -> IssuedCertificate:
    """The same subject with a new key (SPKI DER). Raises what :func:`renew` raises, and ``KeyCertifiedBefore``."""
    return await _succeed(database, keystore, clock, actor, serial, public_key)


async def _succeed(
    database: Database, keystore: KeyStore, clock: Clock, actor: Actor, serial: int, public_key: bytes | None
) -> IssuedCertificate:
    try:
        async with database.begin() as session:
            order = await successor(session, clock.now(), actor, serial, public_key)
            return await issue_order(session, keystore, clock.now(), order)
    except FujieError as error:
        await _refused(database, clock.now(), actor, serial, error)
        raise


async def _refused(database: Database, now: dt.datetime, actor: Actor, serial: int, error: FujieError) -> None:
    named = f"pki-certificate:{serial_text(serial)[:40]}"
    outcome = Outcome.FAILED if error.status >= 500 else Outcome.REFUSED
    await record_alone(database, now, Event("keys.pki.renew", named, outcome, actor, code=error.code))


@dataclass(frozen=True, slots=True)
class InForce:
    """A certificate of ours that may have a successor or a companion."""

    certificate: bytes
    authority: str
    profile: str
    subject: Subject
    not_after: dt.datetime
    holder: uuid.UUID | None


async def certificate_in_force(session: AsyncSession, now: dt.datetime, serial: int) -> InForce:
    """The certificate, locked until the caller's transaction ends. Raises ``CertificateUnknown`` or ``RenewalUnsuitable``."""
    row = await session.scalar(select(CertificateRow).where(CertificateRow.serial == serial_text(serial)).with_for_update())
    if row is None:
        raise CertificateUnknown(serial_text(serial)[:40])
    if PROFILES[row.profile].is_authority:
        raise RenewalUnsuitable("an authority is renewed at a ceremony")
    if row.revoked_at is not None or not row.not_before <= now <= row.not_after:
        raise RenewalUnsuitable("it is revoked, on hold, or not in force")
    return InForce(row.certificate, row.authority, row.profile, certified_subject(row.certificate), row.not_after, row.holder)


async def successor(session: AsyncSession, now: dt.datetime, actor: Actor, serial: int, public_key: bytes | None) -> CertificateOrder:
    """The order for the successor of a certificate, which is locked until the caller's transaction ends. ``public_key``: None renews."""
    before = await certificate_in_force(session, now, serial)
    own_key = certified_key(before.certificate)
    return CertificateOrder(
        before.authority,
        before.profile,
        before.subject,
        public_key or own_key,
        None,
        actor,
        predecessor=serial,
        holder=before.holder,
        same_key=public_key is None or public_key == own_key,
    )
