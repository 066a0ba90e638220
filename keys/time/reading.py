"""Reading what an authority answered: TimeStampResp, TimeStampToken, TSTInfo (RFC 3161 §2.4.2). Strict DER, no judgement yet.

``NotDer`` where the octets are not of that form; the judgement is ``keys.time.verification``.
"""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from keys.base import der, der_values
from keys.base.der import Element, NotDer
from keys.time.imprints import BY_OID, Imprint

_T = TypeVar("_T")
_SET, _BOOLEAN, _CONTEXT_0, _CONTEXT_1, _PRIMITIVE_0, _PRIMITIVE_1 = 0x31, 0x01, 0xA0, 0xA1, 0x80, 0x81
_SIGNED_DATA, _TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
_TIME = re.compile(rb"(\d{14})(?:\.(\d*[1-9]))?Z")
_GRANTED = (0, 1)  # granted, grantedWithMods
_THIRD_OCTETS = 1 << 20
_KEPT, _LARGEST_KEPT = 128, 1 << 15


@dataclass(frozen=True, slots=True)
class Info:
    """TSTInfo. ``instant`` is cut to the microsecond; ``accuracy`` is None where it is unsaid, ``nonce`` where there is none."""

    policy: str
    imprint: Imprint
    serial: int
    instant: dt.datetime
    accuracy: dt.timedelta | None
    ordering: bool
    nonce: int | None


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """Who signed and how. ``attributes``: DER values by OID, of those that occur once; ``signed``: what the signature covers."""

    issuer_and_serial: tuple[bytes, int]
    digest_algorithm: str
    attributes: dict[str, bytes]
    signed: bytes
    algorithm: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Token:
    """A time stamp as it stands. ``content`` is the TSTInfo as it was hashed; ``certificates`` come in any order."""

    info: Info
    content: bytes
    certificates: tuple[bytes, ...]
    signer: SignerInfo


@dataclass(frozen=True, slots=True)
class Answer:
    """TimeStampResp: the token, or the number of its status, the words and the bits of its refusal."""

    token: bytes | None
    status: int
    reason: str
    failures: frozenset[int]


def read_answer(octets: bytes) -> Answer:
    """Raises ``NotDer``."""
    info, *rest = der.members(der.read(octets))
    if len(rest) > 1:
        raise NotDer("more than a status and a token")
    status, *details = der.members(info)
    words = _next(details, der.SEQUENCE, _words) or ""
    failures = _next(details, der.BIT_STRING, der_values.bits) or frozenset()
    number = der_values.integer(status)
    if details or (number in _GRANTED) != bool(rest):
        raise NotDer("a status that does not fit")
    return Answer(rest[0].encoded if rest else None, number, words, failures)


def _words(element: Element) -> str:
    parts = [one.value.decode(errors="replace") for one in der.members(element) if one.tag == der.UTF8_STRING]
    return "".join(character for character in " ".join(parts)[:200] if character.isprintable())


def read_token(octets: bytes) -> Token:
    """Raises ``NotDer``. Who judges a file asks for one token several times: the last few are kept, and nobody changes what was read."""
    return _known_token(octets) if len(octets) <= _LARGEST_KEPT else _read_token(octets)


@lru_cache(maxsize=_KEPT)
def _known_token(octets: bytes) -> Token:
    return _read_token(octets)


def _read_token(octets: bytes) -> Token:
    if len(octets) > _THIRD_OCTETS:
        raise NotDer("larger than any time stamp")
    kind, content = _exactly(der.members(der.read(octets)), 2)
    if der_values.dotted(kind) != _SIGNED_DATA or content.tag != _CONTEXT_0:
        raise NotDer("no SignedData")
    version, algorithms, encapsulated, *rest = _at_least(der.members(der_values.inner(content)), 4)
    if der_values.integer(version) != 3 or algorithms.tag != _SET:
        raise NotDer("not version 3, as RFC 5652 §5.1 has it for a TSTInfo")
    octets_of_info = _encapsulated(encapsulated)
    certificates = _next(rest, _CONTEXT_0, der_values.children) or []
    _next(rest, _CONTEXT_1, der_values.children)  # revocation lists: not ours to believe
    signers = _next(rest, _SET, der_values.children) or []
    if rest or len(signers) != 1:
        raise NotDer("not exactly one signer")
    signer = _signer_info(signers[0])
    if signer.digest_algorithm not in [_algorithm(one) for one in der_values.children(algorithms)]:
        raise NotDer("the signer's digest algorithm is not announced")  # RFC 5652 §5.1: no octet is left that says nothing
    plain = tuple(one.encoded for one in certificates if one.tag == der.SEQUENCE)
    return Token(read_info(octets_of_info), octets_of_info, plain, signer)


def _encapsulated(element: Element) -> bytes:
    kind, content = _exactly(der.members(element), 2)
    if der_values.dotted(kind) != _TST_INFO or content.tag != _CONTEXT_0:
        raise NotDer("no TSTInfo within")
    return der_values.octets(der_values.inner(content))


def read_info(octets: bytes) -> Info:
    """TSTInfo. Raises ``NotDer``."""
    version, policy, imprint, serial, instant, *rest = _at_least(der.members(der.read(octets)), 5)
    if der_values.integer(version) != 1:
        raise NotDer("not version 1")
    accuracy = _next(rest, der.SEQUENCE, _accuracy)
    ordering = _next(rest, _BOOLEAN, der_values.boolean)
    nonce = _next(rest, der.INTEGER, der_values.integer)
    _next(rest, _CONTEXT_0, der_values.inner)  # the authority's name: its certificate says it, and is believed
    extensions = _next(rest, _CONTEXT_1, der_values.children)
    if rest or extensions is not None:
        raise NotDer("members or extensions that are not known")
    return Info(_policy(policy), _imprint(imprint), der_values.integer(serial), _instant(instant), accuracy, bool(ordering), nonce)


def _policy(element: Element) -> str:
    return der_values.dotted(element)


def _imprint(element: Element) -> Imprint:
    algorithm, digest = _exactly(der.members(element), 2)
    oid, *_ = _at_least(der.members(algorithm), 1)
    kind = BY_OID.get(oid.encoded)
    if kind is None or len(der_values.octets(digest)) != kind.size:
        raise NotDer("an imprint of another kind")
    return Imprint(kind.name, digest.value)


def _instant(element: Element) -> dt.datetime:
    match = _TIME.fullmatch(element.value)
    if element.tag != der.GENERALIZED_TIME or match is None:
        raise NotDer("no GeneralizedTime in UTC")
    fraction = (match[2] or b"0")[:6].ljust(6, b"0")
    return der.parse_time(match[1] + b"Z").replace(microsecond=int(fraction))


def _accuracy(element: Element) -> dt.timedelta:
    rest = der_values.children(element)
    seconds = _next(rest, der.INTEGER, der_values.integer) or 0
    millis = _next(rest, _PRIMITIVE_0, lambda one: der_values.integer(one, _PRIMITIVE_0)) or 0
    micros = _next(rest, _PRIMITIVE_1, lambda one: der_values.integer(one, _PRIMITIVE_1)) or 0
    if rest or not (0 <= seconds < 1 << 31 and 0 <= millis < 1000 and 0 <= micros < 1000):
        raise NotDer("no Accuracy")
    return dt.timedelta(seconds=seconds, milliseconds=millis, microseconds=micros)


def _signer_info(element: Element) -> SignerInfo:
    version, sid, digest, attributes, algorithm, signature, *_ = _at_least(der.members(element), 6)
    if der_values.integer(version) != 1 or attributes.tag != _CONTEXT_0:
        raise NotDer("the signer is not named by issuer and serial, or signs no attributes")
    issuer, serial = _exactly(der.members(sid), 2)
    return SignerInfo(
        issuer_and_serial=(issuer.encoded, der_values.integer(serial)),
        digest_algorithm=_algorithm(digest),
        attributes=_attributes(attributes),
        signed=der.encode(_SET, attributes.value),
        algorithm=algorithm.encoded,
        signature=der_values.octets(signature),
    )


def _algorithm(element: Element) -> str:
    oid, *_ = _at_least(der.members(element), 1)
    return der_values.dotted(oid)


def _attributes(element: Element) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for attribute in der_values.children(element):
        kind, values = _exactly(der.members(attribute), 2)
        name = der_values.dotted(kind)
        if name in found or values.tag != _SET:
            raise NotDer("an attribute twice, or without a SET")
        found[name] = _exactly(der_values.children(values), 1)[0].encoded
    return found


def _next(rest: list[Element], tag: int, read: Callable[[Element], _T]) -> _T | None:
    """The next member, if it is the optional one with this tag."""
    return read(rest.pop(0)) if rest and rest[0].tag == tag else None


def _exactly(found: list[Element], count: int) -> list[Element]:
    if len(found) != count:
        raise NotDer(f"{len(found)} members where {count} belong")
    return found


def _at_least(found: list[Element], count: int) -> list[Element]:
    if len(found) < count:
        raise NotDer(f"{len(found)} members where {count} belong")
    return found
