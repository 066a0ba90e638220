"""TimeStampReq (RFC 3161 §2.4.1): read strictly, written for the authorities that we ask.

TimeStampReq ::= SEQUENCE { version INTEGER { v1(1) }, messageImprint MessageImprint, reqPolicy OBJECT IDENTIFIER OPTIONAL,
                            nonce INTEGER OPTIONAL, certReq BOOLEAN DEFAULT FALSE, extensions [0] IMPLICIT Extensions OPTIONAL }
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from keys.base import der, der_values
from keys.base.der import Element, NotDer
from keys.time.imprints import BY_OID, Imprint

_T = TypeVar("_T")
_BOOLEAN, _NULL, _EXTENSIONS = 0x01, 0x05, 0xA0
_MOST_NONCE_OCTETS, _MOST_MEMBERS = 64, 6
MOST_OCTETS = 4096
"""A request is about a hundred octets; nothing honest comes near this."""


class Failure(IntEnum):
    """PKIFailureInfo (RFC 3161 §2.4.2): the number is that of the bit."""

    BAD_ALG = 0
    BAD_REQUEST = 2
    BAD_DATA_FORMAT = 5
    TIME_NOT_AVAILABLE = 14
    UNACCEPTED_POLICY = 15
    UNACCEPTED_EXTENSION = 16
    ADD_INFO_NOT_AVAILABLE = 17
    SYSTEM_FAILURE = 25


class Rejected(Exception):
    """The request gets no time stamp; ``failure`` and ``reason`` are what the answer says."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(reason)
        self.failure, self.reason = failure, reason


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. ``imprint``, ``policy`` and ``nonce`` are the DER values as they came, to be written again unchanged."""

    imprint: bytes
    policy: bytes | None = None
    nonce: bytes | None = None
    certificates: bool = False


def read_request(octets: bytes) -> Request:
    """Raises :class:`Rejected`: ``badDataFormat`` unless it is DER of this form, ``badRequest`` for another version,
    ``badAlg`` for a hash that is not stamped here, ``unacceptedExtension`` for any extension."""
    try:
        return _read(octets)
    except NotDer as error:
        raise Rejected(Failure.BAD_DATA_FORMAT, f"not a TimeStampReq: {error}") from error


def _read(octets: bytes) -> Request:
    if len(octets) > MOST_OCTETS:
        raise NotDer("too long")
    parts = der.members(der.read(octets), _MOST_MEMBERS)
    if len(parts) < 2:
        raise NotDer("version or messageImprint missing")
    if der_values.integer(parts[0]) != 1:
        raise Rejected(Failure.BAD_REQUEST, "only version 1 is answered")
    imprint, rest = _imprint(parts[1]), parts[2:]
    policy = _next(rest, der.OBJECT_IDENTIFIER, _policy)
    nonce = _next(rest, der.INTEGER, _nonce)
    certificates = _next(rest, _BOOLEAN, der_values.boolean)
    extensions = _next(rest, _EXTENSIONS, der_values.children)
    if rest or extensions == []:
        raise NotDer("a member that does not belong there")
    if extensions:
        raise Rejected(Failure.UNACCEPTED_EXTENSION, "no extension is known here")
    return Request(imprint, policy, nonce, bool(certificates))


def _next(rest: list[Element], tag: int, read: Callable[[Element], _T]) -> _T | None:
    """The next member, if it is the optional one with this tag."""
    return read(rest.pop(0)) if rest and rest[0].tag == tag else None


def _imprint(element: Element) -> bytes:
    parts = der.members(element)
    if len(parts) != 2:
        raise NotDer("no MessageImprint")
    algorithm = der.members(parts[0])
    if not algorithm or algorithm[0].tag != der.OBJECT_IDENTIFIER:
        raise NotDer("no AlgorithmIdentifier")
    kind = BY_OID.get(algorithm[0].encoded)
    if kind is None:
        raise Rejected(Failure.BAD_ALG, "this hash is not stamped here; SHA-256, SHA-384, SHA-512 and SM3 are")
    if len(algorithm) > 2 or (len(algorithm) == 2 and algorithm[1].encoded != bytes((_NULL, 0))):
        raise Rejected(Failure.BAD_ALG, "the hash takes no parameters")
    if len(der_values.octets(parts[1])) != kind.size:
        raise NotDer(f"a {kind.name} digest has {kind.size} octets")
    return element.encoded


def _policy(element: Element) -> bytes:
    der_values.dotted(element)
    return element.encoded


def _nonce(element: Element) -> bytes:
    der_values.integer(element)
    if len(element.value) > _MOST_NONCE_OCTETS:
        raise NotDer(f"a nonce has at most {_MOST_NONCE_OCTETS} octets")
    return element.encoded


def write_request(imprint: Imprint, nonce: int, policy: str | None = None) -> bytes:
    """A request for a token with its certificates."""
    asked = der.object_identifier(policy) if policy else b""
    return der.sequence(der.integer(1), imprint.encode(), asked, der.integer(nonce), der.encode(_BOOLEAN, b"\xff"))
