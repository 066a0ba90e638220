"""Revocation lists octet by octet (RFC 5280 §5): plain functions from facts to DER.

An entry is written once, when a certificate is revoked; a list strings the stored entries together, so a list of 100,000
costs no more Python than an empty one.
"""

import datetime as dt
from dataclasses import dataclass

from keys.base import der
from keys.pki.certificate import Issuer, signature_algorithm
from keys.pki.partitions import FULL, list_url
from keys.pki.status_lifecycle import REASON_CODES, RevocationReason

_UTC_TIME, _ENUMERATED, _BOOLEAN = 0x17, 0x0A, 0x01
_EXPLICIT_0, _IMPLICIT_0, _URI = 0xA0, 0xA0, 0x86
_TRUE = der.encode(_BOOLEAN, b"\xff")
_VERSION_2 = der.integer(1)

_REASON_CODE = der.object_identifier("2.5.29.21")
_INVALIDITY_DATE = der.object_identifier("2.5.29.24")
_CRL_NUMBER = der.object_identifier("2.5.29.20")
_ISSUING_DISTRIBUTION_POINT = der.object_identifier("2.5.29.28")
_AUTHORITY_KEY_IDENTIFIER = der.object_identifier("2.5.29.35")
_EXPIRED_CERTS_ON_CRL = der.object_identifier("2.5.29.60")  # X.509 (10/2019) §9.5.2.9; ETSI EN 319 411-2 CSS-6.3.10-10A asks for it


@dataclass(frozen=True, slots=True)
class Crl:
    """What a list states. ``entries``: as :func:`entry` wrote them, strung together; ``begin``: since when nothing is dropped."""

    issuer: Issuer
    partition: int
    number: int
    this_update: dt.datetime
    next_update: dt.datetime
    begin: dt.datetime
    entries: bytes


def time(instant: dt.datetime) -> bytes:
    """Time: UTCTime through 2049, GeneralizedTime after (RFC 5280 §4.1.2.5)."""
    if instant.year >= 2050:
        return der.generalized_time(instant)
    return der.encode(_UTC_TIME, instant.astimezone(dt.UTC).strftime("%y%m%d%H%M%SZ").encode())


def entry(serial: int, revoked_at: dt.datetime, reason: str, invalidity_date: dt.datetime | None = None) -> bytes:
    """One revokedCertificates entry. RFC 5280 §5.3.1: an unspecified reason is expressed by leaving the extension out."""
    extensions = []
    if reason != RevocationReason.UNSPECIFIED:
        extensions.append(_extension(_REASON_CODE, der.encode(_ENUMERATED, bytes((REASON_CODES[reason],)))))
    if invalidity_date is not None:
        extensions.append(_extension(_INVALIDITY_DATE, der.generalized_time(invalidity_date)))
    return der.sequence(der.integer(serial), time(revoked_at), *([der.sequence(*extensions)] if extensions else []))


def to_be_signed(crl: Crl) -> bytes:
    """TBSCertList, DER. RFC 5280 §5.1.2.6: without entries the field is absent."""
    issuer = crl.issuer
    extensions = [
        _extension(_AUTHORITY_KEY_IDENTIFIER, der.sequence(der.encode(0x80, issuer.key_identifier))),
        _extension(_CRL_NUMBER, der.integer(crl.number)),
        _extension(_EXPIRED_CERTS_ON_CRL, der.generalized_time(crl.begin)),
    ]
    if crl.partition != FULL:
        extensions.append(_extension(_ISSUING_DISTRIBUTION_POINT, _distribution_point(crl), critical=True))
    return der.sequence(
        _VERSION_2,
        signature_algorithm(issuer.algorithm).dump(),
        issuer.subject,
        time(crl.this_update),
        time(crl.next_update),
        der.sequence(crl.entries) if crl.entries else b"",
        der.encode(_EXPLICIT_0, der.sequence(*extensions)),
    )


def _distribution_point(crl: Crl) -> bytes:
    """IssuingDistributionPoint whose name is the very address that the certificates of the partition name (RFC 5280 §5.2.5)."""
    url = list_url(crl.issuer.base_url, crl.issuer.authority, crl.partition)
    full_name = der.encode(_IMPLICIT_0, der.encode(_URI, url.encode("ascii")))
    return der.sequence(der.encode(_EXPLICIT_0, full_name))


def _extension(kind: bytes, value: bytes, *, critical: bool = False) -> bytes:
    return der.sequence(kind, _TRUE if critical else b"", der.octet_string(value))
