"""Identifiers: time-ordered UUIDs for rows, Crockford base32 for what people type, opaque secrets."""

import hashlib
import secrets
import uuid

from keys.base.clock import unix_milliseconds

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id() -> uuid.UUID:
    """A UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = unix_milliseconds()
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def new_code(length: int = 16) -> str:
    """``length`` characters of Crockford base32, 5 random bits each: 16 characters are 80 bits."""
    return "".join(secrets.choice(CROCKFORD) for _ in range(length))


def normalise_code(text: str) -> str:
    """A code as a person typed it: case, hyphens and spaces do not matter; O reads 0, I and L read 1."""
    return text.upper().replace("-", "").replace(" ", "").translate(str.maketrans("OIL", "011"))


def new_secret(octets: int = 32) -> str:
    """An unguessable token, URL-safe, ``octets`` × 8 random bits."""
    return secrets.token_urlsafe(octets)


def fingerprint(secret: str) -> bytes:
    """What is stored in place of a high-entropy secret: its SHA-256 digest, 32 octets."""
    return hashlib.sha256(secret.encode()).digest()
