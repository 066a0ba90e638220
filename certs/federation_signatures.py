"""HTTP message signatures between instances (RFC 9421, RFC 9530), in one profile and one spelling. Pure.

*Request*: always POST with JSON. ``"@method" "@target-uri" "content-type" "content-digest"``, with ``created``, ``nonce``, ``keyid`` and
``tag``. The target is the receiver's registered address, so a message to one instance is none for another.
*Answer*: ``"@status" "content-type" "content-digest"`` and the request's own signature (``"signature";req;key="sig"``, RFC 9421 §2.4): an
answer answers that request and no other.

The algorithm is the key's (RFC 9421 §3.2): ECDSA P-256 with SHA-256 as r ‖ s, Ed25519, or SM2 with SM3 as r ‖ s, for which RFC 9421 has
registered no name. Whatever is spelled otherwise is refused: there is no second reading of a message.
"""

import base64
import binascii
import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from certs.federation import MessageKey, unpadded
from keys.base import der, der_values
from keys.custody.verifying import algorithm_identifier, verify_signature
from keys.custody.verifying_keys import ED25519

TAG = "fujie-federation"
CONTENT_TYPE = "application/json"
PATIENCE = dt.timedelta(minutes=5)
"""How far the clocks of two instances may be apart; a nonce is remembered for twice as long."""
HEADERS = ("content-type", "content-digest", "signature-input", "signature")

_REQUEST = '("@method" "@target-uri" "content-type" "content-digest")'
_ANSWER = '("@status" "content-type" "content-digest" "signature";req;key="sig")'
_PARAMETERS = r';created=([1-9][0-9]{0,11});nonce="([A-Za-z0-9_-]{22})";keyid="([A-Za-z0-9_-]{43})";tag="fujie-federation"'
_SIGNATURE = re.compile(r"sig=:([A-Za-z0-9+/]{86}==):")
_OCTETS = 64
_COORDINATE = 32

Headers = Mapping[str, str]
Sign = Callable[[bytes], bytes]
"""A message → the signature as custody makes it: DER SEQUENCE{r, s}, or 64 octets for Ed25519."""


class SignatureRefused(Exception):
    """Why a message is not believed; the text is for our own records."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the signature of a message says of itself, before it is checked."""

    created: dt.datetime
    nonce: str
    kid: str
    signature: bytes
    parameters: str


def content_digest(body: bytes) -> str:
    """RFC 9530 §2."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def sign_request(target: str, body: bytes, now: dt.datetime, key: MessageKey, sign: Sign) -> dict[str, str]:
    """The headers of a request to ``target``, signed."""
    return _signed(_REQUEST, lambda headers: _request_lines(target, headers), body, now, key, sign)


def sign_answer(status: int, body: bytes, request: Headers, now: dt.datetime, key: MessageKey, sign: Sign) -> dict[str, str]:
    """The headers of the answer to the request with these headers, signed."""
    return _signed(_ANSWER, lambda headers: _answer_lines(status, headers, request), body, now, key, sign)


def _signed(
    components: str, lines: Callable[[Headers], list[str]], body: bytes, now: dt.datetime, key: MessageKey, sign: Sign
) -> dict[str, str]:
    nonce = unpadded(secrets.token_bytes(16))
    parameters = f'{components};created={int(now.timestamp())};nonce="{nonce}";keyid="{key.kid}";tag="{TAG}"'
    headers = {"content-type": CONTENT_TYPE, "content-digest": content_digest(body), "signature-input": f"sig={parameters}"}
    made = _fixed(key, sign(_base(lines(headers), parameters)))
    return headers | {"signature": f"sig=:{base64.b64encode(made).decode()}:"}


def claimed_request(headers: Headers) -> Claimed:
    """What a request's signature says of itself. Raises :class:`SignatureRefused`."""
    return _claimed(_REQUEST, headers)


def claimed_answer(headers: Headers) -> Claimed:
    """The same of an answer. Raises :class:`SignatureRefused`."""
    return _claimed(_ANSWER, headers)


def verify_request(claimed: Claimed, target: str, headers: Headers, body: bytes, key: MessageKey, now: dt.datetime) -> None:
    """Raises :class:`SignatureRefused` unless the key signed exactly this, just now. Whether it came before is the caller's to know."""
    _verify(claimed, _request_lines(target, headers), headers, body, key, now)


def verify_answer(
    claimed: Claimed, status: int, headers: Headers, body: bytes, request: Headers, key: MessageKey, now: dt.datetime
) -> None:
    """Raises :class:`SignatureRefused` unless the key signed exactly this answer to that request."""
    _verify(claimed, _answer_lines(status, headers, request), headers, body, key, now)


def _verify(claimed: Claimed, lines: list[str], headers: Headers, body: bytes, key: MessageKey, now: dt.datetime) -> None:
    if headers.get("content-type") != CONTENT_TYPE:
        raise SignatureRefused("another content type")
    if headers.get("content-digest") != content_digest(body):
        raise SignatureRefused("the digest is not that of the content")
    if abs(now - claimed.created) > PATIENCE:
        raise SignatureRefused("signed at another time than now")
    oid = key.algorithm
    if claimed.kid != key.kid or oid is None:
        raise SignatureRefused("another key")
    message = _base(lines, claimed.parameters)
    if not verify_signature(key.public, algorithm_identifier(oid), message, _as_custody(key, claimed.signature)):
        raise SignatureRefused("the signature does not hold")


def _claimed(components: str, headers: Headers) -> Claimed:
    found = re.fullmatch(r"sig=" + re.escape(components) + _PARAMETERS, headers.get("signature-input", ""))
    made = _SIGNATURE.fullmatch(headers.get("signature", ""))
    if found is None or made is None:
        raise SignatureRefused("not signed in this profile")
    try:
        signature = base64.b64decode(made[1], validate=True)
    except binascii.Error as error:
        raise SignatureRefused("no base64") from error
    if len(signature) != _OCTETS or base64.b64encode(signature).decode() != made[1]:
        raise SignatureRefused("a signature in another spelling")
    created = dt.datetime.fromtimestamp(min(int(found[1]), _LAST), dt.UTC)
    return Claimed(created, found[2], found[3], signature, found[0].removeprefix("sig="))


_LAST = int(dt.datetime(9999, 1, 1, tzinfo=dt.UTC).timestamp())


def _request_lines(target: str, headers: Headers) -> list[str]:
    return ['"@method": POST', f'"@target-uri": {target}', *_content(headers)]


def _answer_lines(status: int, headers: Headers, request: Headers) -> list[str]:
    bound = request["signature"].removeprefix("sig=")
    return [f'"@status": {status}', *_content(headers), f'"signature";req;key="sig": {bound}']


def _content(headers: Headers) -> list[str]:
    return [f'"{name}": {headers.get(name, "")}' for name in ("content-type", "content-digest")]


def _base(lines: list[str], parameters: str) -> bytes:
    """RFC 9421 §2.5."""
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode()


def _fixed(key: MessageKey, signature: bytes) -> bytes:
    """r ‖ s (RFC 9421 §3.3.4); Ed25519 as it is."""
    if key.algorithm == ED25519:
        return signature
    pair = der.members(der.read(signature))
    return b"".join(der_values.integer(one).to_bytes(_COORDINATE) for one in pair)


def _as_custody(key: MessageKey, signature: bytes) -> bytes:
    if key.algorithm == ED25519:
        return signature
    pair = (int.from_bytes(signature[:_COORDINATE]), int.from_bytes(signature[_COORDINATE:]))
    return der.sequence(*map(der.integer, pair))
