"""An OCSP response as read for validation (RFC 6960 §4.2), and whether its responder may speak for an issuer."""

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from keys.base import der, der_values
from keys.custody.sm2 import SM3, sm3
from keys.custody.verifying import read_algorithm
from keys.pki.validation_certificate import UNREADABLE, Party, read_certificate
from keys.pki.validation_extensions import split
from keys.pki.validation_names import same

OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
MAX_RESPONSE = 1 << 20
_BASIC, _NONCE = "1.3.6.1.5.5.7.48.1.1", "1.3.6.1.5.5.7.48.1.2"
_MOST_CERTIFICATES, _MOST_ANSWERS = 8, 256
_SUCCESSFUL = b"\x0a\x01\x00"
_GOOD, _REVOKED, _UNKNOWN = 0x80, 0xA1, 0x82
# What names an issuer within an answer; nothing is signed with these.
_HASHES: Mapping[str, Callable[[bytes], bytes]] = {
    "1.3.14.3.2.26": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "2.16.840.1.101.3.4.2.1": lambda data: hashlib.sha256(data).digest(),
    "2.16.840.1.101.3.4.2.2": lambda data: hashlib.sha384(data).digest(),
    "2.16.840.1.101.3.4.2.3": lambda data: hashlib.sha512(data).digest(),
    SM3: sm3,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said about one certificate. ``good`` None: unknown there. ``since``: when it was revoked."""

    digest: str
    issuer_name: bytes
    issuer_key: bytes
    serial: int
    good: bool | None
    since: dt.datetime | None
    reason: int | None
    this_update: dt.datetime
    next_update: dt.datetime | None

    def is_about(self, party: Party, issuer: Party) -> bool:
        function = _HASHES.get(self.digest)
        if function is None or self.serial != party.serial:
            return False
        return function(party.issuer) == self.issuer_name and function(key_bits(issuer.public)) == self.issuer_key

    def fresh_at(self, instant: dt.datetime) -> bool:
        """Without nextUpdate newer information was always to be had: such an answer proves nothing later."""
        return self.next_update is not None and self.this_update <= instant <= self.next_update


@dataclass(frozen=True, slots=True)
class OcspResponse:
    """A basic response as read. ``responder``: (True, Name DER) or (False, SHA-1 of the key)."""

    signed: bytes = field(repr=False)
    algorithm_identifier: bytes
    signature: bytes
    responder: tuple[bool, bytes]
    produced: dt.datetime
    answers: tuple[Answer, ...]
    certificates: tuple[bytes, ...]
    nonce: bytes | None = None

    def is_by(self, party: Party) -> bool:
        by_name, value = self.responder
        return same(value, party.subject) if by_name else hashlib.sha1(key_bits(party.public), usedforsecurity=False).digest() == value

    def responders(self) -> tuple[Party, ...]:
        """The certificates it carries that its responder id may mean."""
        return tuple(party for party in map(read_certificate, self.certificates) if party and self.is_by(party))


def key_bits(public: bytes) -> bytes:
    """The content of the BIT STRING in SubjectPublicKeyInfo."""
    return der_values.whole_bits(der.members(der.outermost(public))[1])


def may_answer(responder: Party, issuer: Party, at: dt.datetime) -> bool:
    """RFC 6960 §4.2.2.2: a delegate is certified by the issuer itself, for this use alone. Its signature is checked elsewhere."""
    return (
        same(responder.issuer, issuer.subject)
        and responder.extended_key_usage is not None
        and OCSP_SIGNING in responder.extended_key_usage
        and (responder.key_usage is None or responder.may("digital_signature", "non_repudiation"))
        and not responder.unknown_critical
        and responder.valid_at(at)
    )


@lru_cache(maxsize=64)
def read_ocsp(encoded: bytes) -> OcspResponse | None:
    """An OCSPResponse or a BasicOCSPResponse (as a DSS holds it); None for what is neither, or tells of an error."""
    try:
        return _read(encoded)
    except UNREADABLE:
        return None


def _read(encoded: bytes) -> OcspResponse:
    if len(encoded) > MAX_RESPONSE:
        raise ValueError("larger than any response")
    members = der.members(der.read(encoded))
    if members[0].tag == der_values.ENUMERATED:
        if members[0].encoded != _SUCCESSFUL or len(members) != 2:
            raise ValueError("the responder tells of an error")
        kind, content = der.members(der_values.inner(members[1]))
        if der_values.dotted(kind) != _BASIC:
            raise ValueError("no basic response")
        members = der.members(der.read(der_values.octets(content)))
    body, algorithm, signature, *rest = members
    certificates = der.members(der_values.inner(rest[0])) if rest else []
    if len(certificates) > _MOST_CERTIFICATES:
        raise ValueError("too many certificates")
    responder, produced, answers, nonce = _body(der.members(body))
    return OcspResponse(
        signed=body.encoded,
        algorithm_identifier=algorithm.encoded,
        signature=der_values.whole_bits(signature),
        responder=responder,
        produced=produced,
        answers=answers,
        certificates=tuple(one.encoded for one in certificates),
        nonce=nonce,
    )


def _body(members: list[der.Element]) -> tuple[tuple[bool, bytes], dt.datetime, tuple[Answer, ...], bytes | None]:
    if members[0].tag == der.EXPLICIT_0:
        members = members[1:]
    responder, produced, answers, *rest = members
    if responder.tag not in (0xA1, 0xA2):
        raise ValueError("no responder")
    value = der_values.inner(responder)
    by_name = responder.tag == 0xA1
    singles = der.members(answers)
    if len(singles) > _MOST_ANSWERS:
        raise ValueError("too many answers")
    nonce = _extensions(der.members(der_values.inner(rest[0]))) if rest else None
    who = (by_name, value.encoded if by_name else der_values.octets(value))
    return who, der_values.instant(produced), tuple(_answer(der.members(one)) for one in singles), nonce


def _extensions(extensions: list[der.Element]) -> bytes | None:
    nonce = None
    for oid, critical, content in map(split, extensions):
        if oid == _NONCE:
            nonce = content
        elif critical:
            raise ValueError("a critical extension that is not understood")
    return nonce


def _answer(members: list[der.Element]) -> Answer:
    identifier, status, this_update, *rest = members
    digest, name, key, serial = der.members(identifier)
    upcoming = {one.tag: der_values.inner(one) for one in rest}
    if 0xA1 in upcoming:
        _extensions(der.members(upcoming[0xA1]))
    since, reason = _revocation(status) if status.tag == _REVOKED else (None, None)
    if status.tag not in (_GOOD, _REVOKED, _UNKNOWN):
        raise ValueError("no status")
    return Answer(
        digest=read_algorithm(digest.encoded)[0],
        issuer_name=der_values.octets(name),
        issuer_key=der_values.octets(key),
        serial=der_values.integer(serial),
        good={_GOOD: True, _REVOKED: False}.get(status.tag),
        since=since,
        reason=reason,
        this_update=der_values.instant(this_update),
        next_update=der_values.instant(upcoming[0xA0]) if 0xA0 in upcoming else None,
    )


def _revocation(status: der.Element) -> tuple[dt.datetime, int | None]:
    since, *reason = der_values.children(status)
    return der_values.instant(since), der_values.integer(der_values.inner(reason[0]), der_values.ENUMERATED) if reason else None
