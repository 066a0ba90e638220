"""CBOR in its one deterministic spelling (RFC 8949 §4.2.1), without tags, floating point or indefinite lengths.

Integers of 64 bits, octets, text, arrays, maps, true, false and null: what COSE and CWT need. Reading accepts nothing that writing
would not produce, so that two encodings of one value never exist. Pure; input may be hostile.
"""

from collections.abc import Mapping, Sequence
from typing import Any

MOST_DEPTH = 8
_UNSIGNED, _NEGATIVE, _OCTETS, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_SIMPLE_VALUES = {20: False, 21: True, 22: None}
_WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}


class NotCbor(ValueError):
    """Not one deterministic CBOR value of the kinds named above."""


def encode(value: object) -> bytes:
    """The octets of ``value``. Raises TypeError for a kind that is not named above, OverflowError past 64 bits."""
    if value is None or isinstance(value, bool):
        return bytes([_SIMPLE << 5 | (22 if value is None else 20 + value)])
    if isinstance(value, int):
        return _head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
    if isinstance(value, bytes):
        return _head(_OCTETS, len(value)) + value
    if isinstance(value, str):
        octets = value.encode()
        return _head(_TEXT, len(octets)) + octets
    if isinstance(value, Mapping):
        pairs = sorted((encode(key), encode(item)) for key, item in value.items())
        return _head(_MAP, len(pairs)) + b"".join(key + item for key, item in pairs)
    if isinstance(value, Sequence):
        return _head(_ARRAY, len(value)) + b"".join(map(encode, value))
    raise TypeError(f"no CBOR for {type(value).__name__}")


def tagged(tag: int, value: object) -> bytes:
    """``value`` under a tag (RFC 8949 §3.4): for those who are written to; :func:`decode` takes none."""
    return _head(_TAG, tag) + encode(value)


def decode(data: bytes) -> Any:
    """The one value that ``data`` is. Arrays are tuples. Raises :class:`NotCbor` for anything else."""
    try:
        value, end = _value(data, 0, 0)
    except (IndexError, UnicodeDecodeError, TypeError) as error:
        raise NotCbor(type(error).__name__) from error
    if end != len(data):
        raise NotCbor("octets after the value")
    return value


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    for code, width in _WIDTHS.items():
        if argument < 1 << 8 * width:
            return bytes([major << 5 | code]) + argument.to_bytes(width, "big")
    raise OverflowError("more than 64 bits")


def _read_head(data: bytes, at: int) -> tuple[int, int, int]:
    """(major type, argument, where it ends) of a head of several octets; the shortest spelling only."""
    major, low = data[at] >> 5, data[at] & 31
    width = _WIDTHS.get(low)
    if width is None or at + 1 + width > len(data):
        raise NotCbor("no definite length")
    argument = int.from_bytes(data[at + 1 : at + 1 + width], "big")
    if argument < (24 if width == 1 else 1 << 4 * width):
        raise NotCbor("a longer spelling than the shortest")
    return major, argument, at + 1 + width


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    major, argument = data[at] >> 5, data[at] & 31
    if argument < 24:  # nearly all heads are one octet
        at += 1
    else:
        major, argument, at = _read_head(data, at)
    if major == _UNSIGNED:
        return argument, at
    if major == _NEGATIVE:
        return -1 - argument, at
    if major in (_OCTETS, _TEXT):
        end = at + argument
        if end > len(data):
            raise NotCbor("cut short")
        return (data[at:end].decode() if major == _TEXT else data[at:end]), end
    if major in (_ARRAY, _MAP) and depth < MOST_DEPTH:
        return (_array if major == _ARRAY else _map)(data, at, argument, depth + 1)
    if major == _SIMPLE and argument in _SIMPLE_VALUES:
        return _SIMPLE_VALUES[argument], at
    raise NotCbor("a kind of value that is not taken, or nested too deep")


def _array(data: bytes, at: int, length: int, depth: int) -> tuple[Any, int]:
    items = []
    for _ in range(length):  # a length that lies ends at the last octet
        item, at = _value(data, at, depth)
        items.append(item)
    return tuple(items), at


def _map(data: bytes, at: int, length: int, depth: int) -> tuple[Any, int]:
    found: dict[Any, Any] = {}
    last = b""
    for _ in range(length):
        key, after = _value(data, at, depth)
        if data[at:after] <= last:
            raise NotCbor("keys out of order, or one twice")
        last = data[at:after]
        found[key], at = _value(data, after, depth)
    return found, at
