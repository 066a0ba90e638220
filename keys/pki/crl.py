"""Revocation: a certificate is revoked in the database, and the next list its authority publishes says so.

A list is remade when it is a day old or when its authority has revoked anything since. Entries are never dropped: a
signature made before the revocation is judged long after the certificate ended.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from enum import StrEnum

from asn1crypto import core, crl, x509
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import distinct_on

from keys.base.db import AsyncSession
from keys.custody.store import KeyStore, Purpose
from keys.models import AuthorityRow, CertificateRow, CrlRow
from keys.pki.certificate import Issuer, assemble, signature_algorithm, x509_time
from keys.pki.errors import AlreadyRevoked, AuthorityUnknown, CertificateUnknown, ReasonUnknown
from keys.pki.reads import get_authority, serial_text

CRL_VALIDITY = dt.timedelta(days=120)
CRL_REFRESH = dt.timedelta(days=1)


class RevocationReason(StrEnum):
    """CRLReason of RFC 5280 §5.3.1; a hold is not offered, because a seal is suspended in its own register."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key_compromise"
    CA_COMPROMISE = "ca_compromise"
    AFFILIATION_CHANGED = "affiliation_changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation_of_operation"
    PRIVILEGE_WITHDRAWN = "privilege_withdrawn"


async def revoke(session: AsyncSession, now: dt.datetime, serial: int, reason: str) -> None:
    """Revokes the certificate at ``now``, for good. ``reason`` is one of :class:`RevocationReason`.

    Raises ``ReasonUnknown``, ``CertificateUnknown`` or ``AlreadyRevoked``.
    """
    if reason not in set(RevocationReason):
        raise ReasonUnknown(f"no reason {reason[:40]!r}")
    change = update(CertificateRow).where(CertificateRow.serial == serial_text(serial), CertificateRow.revoked_at.is_(None))
    change = change.values(revoked_at=now.replace(microsecond=0), revocation_reason=reason)
    authority = await session.scalar(change.returning(CertificateRow.authority))
    if authority is None:
        raise await _why_not(session, serial)
    counted = update(AuthorityRow).where(AuthorityRow.name == authority).values(revocations=AuthorityRow.revocations + 1)
    await session.execute(counted)


async def _why_not(session: AsyncSession, serial: int) -> CertificateUnknown | AlreadyRevoked:
    known = await session.get(CertificateRow, serial_text(serial))
    return AlreadyRevoked(serial_text(serial)) if known else CertificateUnknown(serial_text(serial))


async def current_crl(session: AsyncSession, keystore: KeyStore, now: dt.datetime, name: str) -> bytes:
    """The authority's revocation list, DER, at most a day old and holding every revocation; ``AuthorityUnknown``.

    The session must be one that commits: the list may be made here.
    """
    return (await current_crls(session, keystore, now, [name]))[name]


async def current_crls(session: AsyncSession, keystore: KeyStore, now: dt.datetime, names: Collection[str]) -> Mapping[str, bytes]:
    """The current list of each named authority, as :func:`current_crl` gives one."""
    lists = await _published(session, names, now)
    # in one order whoever asks, because making a list locks its authority
    for name in sorted(set(names) - set(lists)):
        lists[name] = await _remake(session, keystore, now, name)
    return lists


async def _published(session: AsyncSession, names: Collection[str], now: dt.datetime) -> dict[str, bytes]:
    """The newest list of each, unless it is older than a day or lacks a revocation."""
    newest = select(CrlRow.authority, CrlRow.crl).join(AuthorityRow, AuthorityRow.name == CrlRow.authority)
    newest = newest.where(CrlRow.authority.in_(names), CrlRow.revocations == AuthorityRow.revocations)
    newest = newest.where(CrlRow.this_update > now - CRL_REFRESH, CrlRow.this_update <= now)
    rows = await session.execute(newest.ext(distinct_on(CrlRow.authority)).order_by(CrlRow.authority, CrlRow.number.desc()))
    return {row.authority: row.crl for row in rows}


async def _remake(session: AsyncSession, keystore: KeyStore, now: dt.datetime, name: str) -> bytes:
    """Lock the authority → look again → number → collect → sign → keep."""
    locked = select(AuthorityRow.revocations).where(AuthorityRow.name == name).with_for_update()
    revocations = await session.scalar(locked)
    if revocations is None:
        raise AuthorityUnknown(f"no authority {name[:40]!r}")
    if published := await _published(session, [name], now):
        return published[name]
    authority = await get_authority(session, name)
    last = await session.scalar(select(CrlRow.number).where(CrlRow.authority == name).order_by(CrlRow.number.desc()).limit(1))
    number, this_update = (last or 0) + 1, now.replace(microsecond=0)
    body = _to_be_signed(authority.issuer, number, this_update, await _revoked(session, name))
    signed = assemble(body, authority.key.algorithm, keystore.sign(authority.key, body, Purpose.AUTHORITY))
    made = CrlRow(
        authority=name, number=number, this_update=this_update, next_update=this_update + CRL_VALIDITY, revocations=revocations, crl=signed
    )
    session.add(made)
    await session.flush([made])
    return signed


async def _revoked(session: AsyncSession, name: str) -> list[tuple[int, dt.datetime, str]]:
    columns = select(CertificateRow.serial, CertificateRow.revoked_at, CertificateRow.revocation_reason)
    chosen = columns.where(CertificateRow.authority == name, CertificateRow.revoked_at.is_not(None))
    rows = await session.execute(chosen.order_by(CertificateRow.revoked_at, CertificateRow.serial))
    return [(int(serial, 16), revoked_at, reason or RevocationReason.UNSPECIFIED) for serial, revoked_at, reason in rows if revoked_at]


def _to_be_signed(issuer: Issuer, number: int, this_update: dt.datetime, revoked: list[tuple[int, dt.datetime, str]]) -> bytes:
    """TBSCertList, DER. RFC 5280 §5.1.2.6: without entries the field is absent."""
    fields: dict[str, object] = {
        "version": "v2",
        "signature": signature_algorithm(issuer.algorithm),
        "issuer": x509.Name.load(issuer.subject),
        "this_update": x509_time(this_update),
        "next_update": x509_time(this_update + CRL_VALIDITY),
        "crl_extensions": [
            {"extn_id": "authority_key_identifier", "critical": False, "extn_value": {"key_identifier": issuer.key_identifier}},
            {"extn_id": "crl_number", "critical": False, "extn_value": core.Integer(number)},
        ],
    }
    if revoked:
        fields["revoked_certificates"] = [_entry(*one) for one in revoked]
    encoded: bytes = crl.TbsCertList(fields).dump()
    return encoded


def _entry(serial: int, revoked_at: dt.datetime, reason: str) -> dict[str, object]:
    """RFC 5280 §5.3.1: an unspecified reason is expressed by leaving the extension out."""
    entry: dict[str, object] = {"user_certificate": serial, "revocation_date": x509_time(revoked_at)}
    if reason != RevocationReason.UNSPECIFIED:
        entry["crl_entry_extensions"] = [{"extn_id": "crl_reason", "critical": False, "extn_value": reason}]
    return entry
