"""Identifiers: time-ordered UUIDs for rows, Crockford base32 for what people type, opaque secrets."""

import hashlib
import secrets
import struct
import uuid
from itertools import accumulate
from threading import Lock

from keys.base.clock import unix_milliseconds

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class _Series:
    """Never answers less than it did before: of two rows of one process the later has the greater identifier."""

    def __init__(self) -> None:
        self._last, self._lock = 0, Lock()

    def next(self, milliseconds: int) -> int:
        """48 bits of ``milliseconds`` and 74 random ones; within one millisecond, or when the clock stepped back, a random step on."""
        value = (milliseconds & (1 << 48) - 1) << 74 | secrets.randbits(74)
        with self._lock:
            self._last = value if value > self._last else self._last + 1 + secrets.randbits(48)
            return self._last

    def several(self, milliseconds: int, count: int) -> list[int]:
        """As :meth:`next`, so often: one draw of random steps for all of them."""
        value, drawn = (
            (milliseconds & (1 << 48) - 1) << 74 | secrets.randbits(74),
            struct.unpack(f"{count}Q", secrets.token_bytes(8 * count)),
        )
        with self._lock:
            found = list(accumulate((1 + (step >> 16) for step in drawn), initial=max(value, self._last)))
            self._last = found[-1]
        return found[1:]


_series = _Series()


def new_id() -> uuid.UUID:
    """A UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then 74 random bits; in order of making (§6.2, method 2)."""
    value = _series.next(unix_milliseconds())
    high, middle, low = value >> 74, value >> 62 & 0xFFF, value & (1 << 62) - 1
    return uuid.UUID(int=high << 80 | 0x7 << 76 | middle << 64 | 0x2 << 62 | low)


def new_ids(count: int) -> list[str]:
    """So many of :func:`new_id`, written out, at a tenth of the cost: for rows that come by the thousand."""
    found = []
    for value in _series.several(unix_milliseconds(), count):
        text = f"{value >> 74 << 80 | 0x7 << 76 | (value >> 62 & 0xFFF) << 64 | 0x2 << 62 | value & (1 << 62) - 1:032x}"
        found.append(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")
    return found


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
