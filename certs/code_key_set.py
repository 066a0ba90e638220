"""The public keys of offline codes as others get them: a COSE_KeySet (RFC 9052 §7), and the same signed for those without a network.

The signed form is a JWS by whoever signs our trust list (:mod:`keys.trust.signed`), so one root makes both believed. Pure.
"""

import base64
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_der_public_key

from certs.offline_code import CodeAlgorithm
from keys.base import cbor
from keys.base.errors import InvalidInput
from keys.custody import sm2
from keys.trust.certificates import Certificate
from keys.trust.signed import sign_document, verify_document

FORMAT = "fujie-code-keys/1"
TYPE = "fujie-code-keys+json"
VALIDITY = dt.timedelta(days=30)
COSE_TYPE = "application/cose-key-set"
_EC2, _OKP = 2, 1
_P256, _ED25519, _SM2 = 1, 6, -65537
_COORDINATE = 32


class CodeKeysMalformed(InvalidInput):
    """No signed key set of ours, or one of another format."""

    code = "CODE_KEYS_MALFORMED"
    public = ("这不是离线码公钥集。", "This is no set of keys of offline codes.")


@dataclass(frozen=True, slots=True)
class PublicCodeKey:
    """A key as verifiers hold it. ``public``: SPKI DER. It signs between the first two instants and is believed until the third."""

    kid: bytes
    algorithm: CodeAlgorithm
    public: bytes
    signs_from: dt.datetime
    signs_until: dt.datetime
    good_until: dt.datetime
    compromised_at: dt.datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """As the signed set and the trust list say it."""
        return {
            "kid": self.kid.hex(),
            "alg": self.algorithm.name,
            "public": base64.b64encode(self.public).decode(),
            "signs_from": _text(self.signs_from),
            "signs_until": _text(self.signs_until),
            "good_until": _text(self.good_until),
            "compromised_at": _text(self.compromised_at) if self.compromised_at else None,
        }


@dataclass(frozen=True, slots=True)
class CodeKeySet:
    """A set whose signature holds. ``status_lists``: the addresses of the lists; ``chain``: its signer first, a root last."""

    issuer: str
    issued_at: dt.datetime
    next_update: dt.datetime
    keys: tuple[PublicCodeKey, ...]
    status_lists: tuple[str, ...]
    chain: tuple[Certificate, ...]

    def current(self, now: dt.datetime) -> bool:
        """Whether it may still be believed: not past its next update, its signer's chain in force."""
        return self.issued_at <= now <= self.next_update and all(one.valid_at(now) for one in self.chain)


def sign_key_set(
    issuer: str, now: dt.datetime, keys: Iterable[PublicCodeKey], status_lists: Sequence[str], alg: str, chain: Sequence[bytes],
    sign: Callable[[bytes], bytes],
) -> bytes:  # fmt: skip
    """The JWS, JSON; ``alg``, ``chain`` and ``sign`` as :func:`keys.trust.signed.sign_document` takes them."""
    document = {
        "format": FORMAT,
        "issuer": issuer,
        "issued_at": _text(now),
        "next_update": _text(now + VALIDITY),
        "keys": [one.to_json() for one in keys],
        "status_lists": list(status_lists),
    }
    return sign_document(TYPE, document, alg, chain, sign)


def verify_key_set(data: bytes, roots: Sequence[bytes] = ()) -> CodeKeySet:
    """The set, its signature and its signer's chain checked; with ``roots`` (DER) it ends in one of them.

    Raises :class:`CodeKeysMalformed`, ``TrustListMalformed``, ``TrustListSignatureBroken``.
    """
    signed = verify_document(TYPE, data, roots)
    try:
        document = orjson.loads(signed.payload)
        if document["format"] != FORMAT:
            raise ValueError("another format")
        return CodeKeySet(
            str(document["issuer"]),
            _instant(document["issued_at"]),
            _instant(document["next_update"]),
            tuple(read_key(one) for one in document["keys"]),
            tuple(map(str, document["status_lists"])),
            signed.chain,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CodeKeysMalformed(type(error).__name__) from error


def read_key(document: Mapping[str, Any]) -> PublicCodeKey:
    """The inverse of :meth:`PublicCodeKey.to_json`. Raises ValueError, TypeError, KeyError."""
    compromised = document["compromised_at"]
    return PublicCodeKey(
        bytes.fromhex(document["kid"]),
        CodeAlgorithm[document["alg"]],
        base64.b64decode(document["public"], validate=True),
        _instant(document["signs_from"]),
        _instant(document["signs_until"]),
        _instant(document["good_until"]),
        _instant(compromised) if compromised else None,
    )


def cose_key_set(keys: Iterable[PublicCodeKey], now: dt.datetime) -> bytes:
    """A COSE_KeySet of the keys that are believed at ``now``. Validity stands in the text labels ``nbf``, ``exp`` (seconds)."""
    good = [one for one in keys if one.compromised_at is None and now < one.good_until]
    return cbor.encode([_cose_key(one) for one in good])


def _cose_key(key: PublicCodeKey) -> dict[int | str, object]:
    common: dict[int | str, object] = {
        2: key.kid,
        3: int(key.algorithm),
        "nbf": int(key.signs_from.timestamp()),
        "exp": int(key.good_until.timestamp()),
    }
    if key.algorithm is CodeAlgorithm.SM2:
        point = sm2.public_point(key.public)
        return common | {1: _EC2, -1: _SM2, -2: point[1 : 1 + _COORDINATE], -3: point[1 + _COORDINATE :]}
    loaded = load_der_public_key(key.public)
    if isinstance(loaded, ed25519.Ed25519PublicKey):
        return common | {1: _OKP, -1: _ED25519, -2: loaded.public_bytes_raw()}
    if not isinstance(loaded, ec.EllipticCurvePublicKey):
        raise TypeError("no key of an offline code")
    numbers = loaded.public_numbers()
    return common | {1: _EC2, -1: _P256, -2: numbers.x.to_bytes(_COORDINATE, "big"), -3: numbers.y.to_bytes(_COORDINATE, "big")}


def _text(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _instant(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)
