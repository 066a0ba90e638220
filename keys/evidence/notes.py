"""Signed notes, checkpoints and cosignatures (C2SP signed-note, tlog-checkpoint, tlog-cosignature).

Kinds of keys, by what stands before the public key in a verifier key:

``0x01``                               Ed25519 over the text                                     (signed-note)
``0x04``                               Ed25519 over ``cosignature/v1``, a time and the text      (tlog-cosignature)
``0xff "fujie/sm2-signature/v1\\n"``    SM2 with SM3, DER SEQUENCE{r, s}, signer id 1234567812345678, over the text
``0xff "fujie/sm2-cosignature/v1\\n"``  the same over what 0x04 signs

Everything has one spelling here: base64 that decodes to the same octets but is written otherwise is refused, so that no
byte of a note can be changed unseen.
"""

import base64
import binascii
import datetime as dt
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys.base.errors import FujieError
from keys.custody import sm2

DASH = "\u2014"
MOST_SIGNATURES = 64
_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,17})\Z")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_NAME = re.compile(r"[^\s+]+\Z")


class MalformedNote(FujieError):
    """The text is not a note, or no signature of the expected key verifies on it."""

    code = "MALFORMED_NOTE"
    status = 422
    public = ("日志检查点格式不正确或签名无效。", "The log checkpoint is malformed or its signature is wrong.")


class Kind(Enum):
    """A kind of key; the value is what stands before the public key."""

    ED25519 = b"\x01"
    COSIGNATURE = b"\x04"
    SM2 = b"\xfffujie/sm2-signature/v1\n"
    SM2_COSIGNATURE = b"\xfffujie/sm2-cosignature/v1\n"

    @property
    def octets(self) -> int:
        """The length of the public key: 32 of Ed25519, the uncompressed point of SM2."""
        return 32 if self in (Kind.ED25519, Kind.COSIGNATURE) else 65

    @property
    def timed(self) -> bool:
        """Whether its signatures are cosignatures, which state when they were made."""
        return self in (Kind.COSIGNATURE, Kind.SM2_COSIGNATURE)


def encode64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decode64(text: str) -> bytes:
    """The octets of canonical base64; raises MalformedNote for any other spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise MalformedNote("base64") from error
    if encode64(data) != text:
        raise MalformedNote("base64")
    return data


def decimal(text: str) -> int:
    """A number without sign and leading zeroes; raises MalformedNote."""
    if not _NUMBER.match(text):
        raise MalformedNote("number")
    return int(text)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """``name`` and public key: 32 raw octets of Ed25519, the 65-octet point of SM2."""

    name: str
    public: bytes
    kind: Kind = Kind.ED25519

    @property
    def key_hash(self) -> bytes:
        """The key ID of signed-note."""
        return hashlib.sha256(self.name.encode() + b"\n" + self.kind.value + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_hash.hex()}+{encode64(self.kind.value + self.public)}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """The inverse of ``str``; raises MalformedNote."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not _NAME.match(parts[0]):
            raise MalformedNote("verifier key")
        raw = decode64(parts[2])
        kind = next((kind for kind in Kind if raw.startswith(kind.value) and len(raw) == len(kind.value) + kind.octets), None)
        if kind is None:
            raise MalformedNote("verifier key")
        key = cls(parts[0], raw[len(kind.value) :], kind)
        if key.key_hash.hex() != parts[1]:
            raise MalformedNote("verifier key")
        return key

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's over exactly ``message``."""
        if self.kind in (Kind.SM2, Kind.SM2_COSIGNATURE):
            return sm2.verify(self.public, message, signature)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's size and root under its name."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        return f"{self.origin}\n{self.size}\n{encode64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """From a note's text; lines beyond the third (extensions) are allowed. Raises MalformedNote."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise MalformedNote("checkpoint body")
        checkpoint = cls(lines[0], decimal(lines[1]), decode64(lines[2]))
        if len(checkpoint.root) != 32:
            raise MalformedNote("checkpoint body")
        return checkpoint


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One signature of a note: whose it claims to be, and its octets."""

    name: str
    key_hash: bytes
    signature: bytes

    @classmethod
    def parse(cls, line: str) -> "SignatureLine":
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != DASH or not _NAME.match(parts[1]):
            raise MalformedNote("signature line")
        blob = decode64(parts[2])
        if len(blob) < 5:
            raise MalformedNote("signature line")
        return cls(parts[1], blob[:4], blob[4:])

    def __str__(self) -> str:
        return f"{DASH} {self.name} {encode64(self.key_hash + self.signature)}\n"

    def claims(self, key: VerifierKey) -> bool:
        return self.name == key.name and self.key_hash == key.key_hash


@dataclass(frozen=True, slots=True)
class Note:
    """A text with its final newline, and signature lines that are not verified yet."""

    text: str
    lines: tuple[SignatureLine, ...]

    @classmethod
    def parse(cls, note: str) -> "Note":
        """Raises MalformedNote unless ``note`` is spelled exactly as ``str`` would."""
        text, separator, signatures = note.rpartition("\n\n")
        if not separator or not signatures.endswith("\n") or _CONTROL.search(note):
            raise MalformedNote("no signatures")
        lines = signatures[:-1].split("\n")
        if len(lines) > MOST_SIGNATURES:
            raise MalformedNote("too many signatures")
        return cls(text + "\n", tuple(SignatureLine.parse(line) for line in lines))

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.lines))}"

    def signed_by(self, key: VerifierKey) -> bool:
        """Whether a line claims to be ``key``'s and every such line verifies (signed-note: a wrong one spoils the note)."""
        own = [line for line in self.lines if line.claims(key)]
        return bool(own) and all(line_verifies(key, self.text, line) for line in own)


def cosigned_message(text: str, seconds: int) -> bytes:
    """What a witness signs of a checkpoint's text at a Unix time (tlog-cosignature)."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def cosignature_time(line: SignatureLine) -> dt.datetime:
    """When a cosignature says it was made; raises MalformedNote."""
    try:
        return dt.datetime.fromtimestamp(int.from_bytes(line.signature[:8], "big"), dt.UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise MalformedNote("cosignature time") from error


def line_verifies(key: VerifierKey, text: str, line: SignatureLine) -> bool:
    """Whether ``line`` is a signature of ``key`` over ``text``; of a cosigner's key, a cosignature."""
    if not line.claims(key):
        return False
    if not key.kind.timed:
        return key.verifies(text.encode(), line.signature)
    seconds = int.from_bytes(line.signature[:8], "big")
    return seconds < 1 << 63 and key.verifies(cosigned_message(text, seconds), line.signature[8:])


def signature_line(key: VerifierKey, signature: bytes) -> str:
    return str(SignatureLine(key.name, key.key_hash, signature))


def cosignature(key: VerifierKey, seconds: int, signature: bytes) -> SignatureLine:
    """The line of ``key``'s ``signature`` over :func:`cosigned_message`."""
    return SignatureLine(key.name, key.key_hash, seconds.to_bytes(8, "big") + signature)


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint in ``note`` once the signature of ``key`` verified; raises MalformedNote."""
    parsed = Note.parse(note)
    if not parsed.signed_by(key):
        raise MalformedNote("no valid signature of the log's key")
    return Checkpoint.parse(parsed.text)


def cosigners(note: Note, keys: Iterable[VerifierKey]) -> tuple[VerifierKey, ...]:
    """Those of ``keys`` whose cosignature stands on the note and verifies."""
    return tuple(key for key in keys if note.signed_by(key))
