"""Authorities: established once, then they certify keys (``keys.pki.issuing``)."""

import datetime as dt
from collections.abc import Sequence

from asn1crypto import pem
from sqlalchemy import func, select

from keys.base.actor import SYSTEM
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.custody.reads import store_key
from keys.custody.store import KeyStore, Purpose, StoredKey
from keys.evidence.audit import Event, Outcome, record
from keys.models import AuthorityRow
from keys.pki.certificate import CertificateFacts, Issuer, Subject, key_identifier, subject_name
from keys.pki.errors import AuthorityUnknown, ProfileUnsuitable
from keys.pki.issuing import CertificateOrder, IssuedCertificate, certify, default_end, issue, new_serial, whole_seconds
from keys.pki.profiles import (
    DEMONSTRATION_AUTHORITIES,
    DEMONSTRATION_DIVISION,
    DEMONSTRATION_ORGANISATION,
    PROFILES,
    AuthorityPlan,
    Profile,
)
from keys.pki.reads import get_authorities, named, serial_text
from keys.pki.weak_keys import same_family

__all__ = ["IssuedCertificate", "Subject", "authority_certificate", "establish", "establish_one", "issue", "trust_bundle"]


async def establish(
    database: Database, keystore: KeyStore, clock: Clock, base_url: str, plans: Sequence[AuthorityPlan] = DEMONSTRATION_AUTHORITIES
) -> None:
    """Makes the demonstration's authorities, whose names say that they have no legal effect.

    1. wait for anyone else who is establishing
    2. make each authority that is missing, parents first, and leave an audit event of each
    3. let the others name ``base_url`` in what they issue from now on

    Calling it again changes nothing else.
    """
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("keys.pki.establish", 0))))
        for plan in plans:
            row = await session.get(AuthorityRow, plan.name)
            if row is None:
                subject = Subject(plan.common_name, DEMONSTRATION_ORGANISATION, "", DEMONSTRATION_DIVISION)
                await establish_one(session, keystore, clock.now(), plan, subject, base_url)
            else:
                row.base_url = base_url.rstrip("/")


async def establish_one(
    session: AsyncSession, keystore: KeyStore, now: dt.datetime, plan: AuthorityPlan, subject: Subject, base_url: str
) -> bytes:
    """A new authority after its plan, under its parent or itself: its certificate, DER. Raises ``ProfileUnsuitable``,
    ``SubjectUnsuitable`` or ``AuthorityUnknown`` (the parent)."""
    profile = await _planned_profile(session, plan)
    key = keystore.generate(plan.algorithm, Purpose.AUTHORITY)
    await store_key(session, key, now)
    own = Issuer(plan.name, key.algorithm, subject_name(subject), key_identifier(key.public), base_url.rstrip("/"))
    row = _row(plan, own, key, now)
    session.add(row)
    await session.flush([row])
    facts = CertificateFacts(profile, new_serial(), own.subject, key.public, whole_seconds(now), default_end(now, profile))
    issuer, signing = (own, key) if plan.is_root else await _issuer(session, plan.parent)
    order = CertificateOrder(issuer.authority, profile.name, subject, key.public)
    row.certificate = await certify(session, keystore, now, facts, issuer, signing, order)
    details = {"algorithm": key.algorithm.value, "serial": serial_text(facts.serial), "parent": plan.parent}
    await record(session, now, Event("keys.pki.establish", f"authority:{plan.name}", Outcome.DONE, SYSTEM, details))
    return row.certificate


async def _planned_profile(session: AsyncSession, plan: AuthorityPlan) -> Profile:
    profile = PROFILES.get(plan.profile)
    if profile is None or not profile.is_authority or plan.algorithm not in profile.algorithms:
        raise ProfileUnsuitable(f"no authority is made with profile {plan.profile[:40]!r} and {plan.algorithm}")
    if not plan.is_root:
        parent = named(await get_authorities(session), plan.parent)
        if parent.profile not in profile.issuers or not same_family(parent.key.algorithm, plan.algorithm):
            raise ProfileUnsuitable(f"authority {plan.parent} certifies no {plan.profile[:40]!r} with {plan.algorithm}")
    return profile


def _row(plan: AuthorityPlan, own: Issuer, key: StoredKey, now: dt.datetime) -> AuthorityRow:
    return AuthorityRow(
        name=plan.name,
        parent=plan.parent,
        profile=plan.profile,
        key_id=key.id,
        key_identifier=own.key_identifier,
        certificate=b"",
        external_chain=[],
        base_url=own.base_url,
        revocations=0,
        created_at=now,
    )


async def _issuer(session: AsyncSession, name: str) -> tuple[Issuer, StoredKey]:
    authority = named(await get_authorities(session), name)
    return authority.issuer, authority.key


async def authority_certificate(session: AsyncSession, name: str) -> bytes:
    """The authority's own certificate, DER; ``AuthorityUnknown``."""
    certificate = await session.scalar(select(AuthorityRow.certificate).where(AuthorityRow.name == name))
    if not certificate:  # none, or one that still waits for its certificate
        raise AuthorityUnknown(f"no authority {name[:40]!r}")
    return certificate


async def trust_bundle(session: AsyncSession) -> str:
    """The roots, PEM: ours, and those of others that certified an authority of ours."""
    tops = select(AuthorityRow.certificate, AuthorityRow.external_chain)
    tops = tops.where(AuthorityRow.name == AuthorityRow.parent, AuthorityRow.certificate != b"").order_by(AuthorityRow.name)
    roots = [external[-1] if external else certificate for certificate, external in await session.execute(tops)]
    return "".join(pem.armor("CERTIFICATE", root).decode() for root in dict.fromkeys(roots))
