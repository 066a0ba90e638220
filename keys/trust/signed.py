"""A JSON document that we sign for others: a JWS (RFC 7515 §7.2.2, flattened JSON serialisation) with its signer's chain in ``x5c``.

Its ``typ`` says what it is: a document of one kind never passes for one of another, though one key signs both. The signer's certificate
is one for signing trust lists (extended key usage 0.4.0.2231.3.0). The algorithm is ES256, or ``SM2`` in the 国密 profile: SM2 with
SM3, signer id 1234567812345678, r ‖ s; JOSE has registered no name for it.
"""

import base64
import binascii
import hashlib
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from keys.base import der, der_values
from keys.custody.verifying import ECDSA_WITH_SHA256, SM2_WITH_SM3, algorithm_identifier, verify_signature
from keys.trust.certificates import Certificate, issued_by, read_certificate
from keys.trust.entries import JSON
from keys.trust.errors import TrustBundleMalformed, TrustListMalformed, TrustListSignatureBroken

TRUST_LIST_SIGNING = "0.4.0.2231.3.0"
MAX_DOCUMENT = 8 << 20
_MAX_CHAIN = 6
_COORDINATE = 32
_ALGORITHMS = {"ES256": algorithm_identifier(ECDSA_WITH_SHA256), "SM2": algorithm_identifier(SM2_WITH_SM3)}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A document whose signature holds. ``chain``: its signer first, a root last; ``digest``: SHA-256 of the file."""

    payload: bytes
    chain: tuple[Certificate, ...]
    digest: bytes


def sign_document(typ: str, document: JSON, alg: str, chain: Sequence[bytes], sign: Callable[[bytes], bytes]) -> bytes:
    """The JWS, JSON. ``chain``: the signer's certificate first, DER; ``sign`` answers a DER SEQUENCE{r, s} over the message."""
    header = {"alg": alg, "typ": typ, "x5c": [_base64(one) for one in chain]}
    protected = _base64url(orjson.dumps(header, option=orjson.OPT_SORT_KEYS))
    payload = _base64url(orjson.dumps(document, option=orjson.OPT_SORT_KEYS))
    pair = der.members(der.read(sign(f"{protected}.{payload}".encode())))
    signature = b"".join(der_values.integer(one).to_bytes(_COORDINATE) for one in pair)
    return orjson.dumps({"payload": payload, "protected": protected, "signature": _base64url(signature)})


def verify_document(typ: str, data: bytes, roots: Sequence[bytes] = (), *, most: int = MAX_DOCUMENT) -> SignedDocument:
    """The document, its signature and its signer's chain checked; whether it is current is for the caller to say.

    1. it is a flattened JWS of ours, its header says exactly what it must               TRUST_LIST_MALFORMED
    2. the chain of its header leads from a signer of trust lists to a self-issued root   TRUST_LIST_SIGNATURE_BROKEN
    3. where ``roots`` (DER) are given, it ends in one of them
    4. the signature over the octets as they stand holds
    """
    header, payload, message, signature = _parts(typ, data, most)
    chain = _chain(header["x5c"])
    _check_chain(chain, roots)
    if not _holds(chain[0], header["alg"], message, signature):
        raise TrustListSignatureBroken("the signature does not hold")
    return SignedDocument(payload, chain, hashlib.sha256(data).digest())


def _parts(typ: str, data: bytes, most: int) -> tuple[Mapping[str, Any], bytes, bytes, bytes]:
    if len(data) > most:
        raise TrustListMalformed(f"larger than {most >> 20} MB")
    try:
        jws = orjson.loads(data)
        if set(jws) != {"payload", "protected", "signature"}:
            raise ValueError("not a flattened JWS")
        header = orjson.loads(_octets(jws["protected"]))
        if set(header) != {"alg", "typ", "x5c"} or header["typ"] != typ or header["alg"] not in _ALGORITHMS:
            raise ValueError("another header than such a document has")
        message = f"{jws['protected']}.{jws['payload']}".encode()
        return header, _octets(jws["payload"]), message, _octets(jws["signature"])
    except MALFORMED as error:
        raise TrustListMalformed(f"no signed document: {type(error).__name__}") from error


def _chain(texts: object) -> tuple[Certificate, ...]:
    try:
        if not isinstance(texts, list) or not 2 <= len(texts) <= _MAX_CHAIN:
            raise ValueError("no chain")
        return tuple(read_certificate(base64.b64decode(text, validate=True)) for text in texts)
    except (ValueError, TypeError, binascii.Error, TrustBundleMalformed) as error:
        raise TrustListMalformed("the chain of its signer cannot be read") from error


def _check_chain(chain: Sequence[Certificate], roots: Sequence[bytes]) -> None:
    signer, root = chain[0], chain[-1]
    if TRUST_LIST_SIGNING not in (signer.extended_key_usage or ()) or not signer.may("digital_signature"):
        raise TrustListSignatureBroken("its signer's certificate is not one for trust lists")
    links = [*itertools.pairwise(chain), (root, root)]
    if not all(issued_by(subject, issuer) for subject, issuer in links):
        raise TrustListSignatureBroken("its signer's chain does not hold")
    for below, issuer in enumerate(chain[1:]):
        if issuer.path_length is not None and below > issuer.path_length:
            raise TrustListSignatureBroken("its signer's chain is longer than an authority in it allows")
    if roots and root.encoded not in roots:
        raise TrustListSignatureBroken("its signer's chain leads to another root than the expected one")


def _holds(signer: Certificate, alg: str, message: bytes, signature: bytes) -> bool:
    if len(signature) != 2 * _COORDINATE:
        return False
    pair = (int.from_bytes(signature[:_COORDINATE]), int.from_bytes(signature[_COORDINATE:]))
    return verify_signature(signer.public, _ALGORITHMS[alg], message, der.sequence(*map(der.integer, pair)))


def _octets(text: str) -> bytes:
    """Unpadded base64url in its one spelling (RFC 7515 §2)."""
    if _BASE64URL.fullmatch(text) is None:
        raise ValueError("no base64url")
    octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _base64url(octets) != text:
        raise ValueError("base64url in another spelling")
    return octets


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
