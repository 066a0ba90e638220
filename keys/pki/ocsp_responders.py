"""Who signs the answers about an authority's certificates: a delegated responder of its own (RFC 6960 §4.2.2.2).

Each authority certifies a responder key for some 90 days; a new one is made when a third of that is left. The certificate
carries id-pkix-ocsp-nocheck, so it is short-lived and nobody asks for its status. An authority that may not issue any more,
because it was revoked or has ended, goes on answering with its own key, as RFC 6960 §2.2 allows.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass

from asn1crypto import keys as asn1_keys
from sqlalchemy import func, select

from keys.base.db import AsyncSession, Database
from keys.custody.reads import load_key, store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.models import AuthorityRow, CertificateRow
from keys.pki.certificate import signature_algorithm
from keys.pki.errors import AuthorityExpired, AuthorityRevoked
from keys.pki.issuing import issue
from keys.pki.profiles import PROFILES
from keys.pki.reads import Authority, certificate_ends, get_authorities, get_authority, serial_text, service_subject
from keys.pki.status_models import OcspResponderRow

RENEW_BEFORE = dt.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Responder:
    """A signer of answers, ready to sign.

    ``certificates``  to be sent along; none where the authority answers by itself
    ``key_hash``      SHA-1 of the public key's BIT STRING, how an answer names its responder
    ``signature``     AlgorithmIdentifier of its signatures, DER
    ``begin``         since when the authority tells the status of its certificates
    """

    authority: str
    issuer_serial: str
    key: StoredKey
    purpose: Purpose
    certificates: tuple[bytes, ...]
    key_hash: bytes
    signature: bytes
    not_after: dt.datetime
    begin: dt.datetime

    def due(self, now: dt.datetime) -> bool:
        """Whether another should take over."""
        return now > self.not_after - RENEW_BEFORE


def key_octets(public_key: bytes) -> bytes:
    """The octets of the subjectPublicKey BIT STRING: what issuerKeyHash and byKey are digests of (RFC 6960 §4.1.1)."""
    contents: bytes = asn1_keys.PublicKeyInfo.load(public_key)["public_key"].contents
    return contents[1:]


async def find_responder(database: Database, keystore: KeyStore, now: dt.datetime, name: str) -> Responder:
    """The responder of an authority, made where there is none that lasts; ``AuthorityUnknown``, or what custody raises.

    1. the newest that is not yet due, unless it was revoked
    2. else make one, unless somebody else has just done it
    3. an authority that cannot issue answers by itself
    """
    async with database.session() as session:
        found = await _newest(session, name, now)
    if found is not None and not found.due(now):
        return found
    try:
        async with database.begin() as session:
            return await _make(session, keystore, now, name)
    except (AuthorityRevoked, AuthorityExpired):
        if found is not None and now <= found.not_after:
            return found
        async with database.session() as session:
            authority = await get_authority(session, name)
            return _responder(authority, authority.key, (), certificate_ends(authority.certificate).not_after, await _begin(session, name))


async def renew_responders(database: Database, keystore: KeyStore, now: dt.datetime) -> None:
    """Every authority has a responder that lasts: to be called from time to time, so that no client waits for one."""
    async with database.session() as session:
        names = list(await get_authorities(session))
    for name in names:
        await find_responder(database, keystore, now, name)


async def _newest(session: AsyncSession, name: str, now: dt.datetime) -> Responder | None:
    chosen = select(OcspResponderRow).where(OcspResponderRow.authority == name, OcspResponderRow.not_after >= now)
    # Clients do not ask for its status (id-pkix-ocsp-nocheck), so it is for us to stop.
    chosen = chosen.join(CertificateRow, CertificateRow.serial == OcspResponderRow.serial).where(CertificateRow.revoked_at.is_(None))
    row = await session.scalar(chosen.where(OcspResponderRow.not_before <= now).order_by(OcspResponderRow.not_after.desc()).limit(1))
    if row is None:
        return None
    authority, key = await get_authority(session, name), await load_key(session, row.key_id)
    return _responder(authority, key, (row.certificate,), row.not_after, await _begin(session, name))


async def _make(session: AsyncSession, keystore: KeyStore, now: dt.datetime, name: str) -> Responder:
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"keys.pki.ocsp:{name}", 0))))
    found = await _newest(session, name, now)
    if found is not None and not found.due(now):
        return found
    authority = await get_authority(session, name)
    profile = PROFILES["ocsp-responder-sm" if authority.key.algorithm is Algorithm.SM2 else "ocsp-responder"]
    key = keystore.generate(profile.algorithm, Purpose.STATUS)
    await store_key(session, key, now)
    subject = service_subject(authority, f"OCSP responder {authority.name} {now:%Y-%m-%d}")
    issued = await issue(session, keystore, now, authority=name, profile=profile.name, subject=subject, public_key=key.public)
    ends = certificate_ends(issued.certificate)
    row = OcspResponderRow(
        serial=serial_text(issued.serial),
        authority=name,
        key_id=key.id,
        certificate=issued.certificate,
        not_before=now.replace(microsecond=0),
        not_after=ends.not_after,
    )
    session.add(row)
    await session.flush([row])
    return _responder(authority, key, (issued.certificate,), ends.not_after, await _begin(session, name))


async def _begin(session: AsyncSession, name: str) -> dt.datetime:
    row = await session.get_one(AuthorityRow, name)
    return row.created_at.replace(microsecond=0)


def _responder(
    authority: Authority, key: StoredKey, certificates: tuple[bytes, ...], not_after: dt.datetime, begin: dt.datetime
) -> Responder:
    own = certificate_ends(authority.certificate)
    return Responder(
        authority=authority.name,
        issuer_serial=serial_text(own.serial),
        key=key,
        purpose=key.purpose,
        certificates=certificates,
        key_hash=hashlib.sha1(key_octets(key.public), usedforsecurity=False).digest(),
        signature=signature_algorithm(key.algorithm).dump(),
        not_after=not_after,
        begin=begin,
    )
