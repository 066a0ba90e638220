"""Base45 (RFC 9285): octets in the alphanumeric alphabet of QR codes. Pure; one spelling for each value."""

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
    octets = _pairs(digits[0:whole:3], digits[1:whole:3], digits[2:whole:3])
    return octets + (_single(digits[whole:]) if len(digits) % 3 else b"")


def _pairs(low: bytes, middle: bytes, high: bytes) -> bytes:
    """The two octets of every three digits: all at once, each in four octets of one number, where nothing is ever carried over."""
    lanes = _spread(low) + 45 * _spread(middle) + 2025 * _spread(high)
    spread = lanes.to_bytes(4 * len(low), "big")
    if any(spread[1::4]):
        raise ValueError("more than two octets hold")
    octets = bytearray(2 * len(low))
    octets[0::2], octets[1::2] = spread[2::4], spread[3::4]
    return bytes(octets)


def _spread(digits: bytes) -> int:
    lanes = bytearray(4 * len(digits))
    lanes[3::4] = digits
    return int.from_bytes(lanes, "big")


def _single(digits: bytes) -> bytes:
    value = digits[0] + 45 * digits[1]
    if value > 0xFF:
        raise ValueError("more than an octet holds")
    return bytes([value])
