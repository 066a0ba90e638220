"""Chains and revocation for our own profile and for stamps: P-256, P-384 and SM2, RFC 5280 §6 in its strictest small form.

At most four certificates from the signer's to an anchor and at most sixteen candidates; names compare octet by octet;
an extension that is critical and not understood here ends the path. Other PDFs go through pyHanko's path validation instead.
"""

import datetime as dt
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from asn1crypto.crl import CertificateList
from asn1crypto.x509 import Certificate
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from keys.base import der
from keys.custody import sm2

MAX_DEPTH = 4
MAX_CANDIDATES = 16

_UNDERSTOOD = frozenset(
    {
        "basic_constraints",
        "key_usage",
        "extended_key_usage",
        "certificate_policies",
        "authority_key_identifier",
        "key_identifier",
        "subject_alt_name",
        "crl_distribution_points",
        "authority_information_access",
    }
)
_UNDERSTOOD_IN_CRL = frozenset({"authority_key_identifier", "crl_number"})
_DIGESTS = {"1.2.840.10045.4.3.2": hashes.SHA256(), "1.2.840.10045.4.3.3": hashes.SHA384()}
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Party:
    """A certificate as read. ``key_usage`` is None where the extension is missing; ``path_length`` likewise."""

    encoded: bytes
    signed: bytes
    algorithm: str
    signature: bytes
    subject: bytes
    issuer: bytes
    serial: int
    public: bytes
    not_before: dt.datetime
    not_after: dt.datetime
    name: str
    is_authority: bool
    path_length: int | None
    key_usage: frozenset[str] | None
    unknown_critical: tuple[str, ...]

    @property
    def self_issued(self) -> bool:
        return self.subject == self.issuer

    def may(self, *uses: str) -> bool:
        """Whether the key usage names one of ``uses``; a certificate without key usage may do nothing here."""
        return self.key_usage is not None and not self.key_usage.isdisjoint(uses)

    def valid_at(self, instant: dt.datetime) -> bool:
        return self.not_before <= instant <= self.not_after


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A CRL as read; whether it may be believed depends on its issuer."""

    signed: bytes
    algorithm: str
    signature: bytes
    issuer: bytes
    this_update: dt.datetime
    next_update: dt.datetime | None
    unknown_critical: tuple[str, ...]
    entries: Any

    def fresh_at(self, instant: dt.datetime) -> bool:
        return self.this_update <= instant and self.next_update is not None and instant <= self.next_update


@dataclass(frozen=True, slots=True)
class Revoked:
    """``depth`` 0 is the signer's certificate, 1 its issuer's …; ``published`` is thisUpdate of the list that says so."""

    depth: int
    since: dt.datetime
    published: dt.datetime


@dataclass(frozen=True, slots=True)
class Unknown:
    """No list at hand that may be believed at that instant for the certificate at ``depth``."""

    depth: int
    reason: str


@lru_cache(maxsize=256)
def read_certificate(encoded: bytes) -> Party | None:
    """The certificate, or None if it is none."""
    try:
        return _read_certificate(encoded)
    except _UNREADABLE:
        return None


def _read_certificate(encoded: bytes) -> Party:
    tbs, algorithm, signature = der.members(der.read(encoded))
    certificate = Certificate.load(encoded, strict=True)
    body = certificate["tbs_certificate"]
    stated = algorithm.encoded
    if body["signature"].dump() != stated:
        raise ValueError("the signature algorithm inside and outside differ")  # RFC 5280 §4.1.1.2
    constraints, usage = certificate.basic_constraints_value, certificate.key_usage_value
    return Party(
        encoded=encoded,
        signed=tbs.encoded,
        algorithm=certificate["signature_algorithm"]["algorithm"].dotted,
        signature=_bits(signature),
        subject=body["subject"].dump(),
        issuer=body["issuer"].dump(),
        serial=body["serial_number"].native,
        public=body["subject_public_key_info"].dump(),
        not_before=body["validity"]["not_before"].native,
        not_after=body["validity"]["not_after"].native,
        name=_common_name(body["subject"]),
        is_authority=bool(constraints and constraints["ca"].native),
        path_length=constraints["path_len_constraint"].native if constraints else None,
        key_usage=frozenset(usage.native) if usage else None,
        unknown_critical=tuple(sorted(certificate.critical_extensions - _UNDERSTOOD)),
    )


def _bits(element: der.Element) -> bytes:
    if element.tag != der.BIT_STRING or element.value[:1] != b"\0":
        raise ValueError("no BIT STRING of whole octets")
    return element.value[1:]


def _common_name(name: Any) -> str:
    values = name.native
    chosen = values.get("common_name") or values.get("organization_name") or ""
    return chosen if isinstance(chosen, str) else " / ".join(map(str, chosen))


def read_crl(encoded: bytes) -> RevocationList | None:
    """The CRL, or None if it is none."""
    try:
        return _read_crl(encoded)
    except _UNREADABLE:
        return None


def _read_crl(encoded: bytes) -> RevocationList:
    tbs, algorithm, signature = der.members(der.read(encoded))
    body = CertificateList.load(encoded, strict=True)["tbs_cert_list"]
    if body["signature"].dump() != algorithm.encoded:
        raise ValueError("the signature algorithm inside and outside differ")
    critical = {one["extn_id"].native for one in body["crl_extensions"] or () if one["critical"].native}
    return RevocationList(
        signed=tbs.encoded,
        algorithm=body["signature"]["algorithm"].dotted,
        signature=_bits(signature),
        issuer=body["issuer"].dump(),
        this_update=body["this_update"].native,
        next_update=body["next_update"].native,
        unknown_critical=tuple(sorted(critical - _UNDERSTOOD_IN_CRL)),
        entries=body["revoked_certificates"],
    )


@functools.lru_cache(maxsize=256)  # the same few certificates and lists stand behind every stamp a worker makes
def signature_holds(public: bytes, algorithm: str, message: bytes, signature: bytes) -> bool:
    """Whether the key (SPKI DER) signed the message; False for any algorithm but ECDSA with SHA-2 and SM2 with SM3."""
    if algorithm == sm2.SM2_WITH_SM3:
        return sm2.verify(public, message, signature)
    digest = _DIGESTS.get(algorithm)
    if digest is None:
        return False
    try:
        key = load_der_public_key(public)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        key.verify(signature, message, ec.ECDSA(digest))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def find_path(leaf: Party, candidates: Iterable[Party], anchors: Iterable[Party]) -> tuple[Party, ...] | None:
    """The signer's certificate, its issuers and the anchor, in this order; None where no such chain can be built.

    Validity in time is not looked at here: see :func:`out_of_bounds`.
    """
    trusted = tuple(dict.fromkeys(anchors))
    offered = tuple(dict.fromkeys(one for one in candidates if not one.self_issued))[:MAX_CANDIDATES]
    return _climb((leaf,), offered, trusted)


def _climb(path: tuple[Party, ...], offered: Sequence[Party], trusted: Sequence[Party]) -> tuple[Party, ...] | None:
    for anchor in trusted:
        if _issued(anchor, path):
            return (*path, anchor)
    if len(path) >= MAX_DEPTH - 1:
        return None
    for issuer in offered:
        if issuer not in path and _issued(issuer, path) and (found := _climb((*path, issuer), offered, trusted)):
            return found
    return None


def _issued(issuer: Party, path: tuple[Party, ...]) -> bool:
    """RFC 5280 §6.1.3 (a)(1), (a)(4) and §6.1.4 (k)–(o) for one step."""
    subject = path[-1]
    if issuer.subject != subject.issuer or issuer.unknown_critical or subject.unknown_critical:
        return False
    if not issuer.is_authority or not issuer.may("key_cert_sign"):
        return False
    if issuer.path_length is not None and len(path) - 1 > issuer.path_length:
        return False
    return signature_holds(issuer.public, subject.algorithm, subject.signed, subject.signature)


def out_of_bounds(path: Sequence[Party], instant: dt.datetime) -> Party | None:
    """The first certificate of the path that is not valid at that instant."""
    return next((party for party in path if not party.valid_at(instant)), None)


def revocation(path: Sequence[Party], crls: Iterable[RevocationList], at: dt.datetime) -> Revoked | Unknown | None:
    """What the lists say at the instant ``at`` about every certificate of the path below the anchor; None: nothing is revoked.

    A revoked certificate outweighs an unknown one, the deepest authority a lower one: whoever reads the answer needs the worst.
    """
    lists = tuple(crls)
    answers = [_status(depth, path[depth], path[depth + 1], lists, at) for depth in reversed(range(len(path) - 1))]
    revoked = next((answer for answer in answers if isinstance(answer, Revoked)), None)
    return revoked or next((answer for answer in answers if answer), None)


def _status(depth: int, party: Party, issuer: Party, lists: Sequence[RevocationList], at: dt.datetime) -> Revoked | Unknown | None:
    believed = [one for one in lists if _is_by(one, issuer)]
    for one in believed:
        since = _revoked_since(one, party.serial)
        if since is not None and since <= at:
            # Revocation is for good: even a list that is no longer fresh proves it.
            return Revoked(depth, since, one.this_update)
    if any(one.fresh_at(at) for one in believed):
        return None
    return Unknown(depth, "no revocation list of its issuer" if not believed else "the revocation list is not current at that time")


def _is_by(crl: RevocationList, issuer: Party) -> bool:
    if crl.issuer != issuer.subject or crl.unknown_critical or not issuer.may("crl_sign"):
        return False
    return signature_holds(issuer.public, crl.algorithm, crl.signed, crl.signature)


def _revoked_since(crl: RevocationList, serial: int) -> dt.datetime | None:
    for entry in crl.entries or ():
        if entry["user_certificate"].native == serial:
            since = entry["revocation_date"].native
            return since if isinstance(since, dt.datetime) else None
    return None
