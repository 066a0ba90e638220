"""Signatures of messages between machines that share a secret, as Standard Webhooks 1.0 defines them. Pure.

Three headers: ``webhook-id`` names the message and stays the same however often it is sent, ``webhook-timestamp`` says when it was sent
this time (Unix seconds), ``webhook-signature`` holds one signature for each secret that is good, ``v1,`` and the base64 of

    HMAC-SHA256(secret, webhook-id . webhook-timestamp . body)

A secret is written ``whsec_`` and the base64 of 24 to 64 random octets.
"""

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keys.base.errors import FujieError

TOLERANCE = dt.timedelta(minutes=5)
"""How far a message's time may be from ours: a recorded one is worth nothing afterwards."""
PREFIX = "whsec_"
_OCTETS = 32
_ID = re.compile(r"[!-~]{1,100}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_MOST_SIGNATURES = 8


class SignatureInvalid(FujieError):
    """A message that names nobody: its headers are missing, its signature is wrong, or it is too old or from the future."""

    code = "WEBHOOK_SIGNATURE_INVALID"
    status = 401
    public = ("报文签名无效或已过时。", "The message's signature is invalid or too old.")


@dataclass(frozen=True, slots=True)
class Message:
    """What a signature covers. ``id`` is the message's own, the same at every attempt."""

    id: str
    sent_at: dt.datetime
    body: bytes


def new_secret() -> str:
    """A secret of 256 random bits, as both sides write it down."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_OCTETS)).decode()


def sign(message: Message, good: Sequence[str]) -> dict[str, str]:
    """The three headers; one signature for each secret, the newest first.

    >>> sent = Message("msg_p5jXN8AQM9LWM0D4loKWxJek", dt.datetime.fromtimestamp(1614265330, dt.UTC), b'{"test": 2432232314}')
    >>> sign(sent, ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    timestamp = str(int(message.sent_at.timestamp()))
    signatures = " ".join(f"v1,{_mac(secret, message.id, timestamp, message.body)}" for secret in good)
    return {"webhook-id": message.id, "webhook-timestamp": timestamp, "webhook-signature": signatures}


def check(headers: Mapping[str, str], body: bytes, good: Sequence[str], now: dt.datetime) -> Message:
    """The message, if one of the secrets signed it and it was sent a moment ago. Raises :class:`SignatureInvalid`."""
    given, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _ID.fullmatch(given) or not _TIMESTAMP.fullmatch(timestamp):
        raise SignatureInvalid("headers")
    sent_at = dt.datetime.fromtimestamp(int(timestamp), dt.UTC)
    if abs(now - sent_at) > TOLERANCE:
        raise SignatureInvalid("time")
    wanted = [_mac(secret, given, timestamp, body).encode() for secret in good]
    offered = [one[3:].encode() for one in headers.get("webhook-signature", "").split(" ")[:_MOST_SIGNATURES] if one.startswith("v1,")]
    if not any(hmac.compare_digest(one, other) for one in offered for other in wanted):
        raise SignatureInvalid("signature")
    return Message(given, sent_at, body)


def _mac(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()


def key_of(secret: str) -> bytes:
    """The octets of a written secret. Raises ValueError, which repeats nothing of it."""
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a webhook secret is whsec_ and base64") from None
