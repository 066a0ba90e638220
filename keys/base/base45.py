"""Base45 (RFC 9285): octets in the alphanumeric alphabet of QR codes. Pure; one spelling for each value."""

import struct

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_OUTSIDE = 0xFF
_DIGITS = bytes(_ALPHABET.find(chr(octet)) & _OUTSIDE for octet in range(256))
_PAIRS = tuple(first + second for second in _ALPHABET for first in _ALPHABET)
"""The spelling of 0 … 2024 in two characters, the lower digit first."""


def encode(octets: bytes) -> str:
    """Two octets as three characters, a single last one as two."""
    parts = []
    for at in range(0, len(octets) - 1, 2):
        high, low = divmod(octets[at] << 8 | octets[at + 1], 2025)
        parts.append(_PAIRS[low] + _ALPHABET[high])
    if len(octets) % 2:
        parts.append(_PAIRS[octets[-1]])
    return "".join(parts)


def decode(text: str) -> bytes:
    """The octets; raises ValueError for anything that :func:`encode` does not write."""
    digits = text.encode("ascii").translate(_DIGITS)
    if _OUTSIDE in digits or len(digits) % 3 == 1:
        raise ValueError("a character outside the alphabet, or a single one at the end")
    whole = len(digits) - len(digits) % 3
    values = [
        low + 45 * middle + 2025 * high for low, middle, high in zip(digits[0:whole:3], digits[1:whole:3], digits[2:whole:3], strict=True)
    ]
    rest = digits[whole:]
    try:
        return struct.pack(f">{len(values)}H", *values) + (bytes([rest[0] + 45 * rest[1]]) if rest else b"")
    except struct.error:
        raise ValueError("more than two octets hold") from None
