"""The offline code: what of a certificate a second QR code says by itself, signed, so that anybody checks it without a network.

    FJ1:<base45 (RFC 9285) of COSE_Sign1 (RFC 9052 §4.2)>

The text keeps to the alphanumeric alphabet of QR codes (ISO/IEC 18004 §7.4.4). The COSE message is the untagged array
``[protected, {}, payload, signature]``; the protected header is ``{1: algorithm, 4: key id}``; external data is empty. The payload
is a CBOR map in deterministic encoding:

    1  identifier (GB/T 36904) without its root and without its check character, both of which follow from the rest
    2  the certificate's name                       7  holders: [[name, masked code], …]
    3  the certificate's number                     8  [status list, index] (Token Status List)
    4  the issuer's name                            9  verification code, 10 octets of 80 bits
    5  issued on, days since 1970-01-01             10 valid from, days (absent: not stated)
    6  valid to, days (absent: no last day)         11 what the type adds: [[field, value], …], masked (absent: nothing)

Names of people are masked unless their type says otherwise; of their numbers only the masked form ever gets here. Algorithms: ES256
(-7), EdDSA with Ed25519 (-8), and SM2 with SM3 (-65537: COSE has registered none, this is one of its private numbers).

Pure: no clock, no key store. ``certs.offline_signing`` signs, ``certs.offline_verdict`` judges.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from certs.numbering import ROOT, check_character
from certs.privacy import holds_number
from keys.base import base45, cbor, der, der_values
from keys.base.errors import InvalidInput
from keys.base.ids import CROCKFORD
from keys.custody.verifying import ECDSA_WITH_SHA256, SM2_WITH_SM3, algorithm_identifier, verify_signature
from keys.custody.verifying_keys import ED25519

PREFIX = "FJ1:"
FULL_NAME = "CZZT_FULL"
"""Among a type's offline fields: names of people stand in its code in full, for papers that show them to everybody anyway."""
MOST_TEXT = 2400
KID_OCTETS = 8
_EPOCH = dt.date(1970, 1, 1)
_COORDINATE = 32
_MOST_HOLDERS = 8
_HEADER_ALGORITHM, _HEADER_KEY = 1, 4
_IDENTIFIER, _NAME, _NUMBER, _ISSUER, _ISSUED_ON, _VALID_TO, _HOLDERS, _STATUS, _CODE, _VALID_FROM, _FIELDS = range(1, 12)
_TEXTS = (_IDENTIFIER, _NAME, _NUMBER, _ISSUER)
_REQUIRED = frozenset({*_TEXTS, _ISSUED_ON, _HOLDERS, _STATUS, _CODE})
_KNOWN = _REQUIRED | {_VALID_FROM, _VALID_TO, _FIELDS}
_SEGMENTS = 4


class CodeAlgorithm(IntEnum):
    """COSE algorithm numbers."""

    ES256 = -7
    EDDSA = -8
    SM2 = -65537


_IDENTIFIERS: Mapping[CodeAlgorithm, bytes] = {
    CodeAlgorithm.ES256: algorithm_identifier(ECDSA_WITH_SHA256),
    CodeAlgorithm.EDDSA: algorithm_identifier(ED25519),
    CodeAlgorithm.SM2: algorithm_identifier(SM2_WITH_SM3),
}


class OfflineCodeMalformed(InvalidInput):
    """Not an offline code, or one with an octet changed where the signature does not reach."""

    code = "OFFLINE_CODE_MALFORMED"
    public = ("这不是证照离线码，或内容已损坏。", "This is no offline code of a certificate, or it is damaged.")


class OfflineCodeTooLong(InvalidInput):
    """What the code would have to say does not fit the symbol that is printed."""

    code = "OFFLINE_CODE_TOO_LONG"
    public = ("离线码内容过长，无法印制。", "The offline code would be too long to print.")


@dataclass(frozen=True, slots=True)
class CodeHolder:
    """A holder as printed into the code: people masked. ``code`` is the masked number, or an organisation's in full."""

    name: str
    code: str


@dataclass(frozen=True, slots=True)
class StatusReference:
    """Where the certificate's status stands: the list's number and the index in it."""

    list: int
    index: int


@dataclass(frozen=True, slots=True)
class OfflineCode:
    """What the code says. Dates are civil dates in China Standard Time; ``verification_code`` has 16 characters."""

    identifier: str
    name: str
    number: str
    issuer: str
    issued_on: dt.date
    valid_from: dt.date | None
    valid_to: dt.date | None
    holders: tuple[CodeHolder, ...]
    status: StatusReference
    verification_code: str
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SignedCode:
    """A code as it was read: nothing of it is true before its signature was checked (:func:`holds`).

    ``message`` is the Sig_structure (RFC 9052 §4.4); ``signature`` as COSE spells it: r ‖ s, or 64 octets of Ed25519.
    """

    code: OfflineCode
    algorithm: CodeAlgorithm
    kid: bytes
    message: bytes
    signature: bytes


def is_offline_code(text: str) -> bool:
    """Whether a QR code's text claims to be an offline code."""
    return text.startswith(PREFIX)


def encode_offline(code: OfflineCode, algorithm: CodeAlgorithm, kid: bytes, sign: Callable[[bytes], bytes]) -> str:
    """The text of the QR code. ``sign`` answers as ``KeyStore.sign`` does: DER for ECDSA and SM2, 64 octets for Ed25519.

    Raises :class:`OfflineCodeTooLong`, and ValueError for what must not stand in a code: a number of a person.
    """
    _refuse_numbers(code)
    protected = cbor.encode({_HEADER_ALGORITHM: int(algorithm), _HEADER_KEY: kid})
    payload = cbor.encode(_payload(code))
    signature = _fixed(algorithm, sign(_sig_structure(protected, payload)))
    text = PREFIX + base45.encode(cbor.encode([protected, {}, payload, signature]))
    if len(text) > MOST_TEXT:
        raise OfflineCodeTooLong(f"{len(text)} characters")
    return text


def decode_offline(text: str) -> SignedCode:
    """The code that ``text`` is. Raises :class:`OfflineCodeMalformed`; checks no signature."""
    if not is_offline_code(text) or len(text) > MOST_TEXT:
        raise OfflineCodeMalformed("another prefix, or too long")
    try:
        protected, unprotected, payload, signature = cbor.decode(base45.decode(text.removeprefix(PREFIX)))
        header = cbor.decode(protected)
        if unprotected != {} or set(header) != {_HEADER_ALGORITHM, _HEADER_KEY}:
            raise ValueError("another header")
        kid = header[_HEADER_KEY]
        if not isinstance(kid, bytes) or len(kid) != KID_OCTETS or not isinstance(signature, bytes):
            raise ValueError("no key id or no signature")
        algorithm = CodeAlgorithm(header[_HEADER_ALGORITHM])
        return SignedCode(_read(cbor.decode(payload)), algorithm, kid, _sig_structure(protected, payload), signature)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        raise OfflineCodeMalformed(type(error).__name__) from error


class Signed(Protocol):
    """What a COSE_Sign1 says of its signature."""

    @property
    def algorithm(self) -> CodeAlgorithm: ...
    @property
    def message(self) -> bytes: ...
    @property
    def signature(self) -> bytes: ...


def holds(signed: Signed, public: bytes) -> bool:
    """Whether the key (SPKI DER) signed the code, or the list. Never raises."""
    signature = signed.signature
    if len(signature) != 2 * _COORDINATE:
        return False
    if signed.algorithm is not CodeAlgorithm.EDDSA:
        r, s = int.from_bytes(signature[:_COORDINATE], "big"), int.from_bytes(signature[_COORDINATE:], "big")
        signature = der.sequence(der.integer(r), der.integer(s))
    return verify_signature(public, _IDENTIFIERS[signed.algorithm], signed.message, signature)


def _sig_structure(protected: bytes, payload: bytes) -> bytes:
    """RFC 9052 §4.4."""
    return cbor.encode(["Signature1", protected, b"", payload])


def _fixed(algorithm: CodeAlgorithm, signature: bytes) -> bytes:
    if algorithm is CodeAlgorithm.EDDSA:
        return signature
    return b"".join(der_values.integer(one).to_bytes(_COORDINATE, "big") for one in der.members(der.read(signature)))


def _refuse_numbers(code: OfflineCode) -> None:
    """The last gate: whatever went wrong before, a person's number is never signed into a code that strangers scan."""
    texts = (*(one.name for one in code.holders), *(one.code for one in code.holders), *(value for _, value in code.fields))
    if any(map(holds_number, (*texts, code.number))):
        raise ValueError("a person's number in an offline code")


def _payload(code: OfflineCode) -> dict[int, object]:
    root, _, tail = code.identifier.partition(f"{ROOT}.")
    body, _, check = tail.rpartition(".")
    if root or check != check_character(body.replace(".", "")):
        raise ValueError("an identifier of another form")
    stated = {_VALID_FROM: code.valid_from, _VALID_TO: code.valid_to}
    added = {_FIELDS: [list(one) for one in code.fields]} if code.fields else {}
    return {
        _IDENTIFIER: body, _NAME: code.name, _NUMBER: code.number, _ISSUER: code.issuer, _ISSUED_ON: _days(code.issued_on),
        _HOLDERS: [[one.name, one.code] for one in code.holders[:_MOST_HOLDERS]],
        _STATUS: [code.status.list, code.status.index], _CODE: _packed(code.verification_code),
    } | {label: _days(day) for label, day in stated.items() if day is not None} | added  # fmt: skip


def _read(payload: Mapping[int, Any]) -> OfflineCode:
    """Raises ValueError, TypeError, KeyError, OverflowError."""
    if not _REQUIRED <= set(payload) <= _KNOWN or not all(isinstance(payload[one], str) for one in _TEXTS):
        raise ValueError("members that do not belong")
    body = payload[_IDENTIFIER]
    if body.count(".") != _SEGMENTS - 1:
        raise ValueError("an identifier of another form")
    status_list, index = payload[_STATUS]
    return OfflineCode(
        identifier=f"{ROOT}.{body}.{check_character(body.replace('.', ''))}",
        name=payload[_NAME],
        number=payload[_NUMBER],
        issuer=payload[_ISSUER],
        issued_on=_day(payload[_ISSUED_ON]),
        valid_from=_day(payload[_VALID_FROM]) if _VALID_FROM in payload else None,
        valid_to=_day(payload[_VALID_TO]) if _VALID_TO in payload else None,
        holders=tuple(CodeHolder(_text(name), _text(code)) for name, code in payload[_HOLDERS]),
        status=StatusReference(_natural(status_list), _natural(index)),
        verification_code=_unpacked(payload[_CODE]),
        fields=tuple((_text(name), _text(value)) for name, value in payload.get(_FIELDS, ())),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _natural(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("no natural number")
    return value


def _days(day: dt.date) -> int:
    return (day - _EPOCH).days


def _day(days: object) -> dt.date:
    if not isinstance(days, int) or isinstance(days, bool):
        raise TypeError("no day")
    return _EPOCH + dt.timedelta(days=days)


def _packed(code: str) -> bytes:
    """Sixteen characters of Crockford base32 as 10 octets."""
    value = 0
    for character in code:
        value = value << 5 | CROCKFORD.index(character)
    return value.to_bytes(10, "big")


def _unpacked(octets: bytes) -> str:
    if not isinstance(octets, bytes) or len(octets) != 10:
        raise ValueError("no verification code")
    value = int.from_bytes(octets, "big")
    return "".join([CROCKFORD[value >> place & 31] for place in range(75, -1, -5)])
