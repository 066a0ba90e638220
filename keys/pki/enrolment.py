"""Sign-in certificates of people: citizens and staff, with a key of their own (PKCS #10) or one made for them (PKCS #12).

1. read the request and its proof of possession         (PKCS #12: make the pair, check the passphrase)
2. compare its wishes with the profile: nothing is copied
3. count what the person holds, one enrolment of a person at a time
4. issue: the subject is the account, whatever the request calls itself
5. hand out: the certificate and its chain              (PKCS #12: key, certificate and chain under the passphrase)

An ID number is in none of it: a person is the name, the division and the account's identifier.
"""

import asyncio
import datetime as dt
import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.custody.pkcs12 import check_passphrase, make_pair
from keys.custody.store import Algorithm, KeyStore
from keys.evidence.audit import Event, Outcome, record_alone
from keys.models import CertificateRow
from keys.pki.certificate import Subject
from keys.pki.errors import CertificateUnknown, RenewalUnsuitable, TooManyCertificates
from keys.pki.issuing import CertificateOrder, IssuedCertificate, issue_order
from keys.pki.profiles import PROFILES
from keys.pki.reads import certificates_above, get_authorities, named
from keys.pki.renewal import successor
from keys.pki.requests import CertificationRequest, check_wishes, read_request

__all__ = ["Applicant", "Enrolment", "authority_chain", "enrol_with_new_key", "enrol_with_request", "renew_with_request"]

AUTHORITY, PROFILE = "persons", "person-sign-in"
MOST_IN_FORCE = 5
"""Certificates in force that one person may hold, one for each device; while they are being renewed, twice as many."""


@dataclass(frozen=True, slots=True)
class Applicant:
    """Whose certificate it is, taken from the account. ``organisation`` and its USCC are the employer's; empty for a citizen."""

    account: uuid.UUID
    name: str
    division: str
    organisation: str = ""
    organisation_code: str = ""

    @property
    def subject(self) -> Subject:
        return Subject(self.name, self.organisation, self.organisation_code, self.division, str(self.account))


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the journeys need, and who acts."""

    database: Database
    keystore: KeyStore
    clock: Clock
    actor: Actor


async def enrol_with_request(parts: Enrolment, applicant: Applicant, request: bytes) -> IssuedCertificate:
    """Certifies the key of a PKCS #10 request. Raises ``RequestMalformed``, ``RequestProofInvalid``, ``RequestUsageUnsuitable``,
    ``TooManyCertificates`` and what ``issue_order`` raises."""
    async with _refusals_audited(parts, applicant):
        found = await asyncio.to_thread(_acceptable, request)
        async with parts.database.begin() as session:
            await _count(session, parts.clock.now(), applicant)
            return await issue_order(session, parts.keystore, parts.clock.now(), _order(parts, applicant, found.public_key))


async def renew_with_request(parts: Enrolment, applicant: Applicant, request: bytes) -> IssuedCertificate:
    """The successor of the person's certificate: the one of the request's key is renewed; a new key replaces the newest in force.

    Raises ``CertificateUnknown`` where there is none, ``RenewalUnsuitable``, and what :func:`enrol_with_request` raises.
    """
    async with _refusals_audited(parts, applicant):
        found = await asyncio.to_thread(_acceptable, request)
        async with parts.database.begin() as session:
            now = parts.clock.now()
            await _count(session, now, applicant, 2 * MOST_IN_FORCE)
            serial = await _predecessor(session, now, applicant, found.public_key)
            order = await successor(session, now, parts.actor, serial, found.public_key)
            if order.subject != applicant.subject:
                raise RenewalUnsuitable("the account has another name by now: a new certificate is due")
            return await issue_order(session, parts.keystore, now, order)


async def enrol_with_new_key(
    parts: Enrolment, applicant: Applicant, passphrase: str, algorithm: Algorithm = Algorithm.P256
) -> tuple[IssuedCertificate, bytes]:
    """A new pair and its certificate as a PKCS #12 file under ``passphrase``; the private key is kept nowhere.

    Raises ``PassphraseWeak``, ``TooManyCertificates`` and what ``issue_order`` raises.
    """
    async with _refusals_audited(parts, applicant):
        check_passphrase(passphrase)
        pair = await asyncio.to_thread(make_pair, algorithm)
        async with parts.database.begin() as session:
            await _count(session, parts.clock.now(), applicant)
            issued = await issue_order(session, parts.keystore, parts.clock.now(), _order(parts, applicant, pair.public))
    return issued, await asyncio.to_thread(pair.seal, issued.certificate, issued.chain, applicant.name, passphrase)


async def authority_chain(session: AsyncSession) -> tuple[bytes, ...]:
    """The authority of people's certificates and those above it, DER."""
    authorities = await get_authorities(session)
    return certificates_above(authorities, named(authorities, AUTHORITY))


def _acceptable(request: bytes) -> CertificationRequest:
    found = read_request(request)
    check_wishes(found, PROFILES[PROFILE])
    return found


def _order(parts: Enrolment, applicant: Applicant, public_key: bytes) -> CertificateOrder:
    return CertificateOrder(AUTHORITY, PROFILE, applicant.subject, public_key, None, parts.actor, holder=applicant.account)


async def _count(session: AsyncSession, now: dt.datetime, applicant: Applicant, most: int = MOST_IN_FORCE) -> None:
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"keys.pki.holder {applicant.account}", 0))))
    held = await session.scalar(select(func.count()).select_from(CertificateRow).where(*_in_force(now, applicant)))
    if (held or 0) >= most:
        raise TooManyCertificates(f"{held} in force")


def _in_force(now: dt.datetime, applicant: Applicant) -> tuple[ColumnElement[bool], ...]:
    row = CertificateRow
    return (row.holder == applicant.account, row.profile == PROFILE, row.revoked_at.is_(None), row.not_after >= now)


async def _predecessor(session: AsyncSession, now: dt.datetime, applicant: Applicant, public_key: bytes) -> int:
    same = CertificateRow.public_key == hashlib.sha256(public_key).digest()
    held = select(CertificateRow.serial).where(*_in_force(now, applicant))
    held = held.order_by(same.desc(), CertificateRow.issued_at.desc(), CertificateRow.serial).limit(1)
    serial = await session.scalar(held)
    if serial is None:
        raise CertificateUnknown("the person holds no certificate in force")
    return int(serial, 16)


@asynccontextmanager
async def _refusals_audited(parts: Enrolment, applicant: Applicant) -> AsyncIterator[None]:
    try:
        yield
    except FujieError as error:
        outcome = Outcome.FAILED if error.status >= 500 else Outcome.REFUSED
        event = Event("keys.pki.enrol", f"account:{applicant.account}", outcome, parts.actor, code=error.code)
        await record_alone(parts.database, parts.clock.now(), event)
        raise
