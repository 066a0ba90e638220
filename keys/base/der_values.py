"""What the values within DER say: integers, object identifiers, booleans, named bits, times. Each raises ``NotDer`` for other spellings."""

import datetime as dt
import re
from functools import lru_cache

from keys.base.der import BIT_STRING, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, Element, NotDer, members

BOOLEAN, NULL, ENUMERATED, UTC_TIME, GENERALIZED_TIME, SET = 0x01, 0x05, 0x0A, 0x17, 0x18, 0x31
_UTC = re.compile(rb"\d{12}Z")
_GENERALIZED = re.compile(rb"\d{14}Z")
_OIDS_KEPT, _LONGEST_KEPT = 1024, 64
_MOST_ARC_OCTETS = 19  # 128 bits: a UUID under 2.25 (X.667)


def children(element: Element) -> list[Element]:
    """The members of any constructed value: a SET, or a SEQUENCE under a tag of its own."""
    data, _, start, content, end = element
    return members(Element(data, SEQUENCE, start, content, end))


def inner(element: Element) -> Element:
    """The one value within an EXPLICIT tag."""
    found = children(element)
    if len(found) != 1:
        raise NotDer("no single value within a tag")
    return found[0]


def octets(element: Element) -> bytes:
    if element.tag != OCTET_STRING:
        raise NotDer("no OCTET STRING")
    return element.value


def whole_bits(element: Element) -> bytes:
    """The content of a BIT STRING of whole octets."""
    if element.tag != BIT_STRING or element.value[:1] != b"\0":
        raise NotDer("no BIT STRING of whole octets")
    return element.value[1:]


def integer(element: Element, tag: int = INTEGER) -> int:
    """A two's complement INTEGER, minimal; ``tag`` is another one where it is IMPLICIT."""
    value = element.value
    if element.tag != tag or not value:
        raise NotDer("no INTEGER")
    if len(value) > 1 and ((value[0] == 0 and value[1] < 0x80) or (value[0] == 0xFF and value[1] >= 0x80)):
        raise NotDer("INTEGER not minimal")
    return int.from_bytes(value, signed=True)


def boolean(element: Element, tag: int = BOOLEAN) -> bool:
    if element.tag != tag or element.value not in (b"\0", b"\xff"):
        raise NotDer("no BOOLEAN")
    return element.value == b"\xff"


def dotted(element: Element) -> str:
    """An OBJECT IDENTIFIER as numbers and dots."""
    if element.tag != OBJECT_IDENTIFIER:
        raise NotDer("no OBJECT IDENTIFIER")
    return dotted_content(element.value)


def dotted_content(content: bytes) -> str:
    """The content octets of an OBJECT IDENTIFIER as numbers and dots; the same few are everywhere."""
    return _known_dotted(content) if len(content) <= _LONGEST_KEPT else _dotted(content)


@lru_cache(maxsize=_OIDS_KEPT)
def _known_dotted(content: bytes) -> str:
    return _dotted(content)


def _dotted(content: bytes) -> str:
    arcs, value, width = [], 0, 0
    for octet in content:
        if width == 0 and octet == 0x80:
            raise NotDer("arc not minimal")
        value, width = value << 7 | octet & 0x7F, width + 1
        if width > _MOST_ARC_OCTETS:
            raise NotDer("arc too long")
        if octet < 0x80:
            arcs.append(value)
            value, width = 0, 0
    if width or not arcs:
        raise NotDer("truncated OBJECT IDENTIFIER")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def bits(element: Element, tag: int = BIT_STRING) -> frozenset[int]:
    """The numbers of the bits that are set in a named bit list, 0 being the first."""
    value = element.value
    if element.tag != tag or not value or value[0] > 7 or (value[0] and len(value) == 1):
        raise NotDer("no BIT STRING")
    if len(value) > 1 and value[-1] & ((1 << value[0]) - 1):
        raise NotDer("unused bits that are not zero")
    return frozenset(8 * at + bit for at, octet in enumerate(value[1:]) for bit in range(8) if octet & (0x80 >> bit))


def instant(element: Element) -> dt.datetime:
    """A Time of RFC 5280 §4.1.2.5: UTCTime or GeneralizedTime, with seconds, in UTC (``Z``)."""
    text = element.value
    if element.tag == UTC_TIME and _UTC.fullmatch(text):
        text = (b"19" if text[:2] >= b"50" else b"20") + text
    elif element.tag != GENERALIZED_TIME or not _GENERALIZED.fullmatch(text):
        raise NotDer("no UTCTime or GeneralizedTime in UTC with seconds")
    year, month, day, hour, minute, second = int(text[:4]), *(int(text[at : at + 2]) for at in range(4, 14, 2))
    try:
        return dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError as error:
        raise NotDer("no such date or time") from error
