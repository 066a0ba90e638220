"""Certificates that others hand over: read from any usual container, and looked at before anybody may propose them.

Every step refuses with a code of its own (:mod:`keys.trust.errors`); plain functions, no clock.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from asn1crypto import cms, core, pem, x509

from keys.base import der
from keys.custody.verifying import SM2_WITH_SM3, STRICT, read_algorithm, verify_signature
from keys.custody.verifying_keys import weakness
from keys.trust.errors import (
    TrustBundleMalformed,
    TrustCertificateExpired,
    TrustKeyWeak,
    TrustNotAuthority,
    TrustSelfSignatureBroken,
)

__all__ = ["SM2_WITH_SM3", "Certificate", "check_authority", "fingerprint", "issued_by", "read_bundle", "read_certificate"]

MAX_BUNDLE = 1 << 20
MAX_CERTIFICATES = 64
REGISTER_OF_LEGAL_PERSONS = "NTRCN-"  # ETSI EN 319 412-1 §5.1.4
DEMONSTRATION_WORDS = ("DEMONSTRATION", "演示")
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as read. ``signed`` is its TBSCertificate, ``algorithm`` an AlgorithmIdentifier, both DER.

    ``organisation_code`` is a USCC and ``division`` a GB/T 2260 code where the subject names them as ours do, else other text or empty.
    ``key_usage`` and ``extended_key_usage`` are None where the extension is missing.
    """

    encoded: bytes
    signed: bytes
    algorithm: bytes
    signature: bytes
    serial: int
    subject: bytes
    issuer: bytes
    public: bytes
    name: str
    organisation: str
    organisation_code: str
    division: str
    not_before: dt.datetime
    not_after: dt.datetime
    is_authority: bool
    path_length: int | None
    key_usage: frozenset[str] | None
    extended_key_usage: frozenset[str] | None
    crl_urls: tuple[str, ...]
    ocsp_urls: tuple[str, ...]
    is_demonstration: bool

    @property
    def self_issued(self) -> bool:
        return self.subject == self.issuer

    def may(self, use: str) -> bool:
        """Whether the key usage names this use; a certificate without key usage may do nothing here."""
        return self.key_usage is not None and use in self.key_usage

    def valid_at(self, instant: dt.datetime) -> bool:
        return self.not_before <= instant <= self.not_after


def fingerprint(certificate: bytes) -> bytes:
    """SHA-256 of the DER: what two people compare over the telephone."""
    return hashlib.sha256(certificate).digest()


@lru_cache(maxsize=512)
def read_certificate(encoded: bytes) -> Certificate:
    """The certificate in exactly these octets, DER. Raises :class:`TrustBundleMalformed`."""
    try:
        return _read(encoded)
    except _UNREADABLE as error:
        raise TrustBundleMalformed(f"not a certificate: {type(error).__name__}") from error


def _read(encoded: bytes) -> Certificate:
    signed, algorithm, signature = der.members(der.read(encoded))
    parsed = x509.Certificate.load(encoded, strict=True)
    body = parsed["tbs_certificate"]
    if body["signature"].dump() != algorithm.encoded or signature.tag != der.BIT_STRING or signature.value[:1] != b"\0":
        raise ValueError("the signature algorithm inside and outside differ, or the signature is no whole octets")
    usage, extended, constraints = parsed.key_usage_value, parsed.extended_key_usage_value, parsed.basic_constraints_value
    return Certificate(
        encoded=encoded,
        signed=signed.encoded,
        algorithm=algorithm.encoded,
        signature=signature.value[1:],
        serial=body["serial_number"].native,
        subject=body["subject"].dump(),
        issuer=body["issuer"].dump(),
        public=body["subject_public_key_info"].dump(),
        name=_name(body["subject"]),
        organisation=_part(body["subject"], "organization_name"),
        organisation_code=_part(body["subject"], "organization_identifier").removeprefix(REGISTER_OF_LEGAL_PERSONS),
        division=_part(body["subject"], "locality_name"),
        not_before=body["validity"]["not_before"].native,
        not_after=body["validity"]["not_after"].native,
        is_authority=bool(constraints and constraints["ca"].native),
        path_length=constraints["path_len_constraint"].native if constraints else None,
        key_usage=frozenset(usage.native) if usage else None,
        extended_key_usage=frozenset(one.dotted for one in extended) if extended else None,
        crl_urls=tuple(_crl_urls(parsed)),
        ocsp_urls=tuple(url for url in parsed.ocsp_urls if _is_http(url)),
        is_demonstration=any(word in body["subject"].human_friendly for word in DEMONSTRATION_WORDS),
    )


def _name(name: x509.Name) -> str:
    values = name.native
    chosen = values.get("common_name") or values.get("organization_name") or ""
    return chosen if isinstance(chosen, str) else " / ".join(map(str, chosen))


def _part(name: x509.Name, part: str) -> str:
    value = name.native.get(part) or ""
    return value if isinstance(value, str) else ""


def _crl_urls(parsed: x509.Certificate) -> Iterator[str]:
    for point in parsed.crl_distribution_points:
        name = point["distribution_point"]
        if name.native is None or name.name != "full_name":
            continue
        yield from (one.native for one in name.chosen if one.name == "uniform_resource_identifier" and _is_http(one.native))


def _is_http(url: object) -> bool:
    return isinstance(url, str) and url.lower().startswith(("http://", "https://"))


def read_bundle(data: bytes) -> tuple[bytes, ...]:
    """The certificates (DER) of a PEM bundle, a DER certificate, or PKCS #7 in either; each once, in their order.

    Raises :class:`TrustBundleMalformed`.
    """
    if len(data) > MAX_BUNDLE:
        raise TrustBundleMalformed("larger than 1 MB")
    try:
        found = tuple(dict.fromkeys(_contained(data)))
    except _UNREADABLE as error:
        raise TrustBundleMalformed(f"not PEM, DER or PKCS #7: {type(error).__name__}") from error
    if not 0 < len(found) <= MAX_CERTIFICATES:
        raise TrustBundleMalformed(f"{len(found)} certificates in it")
    for one in found:
        read_certificate(one)
    return found


def _contained(data: bytes) -> Iterator[bytes]:
    if not pem.detect(data):
        yield from _of_der(data)
        return
    for kind, _, octets in pem.unarmor(data, multiple=True):
        if kind in ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "PKCS7", "CMS"):
            yield from _of_der(octets)


def _of_der(octets: bytes) -> Iterator[bytes]:
    first = core.Sequence.load(octets, strict=True)
    if isinstance(first[0], core.ObjectIdentifier):
        for one in cms.ContentInfo.load(octets, strict=True)["content"]["certificates"]:
            yield one.chosen.dump()
    else:
        yield octets


def issued_by(subject: Certificate, issuer: Certificate) -> bool:
    """Whether the issuer's key, which may sign certificates, signed this one and the names agree octet by octet."""
    if subject.issuer != issuer.subject or not issuer.is_authority or not issuer.may("key_cert_sign"):
        return False
    return verify_signature(issuer.public, subject.algorithm, subject.signed, subject.signature)


def check_authority(encoded: bytes, now: dt.datetime, subordinates: Sequence[bytes] = ()) -> Certificate:
    """The authority, fit to be proposed.

    1. it can be read                                      TRUST_BUNDLE_MALFORMED
    2. it is an authority that may sign certificates       TRUST_NOT_AUTHORITY
    3. it is valid now                                     TRUST_CERTIFICATE_EXPIRED
    4. its key and its signature algorithm are strong      TRUST_KEY_WEAK
    5. a self-issued one was signed by its own key         TRUST_SIGNATURE_BROKEN
    6. each subordinate passes 1–4 and was certified by it, or by another subordinate
    """
    authority = _fit(encoded, now)
    if authority.self_issued and not issued_by(authority, authority):
        raise TrustSelfSignatureBroken(f"{authority.name[:64]} did not sign its own certificate")
    below = [_fit(one, now) for one in subordinates]
    for one in below:
        if not any(issued_by(one, issuer) for issuer in (authority, *below) if issuer is not one):
            raise TrustSelfSignatureBroken(f"{one.name[:64]} was not certified by {authority.name[:64]}")
    return authority


def _fit(encoded: bytes, now: dt.datetime) -> Certificate:
    certificate = read_certificate(encoded)
    if not certificate.is_authority or not certificate.may("key_cert_sign"):
        raise TrustNotAuthority(certificate.name[:64])
    if not certificate.valid_at(now):
        raise TrustCertificateExpired(f"{certificate.name[:64]}: {certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}")
    if found := weakness(certificate.public):
        raise TrustKeyWeak(found)
    if read_algorithm(certificate.algorithm)[0] not in STRICT.signatures:
        raise TrustKeyWeak("signed with an algorithm that is not accepted")
    return certificate
