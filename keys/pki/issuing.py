"""Issuing certificates: the one way by which anything is ever signed with an authority's key and called a certificate.

1. check the order: the profile, the key, the name, the period, and the authority itself
2. refuse a key that was certified before
3. lint: a certificate that breaks a rule is not signed (``keys.pki.lint``)
4. reserve: the serial number is written down and committed, in a transaction of its own
5. sign
6. keep the certificate and the audit event, in the caller's transaction

A crash, a failure or a rollback after step 4 leaves a number without a certificate: the record that one may have been
signed, which never left this process. A refusal leaves an audit event of its own.
"""

import datetime as dt
import hashlib
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from asn1crypto import pem
from sqlalchemy import bindparam, func, insert, select

from keys.base.actor import SYSTEM, Actor
from keys.base.db import AsyncSession, beside
from keys.base.errors import FujieError
from keys.base.hot import Statement
from keys.custody.store import KeyStore, Purpose, StoredKey
from keys.evidence.audit import JSON, Event, Outcome, record, record_beside
from keys.models import AuthorityRow, CertificateRow, SerialRow, StoredKeyRow
from keys.pki.certificate import CertificateFacts, Issuer, Subject, assemble, signature_algorithm, subject_name, to_be_signed
from keys.pki.errors import (
    AuthorityExpired,
    AuthorityRevoked,
    CertificateMalformed,
    KeyCertifiedBefore,
    ProfileUnsuitable,
    ValidityUnsuitable,
)
from keys.pki.lint import errors, lint
from keys.pki.profiles import PROFILES, Profile
from keys.pki.reads import Authority, certificate_ends, certificates_above, chain_above, get_authorities, named, serial_text
from keys.pki.validation import Material, Revoked, revocation_of
from keys.pki.weak_keys import check_public_key, same_family
from keys.trust.reads import external_answers, external_lists_of

__all__ = ["CertificateOrder", "IssuedCertificate", "certify", "default_end", "issue", "issue_order", "new_serial", "whole_seconds"]

_SERIAL_RANDOM_BITS = 126


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A new certificate, DER, with its chain: its issuer first, the root last."""

    certificate: bytes
    chain: tuple[bytes, ...]
    serial: int

    def pem(self) -> bytes:
        """The certificate, then its chain (RFC 7468)."""
        return b"".join(pem.armor("CERTIFICATE", der) for der in (self.certificate, *self.chain))


@dataclass(frozen=True, slots=True)
class CertificateOrder:
    """What is to be certified.

    ``subject``      whom; or, for a renewal, the Name (DER) of the certificate before
    ``public_key``   SPKI DER
    ``valid_to``     None: the profile's period
    ``predecessor``  serial number of the certificate that this one follows; with the same key it is a renewal
    ``holder``       the account it is issued to, if it is a person's
    ``hosts``        names and addresses of the machine, where the profile is one for machines
    """

    authority: str
    profile: str
    subject: Subject
    public_key: bytes
    valid_to: dt.datetime | None = None
    actor: Actor = SYSTEM
    predecessor: int | None = None
    holder: uuid.UUID | None = None
    same_key: bool = field(default=False, kw_only=True)
    hosts: tuple[str, ...] = field(default=(), kw_only=True)


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
    actor: Actor = SYSTEM,
    holder: uuid.UUID | None = None,
) -> IssuedCertificate:
    """Certifies ``public_key`` (SPKI DER) for ``subject``; the certificate is kept in the caller's transaction.

    ``valid_to`` defaults to the profile's period. Raises what :func:`issue_order` raises.
    """
    order = CertificateOrder(authority, profile, subject, public_key, valid_to, actor, holder=holder)
    return await issue_order(session, keystore, now, order)


async def issue_order(session: AsyncSession, keystore: KeyStore, now: dt.datetime, order: CertificateOrder) -> IssuedCertificate:
    """Carries an order out. Raises ``AuthorityUnknown``, ``AuthorityExpired``, ``AuthorityRevoked``, ``ProfileUnsuitable``,
    ``PublicKeyUnsuitable``, ``PublicKeyWeak``, ``KeyCertifiedBefore``, ``SubjectUnsuitable``, ``ValidityUnsuitable`` or
    ``CertificateMalformed``; each leaves an audit event that outlives the caller's rollback.
    """
    try:
        return await _issue(session, keystore, now, order)
    except FujieError as error:
        outcome = Outcome.FAILED if error.status >= 500 else Outcome.REFUSED
        event = Event("keys.pki.issue", f"authority:{order.authority[:40]}", outcome, order.actor, _order_details(order), error.code)
        await record_beside(session, now, event)
        raise


async def _issue(session: AsyncSession, keystore: KeyStore, now: dt.datetime, order: CertificateOrder) -> IssuedCertificate:
    authorities = await get_authorities(session)
    issuing = named(authorities, order.authority)
    kind = _suitable_profile(issuing, order.profile)
    check_public_key(order.public_key, kind.algorithms)
    _check_family(issuing, order.public_key)
    await _check_authority(session, now, authorities, issuing)
    await _check_key_is_new(session, order)
    ends = _end(now, kind, order.valid_to, certificate_ends(issuing.certificate).not_after)
    facts = CertificateFacts(kind, new_serial(), subject_name(order.subject), order.public_key, whole_seconds(now), ends, order.hosts)
    certificate = await certify(session, keystore, now, facts, issuing.issuer, issuing.key, order)
    details = {**_order_details(order), "not_after": ends.isoformat(), "issuer": issuing.name}
    await record(session, now, Event("keys.pki.issue", f"pki-certificate:{serial_text(facts.serial)}", Outcome.DONE, order.actor, details))
    return IssuedCertificate(certificate, certificates_above(authorities, issuing), facts.serial)


def _order_details(order: CertificateOrder) -> dict[str, JSON]:
    """No names: the subject of a certificate may be a person. The key is named by its digest."""
    details: dict[str, JSON] = {"profile": order.profile[:40], "public_key": hashlib.sha256(order.public_key).hexdigest()}
    if order.predecessor is not None:
        details["predecessor"] = serial_text(order.predecessor)
    return details


async def certify(
    session: AsyncSession,
    keystore: KeyStore,
    now: dt.datetime,
    facts: CertificateFacts,
    issuer: Issuer,
    key: StoredKey,
    order: CertificateOrder,
) -> bytes:
    """Lint, reserve the number, sign, keep: the certificate, DER. Raises ``CertificateMalformed``."""
    body = to_be_signed(facts, issuer)
    if broken := errors(lint(body, facts.profile.name, signature_algorithm(key.algorithm).dump(), issuer.subject)):
        raise CertificateMalformed(", ".join(broken))
    await _reserve(session, now, facts, issuer.authority)
    certificate = assemble(body, key.algorithm, keystore.sign(key, body, Purpose.AUTHORITY))
    row = CertificateRow(
        serial=serial_text(facts.serial),
        authority=issuer.authority,
        profile=facts.profile.name,
        subject=order.subject.common_name,
        division=order.subject.division,
        public_key=hashlib.sha256(facts.public_key).digest(),
        predecessor=None if order.predecessor is None else serial_text(order.predecessor),
        holder=order.holder,
        not_before=facts.not_before,
        not_after=facts.not_after,
        certificate=certificate,
        issued_at=now,
    )
    session.add(row)
    await session.flush([row])
    return certificate


_RESERVED = ("serial", "authority", "profile", "public_key", "reserved_at")
_RESERVE = Statement(insert(SerialRow).values({name: bindparam(f"new_{name}") for name in _RESERVED}))


async def _reserve(session: AsyncSession, now: dt.datetime, facts: CertificateFacts, authority: str) -> None:
    """The number is in the database, committed, before anything is signed under it. Two equal numbers: the second is an error."""
    values = {
        "new_serial": serial_text(facts.serial),
        "new_authority": authority,
        "new_profile": facts.profile.name,
        "new_public_key": hashlib.sha256(facts.public_key).digest(),
        "new_reserved_at": now,
    }
    await beside(session).row(_RESERVE, values)


def _suitable_profile(issuing: Authority, profile: str) -> Profile:
    kind = PROFILES.get(profile)
    if kind is None or kind.is_authority or issuing.profile not in kind.issuers:
        raise ProfileUnsuitable(f"authority {issuing.name} does not issue profile {profile[:40]!r}")
    return kind


def _check_family(issuing: Authority, public_key: bytes) -> None:
    if not same_family(issuing.key.algorithm, public_key):
        raise ProfileUnsuitable(f"authority {issuing.name} signs with {issuing.key.algorithm}; SM2 keys have chains of their own")


async def _check_authority(session: AsyncSession, now: dt.datetime, authorities: Mapping[str, Authority], issuing: Authority) -> None:
    """Neither it nor anybody above it has ended or was revoked."""
    whole = certificates_above(authorities, issuing)
    if any(certificate_ends(certificate).not_after < now for certificate in whole):
        raise AuthorityExpired(f"authority {issuing.name} or one above it has ended")
    serials = [serial_text(certificate_ends(above.certificate).serial) for above in chain_above(authorities, issuing)]
    revoked = select(CertificateRow.serial).where(CertificateRow.serial.in_(serials), CertificateRow.revoked_at.is_not(None)).limit(1)
    outside = chain_above(authorities, issuing)[-1].external_chain
    if await session.scalar(revoked) is not None or (outside and await _revoked_by_others(session, now, whole)):
        raise AuthorityRevoked(f"authority {issuing.name} or one above it was revoked")


async def _revoked_by_others(session: AsyncSession, now: dt.datetime, chain: Sequence[bytes]) -> bool:
    """Whether a list or an answer of somebody else above us, as last fetched, revokes a certificate of the chain."""
    lists, answers = await external_lists_of(session, chain, now), await external_answers(session)
    material = Material.read(chain[-1:], chain, lists, answers)
    return isinstance(revocation_of(material.candidates, material, now), Revoked)


async def _check_key_is_new(session: AsyncSession, order: CertificateOrder) -> None:
    """Nobody, an authority least of all, shares a key. One order at a time looks at one key."""
    digest = hashlib.sha256(order.public_key).digest()
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"keys.pki.key {digest.hex()}", 0))))
    if order.same_key:
        return
    certified = select(CertificateRow.serial).where(CertificateRow.public_key == digest).limit(1)
    an_authoritys = select(AuthorityRow.name).join(StoredKeyRow, StoredKeyRow.id == AuthorityRow.key_id)
    an_authoritys = an_authoritys.where(StoredKeyRow.public == order.public_key)
    if await session.scalar(certified) is not None or await session.scalar(an_authoritys.limit(1)) is not None:
        raise KeyCertifiedBefore(digest.hex())


def new_serial() -> int:
    """A positive integer of 16 octets with 126 random bits (RFC 5280 §4.1.2.2 allows 20 octets; CA/B forums ask for 64 bits)."""
    return 1 << _SERIAL_RANDOM_BITS | secrets.randbits(_SERIAL_RANDOM_BITS)


def whole_seconds(instant: dt.datetime) -> dt.datetime:
    return instant.replace(microsecond=0)


def default_end(now: dt.datetime, profile: Profile) -> dt.datetime:
    return whole_seconds(now) + dt.timedelta(days=profile.days, seconds=-1)


def _end(now: dt.datetime, profile: Profile, asked: dt.datetime | None, limit: dt.datetime) -> dt.datetime:
    """The asked end, which must lie between now and the issuer's end; else the profile's, cut to the issuer's."""
    if asked is None:
        return min(default_end(now, profile), limit)
    end = whole_seconds(asked)
    if not now < end <= limit:
        raise ValidityUnsuitable(f"the end {end.isoformat()} is not between now and the authority's own end {limit.isoformat()}")
    return end
