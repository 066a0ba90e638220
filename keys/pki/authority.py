"""Authorities: established once, then they certify keys.

Issuing: check the order → number it → write it down → sign → keep the certificate. The number is in the database before
anything is signed under it, so no two certificates share one and none exists that we do not know of.
"""

import datetime as dt
import secrets
from dataclasses import dataclass

from asn1crypto import pem
from sqlalchemy import func, select

from keys.base.actor import SYSTEM
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.custody.reads import store_key
from keys.custody.store import KeyStore, Purpose, StoredKey
from keys.evidence.audit import Event, Outcome, record
from keys.models import AuthorityRow, CertificateRow
from keys.pki.certificate import CertificateFacts, Issuer, Subject, assemble, check_public_key, key_identifier, subject_name, to_be_signed
from keys.pki.errors import AuthorityUnknown, ProfileUnsuitable, ValidityUnsuitable
from keys.pki.profiles import (
    DEMONSTRATION_AUTHORITIES,
    DEMONSTRATION_DIVISION,
    DEMONSTRATION_ORGANISATION,
    PROFILES,
    AuthorityPlan,
    Profile,
)
from keys.pki.reads import certificate_ends, chain_above, get_authorities, named, serial_text

__all__ = ["IssuedCertificate", "Subject", "authority_certificate", "establish", "issue", "trust_bundle"]

_SERIAL_RANDOM_BITS = 126


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A new certificate, DER, with its chain: its issuer first, the root last."""

    certificate: bytes
    chain: tuple[bytes, ...]
    serial: int


async def establish(database: Database, keystore: KeyStore, clock: Clock, base_url: str) -> None:
    """Makes the demonstration's authorities, whose names say that they have no legal effect.

    1. wait for anyone else who is establishing
    2. make each authority that is missing, parents first, and leave an audit event of each
    3. let the others name ``base_url`` in what they issue from now on

    Calling it again changes nothing else.
    """
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("keys.pki.establish", 0))))
        for plan in DEMONSTRATION_AUTHORITIES:
            row = await session.get(AuthorityRow, plan.name)
            if row is None:
                await _establish_one(session, keystore, clock.now(), plan, base_url.rstrip("/"))
            else:
                row.base_url = base_url.rstrip("/")


async def _establish_one(session: AsyncSession, keystore: KeyStore, now: dt.datetime, plan: AuthorityPlan, base_url: str) -> None:
    profile = PROFILES[plan.profile]
    key = keystore.generate(profile.algorithm, Purpose.AUTHORITY)
    await store_key(session, key, now)
    subject = Subject(plan.common_name, DEMONSTRATION_ORGANISATION, "", DEMONSTRATION_DIVISION)
    own = Issuer(plan.name, key.algorithm, subject_name(subject), key_identifier(key.public), base_url)
    row = AuthorityRow(
        name=plan.name,
        parent=plan.parent,
        key_id=key.id,
        key_identifier=own.key_identifier,
        certificate=b"",
        base_url=base_url,
        revocations=0,
        created_at=now,
    )
    session.add(row)
    await session.flush([row])
    facts = CertificateFacts(profile, _new_serial(), own.subject, key.public, _whole_seconds(now), _default_end(now, profile))
    issuer, signing = (own, key) if plan.is_root else await _issuer(session, plan.parent)
    row.certificate = await _certify(session, keystore, now, facts, issuer, signing, plan.common_name, DEMONSTRATION_DIVISION)
    details = {"algorithm": key.algorithm.value, "serial": serial_text(facts.serial), "parent": plan.parent}
    await record(session, now, Event("keys.pki.establish", f"authority:{plan.name}", Outcome.DONE, SYSTEM, details))


async def _issuer(session: AsyncSession, name: str) -> tuple[Issuer, StoredKey]:
    authority = named(await get_authorities(session), name)
    return authority.issuer, authority.key


async def issue(
    session: AsyncSession,
    keystore: KeyStore,
    now: dt.datetime,
    *,
    authority: str,
    profile: str,
    subject: Subject,
    public_key: bytes,
    valid_to: dt.datetime | None = None,
) -> IssuedCertificate:
    """Certifies ``public_key`` (SPKI DER) for ``subject``, in the caller's transaction.

    ``valid_to`` defaults to the profile's period. Raises ``AuthorityUnknown``, ``ProfileUnsuitable``,
    ``PublicKeyUnsuitable``, ``SubjectUnsuitable`` or ``ValidityUnsuitable``.
    """
    kind = _profile_of(authority, profile)
    check_public_key(public_key, kind.algorithm)
    authorities = await get_authorities(session)
    issuing = named(authorities, authority)
    not_after = _end(now, kind, valid_to, certificate_ends(issuing.certificate).not_after)
    facts = CertificateFacts(kind, _new_serial(), subject_name(subject), public_key, _whole_seconds(now), not_after)
    certificate = await _certify(session, keystore, now, facts, issuing.issuer, issuing.key, subject.common_name, subject.division)
    chain = tuple(above.certificate for above in chain_above(authorities, issuing))
    return IssuedCertificate(certificate, chain, facts.serial)


async def _certify(
    session: AsyncSession,
    keystore: KeyStore,
    now: dt.datetime,
    facts: CertificateFacts,
    issuer: Issuer,
    key: StoredKey,
    subject: str,
    division: str,
) -> bytes:
    row = CertificateRow(
        serial=serial_text(facts.serial),
        authority=issuer.authority,
        profile=facts.profile.name,
        subject=subject,
        division=division,
        not_before=facts.not_before,
        not_after=facts.not_after,
        certificate=b"",
        issued_at=now,
    )
    session.add(row)
    await session.flush([row])
    body = to_be_signed(facts, issuer)
    row.certificate = assemble(body, key.algorithm, keystore.sign(key, body, Purpose.AUTHORITY))
    await session.flush([row])
    return row.certificate


def _profile_of(authority: str, profile: str) -> Profile:
    kind = PROFILES.get(profile)
    if authority not in {plan.name for plan in DEMONSTRATION_AUTHORITIES}:
        raise AuthorityUnknown(f"no authority {authority[:40]!r}")
    if kind is None or kind.is_authority or authority not in kind.authorities:
        raise ProfileUnsuitable(f"authority {authority} does not issue profile {profile[:40]!r}")
    return kind


def _new_serial() -> int:
    """A positive integer of 16 octets with 126 random bits (RFC 5280 §4.1.2.2 allows 20 octets; CA/B forums ask for 64 bits)."""
    return 1 << _SERIAL_RANDOM_BITS | secrets.randbits(_SERIAL_RANDOM_BITS)


def _whole_seconds(instant: dt.datetime) -> dt.datetime:
    return instant.replace(microsecond=0)


def _default_end(now: dt.datetime, profile: Profile) -> dt.datetime:
    return _whole_seconds(now) + dt.timedelta(days=profile.days, seconds=-1)


def _end(now: dt.datetime, profile: Profile, asked: dt.datetime | None, limit: dt.datetime) -> dt.datetime:
    """The asked end, which must lie between now and the issuer's end; else the profile's, cut to the issuer's."""
    if asked is None:
        return min(_default_end(now, profile), limit)
    end = _whole_seconds(asked)
    if not now < end <= limit:
        raise ValidityUnsuitable(f"the end {end.isoformat()} is not between now and the authority's own end {limit.isoformat()}")
    return end


async def authority_certificate(session: AsyncSession, name: str) -> bytes:
    """The authority's own certificate, DER; ``AuthorityUnknown``."""
    certificate = await session.scalar(select(AuthorityRow.certificate).where(AuthorityRow.name == name))
    if certificate is None:
        raise AuthorityUnknown(f"no authority {name[:40]!r}")
    return certificate


async def trust_bundle(session: AsyncSession) -> str:
    """The roots, PEM."""
    roots = await session.scalars(
        select(AuthorityRow.certificate).where(AuthorityRow.name == AuthorityRow.parent).order_by(AuthorityRow.name)
    )
    return "".join(pem.armor("CERTIFICATE", root).decode() for root in roots)
