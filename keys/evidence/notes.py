"""Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint), Ed25519."""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys.base.errors import FujieError

ED25519 = b"\x01"
DASH = "\u2014"


class MalformedNote(FujieError):
    """The text is not a note, or no signature of the expected key verifies on it."""

    code = "MALFORMED_NOTE"
    status = 422
    public = ("日志检查点格式不正确或签名无效。", "The log checkpoint is malformed or its signature is wrong.")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """``name`` and raw Ed25519 public key (32 octets)."""

    name: str
    public: bytes

    @property
    def key_hash(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_hash.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """The inverse of ``str``; raises MalformedNote."""
        try:
            name, key_hash, encoded = text.strip().split("+", 2)
            raw = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error) as error:
            raise MalformedNote("verifier key") from error
        key = cls(name, raw[1:])
        if raw[:1] != ED25519 or len(raw) != 33 or key.key_hash.hex() != key_hash:
            raise MalformedNote("verifier key")
        return key


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's size and root under its name."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def signature_line(key: VerifierKey, signature: bytes) -> str:
    return f"{DASH} {key.name} {base64.b64encode(key.key_hash + signature).decode()}\n"


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint in ``note`` once a signature of ``key`` verified; raises MalformedNote."""
    body, separator, signatures = note.partition("\n\n")
    if not separator:
        raise MalformedNote("no signatures")
    body += "\n"
    if not any(_verifies(line, body, key) for line in signatures.splitlines()):
        raise MalformedNote("no valid signature of the log's key")
    try:
        origin, size, root = body.splitlines()[:3]
        return Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    except (ValueError, binascii.Error) as error:
        raise MalformedNote("checkpoint body") from error


def _verifies(line: str, body: str, key: VerifierKey) -> bool:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != DASH or parts[1] != key.name:
        return False
    try:
        blob = base64.b64decode(parts[2], validate=True)
        if blob[:4] != key.key_hash:
            return False
        Ed25519PublicKey.from_public_bytes(key.public).verify(blob[4:], body.encode())
    except (binascii.Error, InvalidSignature, ValueError):
        return False
    return True
