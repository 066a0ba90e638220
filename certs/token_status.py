"""Token Status List (draft-ietf-oauth-status-list): the status of every certificate as two bits at a place nobody can tell it by.

    00  VALID       in force, as far as the issuer decided (its dates are for the reader to compare)
    01  INVALID     revoked, cancelled, expired by a successor, transferred, withdrawn: 03–07 and 99 of GB/T 36903
    10  SUSPENDED   02

The reason stands in the record behind the certificate's code, not in the list: two bits keep a list of two million at 36 kB. Entries lie
from the least significant bits of each octet on, compressed with zlib (RFC 1950). Pure.
"""

import base64
import datetime as dt
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from certs.lifecycle import Status
from certs.offline_code import CodeAlgorithm
from keys.base import cbor, der, der_values
from keys.base.errors import InvalidInput

ENTRIES = 2_097_152
BITS = 2
_OCTETS = ENTRIES * BITS // 8
TTL = dt.timedelta(minutes=5)
VALIDITY = dt.timedelta(days=1)
JWT_TYPE = "statuslist+jwt"
CWT_TYPE = "application/statuslist+cwt"
_SUB, _EXP, _IAT, _TTL, _STATUS_LIST = 2, 4, 6, 65534, 65533
_ALG, _KID, _TYP = 1, 4, 16
_COSE_SIGN1 = 18
_COORDINATE = 32


class TokenStatus(IntEnum):
    """The values of the entries (the registry of the draft, §7.1)."""

    VALID = 0
    INVALID = 1
    SUSPENDED = 2


class StatusListMalformed(InvalidInput):
    """No status list, or one of another form."""

    code = "STATUS_LIST_MALFORMED"
    public = ("这不是证照状态列表。", "This is no status list of certificates.")


_TOKEN_STATUS: Mapping[Status, TokenStatus] = {Status.VALID: TokenStatus.VALID, Status.SUSPENDED: TokenStatus.SUSPENDED}


def token_status(status: Status) -> TokenStatus:
    """The status of GB/T 36903 as a list says it."""
    return _TOKEN_STATUS.get(status, TokenStatus.INVALID)


def pack(entries: Iterable[tuple[int, TokenStatus]]) -> bytes:
    """The list with these entries set, uncompressed: 524,288 octets."""
    octets = bytearray(_OCTETS)
    for index, status in entries:
        octets[index >> 2] |= status << (index & 3) * BITS
    return bytes(octets)


def compress(octets: bytes) -> bytes:
    """RFC 1950. Runs are all that is worth finding: at 1 % set, level 9 takes forty times as long for a tenth less."""
    press = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    return press.compress(octets) + press.flush()


def jwt_claims(uri: str, issuer: str, now: dt.datetime, compressed: bytes) -> dict[str, Any]:
    """The claims of the JWT form (§5.1)."""
    issued = int(now.timestamp())
    lst = base64.urlsafe_b64encode(compressed).rstrip(b"=").decode()
    return {
        "sub": uri, "iss": issuer, "iat": issued, "exp": issued + int(VALIDITY.total_seconds()), "ttl": int(TTL.total_seconds()),
        "status_list": {"bits": BITS, "lst": lst},
    }  # fmt: skip


def sign_cwt(uri: str, now: dt.datetime, compressed: bytes, algorithm: CodeAlgorithm, kid: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """The CWT form (§5.2): a tagged COSE_Sign1. ``sign`` answers as ``KeyStore.sign`` does."""
    issued = int(now.timestamp())
    claims = {
        _SUB: uri, _IAT: issued, _EXP: issued + int(VALIDITY.total_seconds()), _TTL: int(TTL.total_seconds()),
        _STATUS_LIST: {"bits": BITS, "lst": compressed},
    }  # fmt: skip
    protected, payload = cbor.encode({_ALG: int(algorithm), _KID: kid, _TYP: CWT_TYPE}), cbor.encode(claims)
    signature = sign(cbor.encode(["Signature1", protected, b"", payload]))
    if algorithm is not CodeAlgorithm.EDDSA:
        pair = der.members(der.read(signature))
        signature = b"".join(der_values.integer(one).to_bytes(_COORDINATE, "big") for one in pair)
    return cbor.tagged(_COSE_SIGN1, [protected, {}, payload, signature])


@dataclass(frozen=True, slots=True)
class StatusList:
    """A list as it was read; ``octets`` are uncompressed. ``signed`` speaks of key and signature, as an offline code does."""

    uri: str
    issued_at: dt.datetime
    expires_at: dt.datetime
    octets: bytes

    def status(self, index: int) -> TokenStatus:
        """Raises :class:`StatusListMalformed` for an index outside the list or a value that is not ours."""
        try:
            return TokenStatus(self.octets[index >> 2] >> (index & 3) * BITS & 3)
        except (IndexError, ValueError) as error:
            raise StatusListMalformed("no such entry") from error


@dataclass(frozen=True, slots=True)
class SignedList:
    """What :func:`read_cwt` found. Nothing of it is true before the signature over ``message`` was checked."""

    list: StatusList
    algorithm: CodeAlgorithm
    kid: bytes
    message: bytes
    signature: bytes


def read_cwt(data: bytes) -> SignedList:
    """The CWT form; raises :class:`StatusListMalformed`. Checks no signature."""
    try:
        if data[:1] != cbor.tagged(_COSE_SIGN1, 0)[:1]:
            raise ValueError("no COSE_Sign1")
        protected, unprotected, payload, signature = cbor.decode(data[1:])
        header, claims = cbor.decode(protected), cbor.decode(payload)
        if unprotected != {} or header[_TYP] != CWT_TYPE or claims[_STATUS_LIST]["bits"] != BITS or not isinstance(header[_KID], bytes):
            raise ValueError("another form")
        octets = _decompressed(claims[_STATUS_LIST]["lst"])
        issued, expires = (dt.datetime.fromtimestamp(claims[name], dt.UTC) for name in (_IAT, _EXP))
        message = cbor.encode(["Signature1", protected, b"", payload])
        listed = StatusList(str(claims[_SUB]), issued, expires, octets)
        return SignedList(listed, CodeAlgorithm(header[_ALG]), header[_KID], message, bytes(signature))
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError, zlib.error) as error:
        raise StatusListMalformed(type(error).__name__) from error


def _decompressed(lst: bytes) -> bytes:
    """As many octets as a list has, whatever a hostile one would swell to."""
    press = zlib.decompressobj()
    octets = press.decompress(lst, _OCTETS)
    if not press.eof or len(octets) != _OCTETS:
        raise ValueError("another size")
    return octets
