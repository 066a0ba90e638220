"""OCSP octet by octet (RFC 6960, the lightweight profile RFC 5019, nonces after RFC 9654): plain functions, no clock, no keys.

Reading is strict DER; what a request asks is kept as its own octets and repeated in the answer, so that every client finds its
question again. Writing strings templates together: an answer is written in microseconds.
"""

import datetime as dt
import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from keys.base import der
from keys.base.der import Element, NotDer
from keys.custody.sm2 import sm3
from keys.pki.status_lifecycle import REASON_CODES, RevocationReason

MOST_QUESTIONS = 100
LARGEST_REQUEST = 32 * 1024
"""Octets; a hundred questions with SHA-512 fit."""

_NONCE = der.object_identifier("1.3.6.1.5.5.7.48.1.2")
_BASIC = der.object_identifier("1.3.6.1.5.5.7.48.1.1")
_ARCHIVE_CUTOFF = der.object_identifier("1.3.6.1.5.5.7.48.1.6")
_NULL = b"\x05\x00"
_ENUMERATED, _BOOLEAN = 0x0A, 0x01
_SUCCESSFUL = der.encode(_ENUMERATED, b"\0")
_EXPLICIT_0, _EXPLICIT_1, _EXPLICIT_2 = 0xA0, 0xA1, 0xA2
_REVOKED, _GOOD, _UNKNOWN = 0xA1, b"\x80\x00", b"\x82\x00"
_DIGEST_OCTETS = frozenset({20, 32, 48, 64})
_LONGEST_SERIAL = 20  # RFC 5280 §4.1.2.2
_NONCE_OCTETS = range(1, 129)  # RFC 9654 §2.1


class ResponseStatus(IntEnum):
    """OCSPResponseStatus of RFC 6960 §4.2.1."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    SIG_REQUIRED = 5
    UNAUTHORIZED = 6


class RequestMalformed(ValueError):
    """The octets are no OCSP request that can be answered; the message says why."""


@dataclass(frozen=True, slots=True)
class CertId:
    """Which certificate is meant. ``encoded`` and ``algorithm`` (AlgorithmIdentifier) are the client's own octets, DER."""

    encoded: bytes
    algorithm: bytes
    name_hash: bytes
    key_hash: bytes
    serial: int


@dataclass(frozen=True, slots=True)
class OcspRequest:
    """``nonce``: the extension's value as it came (DER OCTET STRING), or None."""

    asked: tuple[CertId, ...]
    nonce: bytes | None


@dataclass(frozen=True, slots=True)
class Single:
    """The answer about one certificate. ``known`` False: unknown; ``revoked_at`` None: good."""

    encoded_id: bytes
    known: bool
    revoked_at: dt.datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """``this_update`` is also producedAt; ``archive_cutoff``: status is told from certificates that ended since then (§4.4.4)."""

    this_update: dt.datetime
    next_update: dt.datetime
    archive_cutoff: dt.datetime


def _algorithms() -> Mapping[bytes, str]:
    oids = {
        "sha1": "1.3.14.3.2.26",
        "sha256": "2.16.840.1.101.3.4.2.1",
        "sha384": "2.16.840.1.101.3.4.2.2",
        "sha512": "2.16.840.1.101.3.4.2.3",
        "sm3": "1.2.156.10197.1.401",
    }
    encoded = {name: der.object_identifier(oid) for name, oid in oids.items()}
    return {der.sequence(oid, parameters): name for name, oid in encoded.items() for parameters in (b"", _NULL)}


ALGORITHMS: Mapping[bytes, str] = _algorithms()
"""AlgorithmIdentifier, DER, with parameters absent or NULL → the hash of issuers that it names."""

USUAL_ALGORITHMS = tuple(encoded for encoded, name in ALGORITHMS.items() if name in {"sha1", "sha256"} and encoded.endswith(_NULL))
"""What clients send: openssl and browsers SHA-1 (RFC 5019 §2.1.1), newer ones SHA-256."""


def hashed(name: str, data: bytes) -> bytes:
    """The digest by one of the names in :data:`ALGORITHMS`."""
    return sm3(data) if name == "sm3" else hashlib.new(name, data, usedforsecurity=False).digest()


def cert_id(algorithm: bytes, name_hash: bytes, key_hash: bytes, serial: int) -> bytes:
    """CertID, DER."""
    return der.sequence(algorithm, der.octet_string(name_hash), der.octet_string(key_hash), der.integer(serial))


# Reading


def parse_request(data: bytes) -> OcspRequest:
    """What is asked. A signature is not asked for and not looked at. Raises :class:`RequestMalformed`."""
    if len(data) > LARGEST_REQUEST:
        raise RequestMalformed("too large")
    if (usual := _usual_request(data)) is not None:
        return usual
    try:
        return _request(der.read(data))
    except NotDer as error:
        raise RequestMalformed(str(error)) from error


_USUAL = re.compile(
    rb"0(?:\x81.|.)0(?:\x81.|.)0.0.0.("
    + b"|".join(re.escape(algorithm) for algorithm in ALGORITHMS)
    + rb")\x04(?:\x14(.{20})\x04\x14(.{20})|\x20(.{32})\x04\x20(.{32}))\x02.([\x00-\x7f].{0,20}?)"
    + rb"(?:\xa2.0.0."
    + re.escape(_NONCE)
    + rb"\x04.(\x04.{2,64}))?",
    re.DOTALL,
)


def _usual_request(data: bytes) -> OcspRequest | None:
    """One question, perhaps with a nonce, as nearly every client writes it; None: look closely.

    Taken only if writing it again gives the same octets, so it is exactly what the close look would find, ten times faster.
    """
    match = _USUAL.fullmatch(data)
    if match is None:
        return None
    algorithm, nonce = match[1], match[7]
    name_hash, key_hash, serial = match[2] or match[4], match[3] or match[5], int.from_bytes(match[6])
    encoded = cert_id(algorithm, name_hash, key_hash, serial)
    extensions = b""
    if nonce is not None:
        if nonce[1] != len(nonce) - 2:
            return None
        extensions = der.encode(_EXPLICIT_2, der.sequence(der.sequence(_NONCE, der.octet_string(nonce))))
    if der.sequence(der.sequence(der.sequence(der.sequence(encoded)), extensions)) != data:
        return None
    return OcspRequest((CertId(encoded, algorithm, name_hash, key_hash, serial),), nonce)


def _request(root: Element) -> OcspRequest:
    outer = der.members(root, 2)
    if not outer or (len(outer) == 2 and outer[1].tag != _EXPLICIT_0):
        raise RequestMalformed("no OCSPRequest")
    parts = der.members(outer[0], 4)
    _skip_version_and_name(parts)
    if not parts or len(parts) > 2 or (len(parts) == 2 and parts[1].tag != _EXPLICIT_2):
        raise RequestMalformed("no TBSRequest")
    questions = der.members(parts[0], MOST_QUESTIONS)
    if not questions:
        raise RequestMalformed(f"no question; 1 to {MOST_QUESTIONS} are answered")
    nonce = _nonce(_inner(parts[1])) if len(parts) == 2 else None
    return OcspRequest(tuple(_question(question) for question in questions), nonce)


def _skip_version_and_name(parts: list[Element]) -> None:
    if parts and parts[0].tag == _EXPLICIT_0 and parts.pop(0).value != b"\x02\x01\x00":
        raise RequestMalformed("not version 1")
    if parts and parts[0].tag == _EXPLICIT_1:
        parts.pop(0)


def _question(question: Element) -> CertId:
    parts = der.members(question)
    if not parts or len(parts) > 2 or (len(parts) == 2 and parts[1].tag != _EXPLICIT_0):
        raise RequestMalformed("no Request")
    if len(parts) == 2:
        for kind, _ in _extensions(_inner(parts[1])):
            _refuse_critical(kind)
    return _cert_id(parts[0])


def _cert_id(element: Element) -> CertId:
    parts = der.members(element)
    if [part.tag for part in parts] != [der.SEQUENCE, der.OCTET_STRING, der.OCTET_STRING, der.INTEGER]:
        raise RequestMalformed("no CertID")
    algorithm, name_hash, key_hash, serial = parts
    if len(name_hash.value) not in _DIGEST_OCTETS or len(key_hash.value) != len(name_hash.value):
        raise RequestMalformed("hashes of no known length")
    return CertId(element.encoded, algorithm.encoded, name_hash.value, key_hash.value, _serial(serial.value))


def _serial(octets: bytes) -> int:
    if not 1 <= len(octets) <= _LONGEST_SERIAL + 1:
        raise RequestMalformed("no serial number")
    if len(octets) > 1 and octets[0] in (0x00, 0xFF) and (octets[0] ^ octets[1]) < 0x80:
        raise RequestMalformed("serial number not minimal")
    return int.from_bytes(octets, signed=True)


def _inner(explicit: Element) -> Element:
    """The one value within an explicit tag."""
    return der.read(explicit.value)


def _extensions(element: Element) -> list[tuple[tuple[bytes, bool], bytes]]:
    """((OID, critical), value) of each extension."""
    found = []
    for extension in der.members(element):
        parts = der.members(extension)
        critical = len(parts) == 3 and parts[1].encoded == b"\x01\x01\xff"
        if len(parts) not in (2, 3) or (len(parts) == 3 and parts[1].tag != _BOOLEAN):
            raise RequestMalformed("no extension")
        if parts[0].tag != der.OBJECT_IDENTIFIER or parts[-1].tag != der.OCTET_STRING:
            raise RequestMalformed("no extension")
        found.append(((parts[0].encoded, critical), parts[-1].value))
    return found


def _refuse_critical(kind: tuple[bytes, bool]) -> None:
    """RFC 6960 §4.4: what is critical and not understood may not be passed over."""
    if kind[1]:
        raise RequestMalformed("a critical extension that is not understood")


def _nonce(extensions: Element) -> bytes | None:
    nonces = []
    for kind, value in _extensions(extensions):
        if kind[0] == _NONCE:
            nonces.append(value)
        else:
            _refuse_critical(kind)
    if not nonces:
        return None
    inner = der.read(nonces[0])
    if len(nonces) > 1 or inner.tag != der.OCTET_STRING or len(inner.value) not in _NONCE_OCTETS:
        raise RequestMalformed("a nonce is one OCTET STRING of 1 to 128 octets")
    return nonces[0]


# Writing


def failure(status: ResponseStatus) -> bytes:
    """An answer that says only why there is none; it is not signed."""
    return der.sequence(der.encode(_ENUMERATED, bytes((status,))))


def response_data(responder_key_hash: bytes, singles: Sequence[Single], times: Times, nonce: bytes | None) -> bytes:
    """ResponseData, DER: what is signed. ``responder_key_hash``: SHA-1 of the responder's public key (byKey, §4.2.1)."""
    this_update, ends = _written(times)
    answers = [der.sequence(single.encoded_id, _status(single), this_update, ends) for single in singles]
    extensions = b""
    if nonce is not None:
        extensions = der.encode(_EXPLICIT_1, der.sequence(der.sequence(_NONCE, der.octet_string(nonce))))
    return der.sequence(_by_key(responder_key_hash), this_update, der.sequence(*answers), extensions)


@functools.lru_cache(maxsize=64)
def _by_key(responder_key_hash: bytes) -> bytes:
    return der.encode(_EXPLICIT_2, der.octet_string(responder_key_hash))


@functools.lru_cache(maxsize=64)
def _written(times: Times) -> tuple[bytes, bytes]:
    """thisUpdate; nextUpdate and the archive cut-off: the same for every answer within a second."""
    cutoff = der.sequence(_ARCHIVE_CUTOFF, der.octet_string(der.generalized_time(times.archive_cutoff)))
    ends = der.encode(_EXPLICIT_0, der.generalized_time(times.next_update)) + der.encode(_EXPLICIT_1, der.sequence(cutoff))
    return der.generalized_time(times.this_update), ends


def _status(single: Single) -> bytes:
    if not single.known:
        return _UNKNOWN
    if single.revoked_at is None:
        return _GOOD
    reason = b""
    if single.reason is not None and single.reason != RevocationReason.UNSPECIFIED:
        reason = der.encode(_EXPLICIT_0, der.encode(_ENUMERATED, bytes((REASON_CODES[single.reason],))))
    return der.encode(_REVOKED, der.generalized_time(single.revoked_at), reason)


def successful(data: bytes, algorithm: bytes, signature: bytes, certificates: tuple[bytes, ...]) -> bytes:
    """The whole OCSPResponse around signed ResponseData. ``algorithm``: AlgorithmIdentifier of the signature, DER."""
    basic = der.octet_string(der.sequence(data, algorithm, der.bit_string(signature), _chain(certificates)))
    return der.sequence(_SUCCESSFUL, der.encode(_EXPLICIT_0, der.sequence(_BASIC, basic)))


@functools.lru_cache(maxsize=64)
def _chain(certificates: tuple[bytes, ...]) -> bytes:
    return der.encode(_EXPLICIT_0, der.sequence(*certificates)) if certificates else b""
