"""DER, X.690: the few octets we write ourselves, and a strict look at what others wrote.

Reading refuses what DER forbids and parsers differ about: indefinite lengths, lengths longer than they need be, trailing
octets, tags above 30, nesting without end. Writing composes octet strings: a stamp is written in microseconds.
"""

import datetime as dt
import re
import sys
from functools import partial
from typing import NamedTuple

INTEGER, BIT_STRING, OCTET_STRING, OBJECT_IDENTIFIER = 0x02, 0x03, 0x04, 0x06
UTF8_STRING, IA5_STRING, GENERALIZED_TIME, SEQUENCE = 0x0C, 0x16, 0x18, 0x30
EXPLICIT_0 = 0xA0
MAX_DEPTH = 48  # a time-stamp token with its chain, within the unsigned attributes of a signature, is deeper than 24
MAX_MEMBERS = sys.maxsize
_CONSTRUCTED = 0x20
_TIME = re.compile(rb"(\d{12}|\d{14})(?:\.\d+)?(Z|[+-]\d{4})")


class NotDer(ValueError):
    """The octets are not one DER value; the message says what is wrong and where."""


class Element(NamedTuple):
    """One value within ``data``: identifier octet, and where it, its content and its end stand."""

    data: bytes
    tag: int
    start: int
    content: int
    end: int

    @property
    def encoded(self) -> bytes:
        """The value as it stands, tag and length included."""
        return self.data[self.start : self.end]

    @property
    def value(self) -> bytes:
        """The content octets."""
        return self.data[self.content : self.end]


_element = partial(tuple.__new__, Element)  # half the cost of a NamedTuple's own way of making one


def _length(data: bytes, at: int, limit: int) -> tuple[int, int]:
    """The length that stands at ``at`` and where the content begins."""
    if at >= limit:
        raise NotDer(f"truncated length at octet {at}")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    if count == 0:
        raise NotDer(f"indefinite length at octet {at}")
    if count > 4 or at + 1 + count > limit:
        raise NotDer(f"impossible length at octet {at}")
    length = int.from_bytes(data[at + 1 : at + 1 + count])
    if length < 0x80 or length < 1 << (8 * (count - 1)):
        raise NotDer(f"length not minimal at octet {at}")
    return length, at + 1 + count


def header(data: bytes, at: int, limit: int) -> tuple[int, int, int]:
    """The identifier octet of the value at ``at``, and where its content and its end stand."""
    if at + 1 < limit and (size := data[at + 1]) < 0x80 and (tag := data[at]) & 0x1F != 0x1F and at + 2 + size <= limit:
        return tag, at + 2, at + 2 + size  # what most values are: short, and no more to be said
    if at >= limit:
        raise NotDer(f"nothing at octet {at}")
    tag = data[at]
    if tag & 0x1F == 0x1F:
        raise NotDer(f"tag number above 30 at octet {at}")
    length, content = _length(data, at + 1, limit)
    if content + length > limit:
        raise NotDer(f"value at octet {at} runs past its end")
    return tag, content, content + length


def _children(parent: Element, most: int) -> list[Element]:
    data, _, start, at, limit = parent
    children: list[Element] = []
    while at < limit:
        if len(children) == most:
            raise NotDer(f"more than {most} members at octet {start}")
        tag, content, end = header(data, at, limit)
        children.append(_element((data, tag, at, content, end)))
        at = end
    return children


def outermost(data: bytes) -> Element:
    """The one value ``data`` is; what stands within it is checked when its members are taken. Raises :class:`NotDer`."""
    tag, content, end = header(data, 0, len(data))
    if end != len(data):
        raise NotDer(f"{len(data) - end} octets after the value")
    return _element((data, tag, 0, content, end))


def read(data: bytes) -> Element:
    """The one DER value ``data`` is, every constructed value within it checked. Raises :class:`NotDer`."""
    root = outermost(data)
    at, ends = root.content, [root.end] if root.tag & _CONSTRUCTED else []
    while ends:  # in the order in which they stand, so that a value costs no more than a look at its head
        limit = ends[-1]
        if at == limit:
            ends.pop()
            continue
        if len(ends) > MAX_DEPTH:
            raise NotDer(f"nested deeper than {MAX_DEPTH}")
        content = at + 2
        if content <= limit and (size := data[at + 1]) < 0x80 and (tag := data[at]) & 0x1F != 0x1F and content + size <= limit:
            end = content + size  # as in header(), whose call would be half the cost
        else:
            tag, content, end = header(data, at, limit)
        at = end
        if tag & _CONSTRUCTED:
            ends.append(end)
            at = content
    return root


def members(element: Element, most: int = MAX_MEMBERS) -> list[Element]:
    """The members of a SEQUENCE. Raises :class:`NotDer` if it is none, or has more than ``most``: nothing is made of the rest."""
    if element.tag != SEQUENCE:
        raise NotDer(f"no SEQUENCE at octet {element.start}")
    return _children(element, most)


def parse_time(text: bytes) -> dt.datetime:
    """The instant a UTCTime or GeneralizedTime names, in UTC, whole seconds. Raises :class:`NotDer`."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise NotDer("no UTCTime or GeneralizedTime")
    digits, zone = match.group(1).decode(), match.group(2).decode()
    if len(digits) == 12:
        digits = ("19" if int(digits[:2]) >= 50 else "20") + digits  # RFC 5280 §4.1.2.5.1
    try:
        if zone == "Z":  # what nearly all are, at a tenth of the cost of strptime
            date, time = divmod(int(digits), 1_000_000)
            year, month, day = date // 10_000, date // 100 % 100, date % 100
            return dt.datetime(year, month, day, time // 10_000, time // 100 % 100, time % 100, tzinfo=dt.UTC)
        return dt.datetime.strptime(digits + zone, "%Y%m%d%H%M%S%z").astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise NotDer("no such date or time") from error


def encode(tag: int, *parts: bytes) -> bytes:
    """One value: identifier octet, minimal length, the parts joined."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*parts: bytes) -> bytes:
    return encode(SEQUENCE, *parts)


def integer(value: int) -> bytes:
    """A non-negative INTEGER."""
    return encode(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def octet_string(value: bytes) -> bytes:
    return encode(OCTET_STRING, value)


def bit_string(value: bytes) -> bytes:
    """A BIT STRING of whole octets."""
    return encode(BIT_STRING, b"\0", value)


def utf8_string(value: str) -> bytes:
    return encode(UTF8_STRING, value.encode())


def ia5_string(value: str) -> bytes:
    return encode(IA5_STRING, value.encode("ascii"))


def generalized_time(instant: dt.datetime) -> bytes:
    """Whole seconds in UTC, the only form DER allows for them (X.690 §11.7)."""
    return encode(GENERALIZED_TIME, instant.astimezone(dt.UTC).strftime("%Y%m%d%H%M%SZ").encode())


def object_identifier(dotted: str) -> bytes:
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return encode(OBJECT_IDENTIFIER, b"".join(_arc(arc) for arc in (first * 40 + second, *rest)))


def _arc(value: int) -> bytes:
    octets = [value & 0x7F]
    while value := value >> 7:
        octets.append(value & 0x7F | 0x80)
    return bytes(reversed(octets))
