"""The signature dictionary of our profile (ISO 32000-1 table 252, EN 319 142-1 §5.3): one spelling, written and recognised here.

Recognising it by its octets is stricter than parsing it, and forty times as fast: a parser reads the 30,000 digits of
``/Contents`` one by one.
"""

import binascii
import datetime as dt
import re
from dataclasses import dataclass

from keys.base import der

_RANGE_WIDTH = 44  # octets of "[0 a b c]": three offsets of at most ten digits and their brackets

_HEAD = b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/M(D:%bZ)/Name<%b>"
# ISO 32000-1 table 254: P 1 = no change to the document shall be permitted; P 2 = filling in forms and signing.
_CERTIFIED = b"/Reference[<</Type/SigRef/TransformMethod/DocMDP/TransformParams<</Type/TransformParams/V/1.2/P %d>>>>]"
_STAMPED = b"<</Type/DocTimeStamp/Filter/Adobe.PPKLite/SubFilter/ETSI.RFC3161/ByteRange"
_OBJECT_END = b">>>\nendobj\n"
NO_CHANGES, FILLING_IN = 1, 2

_WRITTEN = re.compile(
    rb"\d{1,10} \d{1,5} obj\n"
    + re.escape(_HEAD).replace(b"%b", rb"(?P<time>\d{14})", 1).replace(b"%b", rb"[0-9a-f]{4,2048}", 1)
    + rb"(?:%b)?" % re.escape(_CERTIFIED).replace(b"%d", rb"(?P<permission>[12])", 1)
    + (
        _REST := rb"/ByteRange(?P<range>\[0 (?P<start>\d{1,10}) (?P<end>\d{1,10}) (?P<rest>\d{1,10})\]) *"
        rb"/Contents(?=<)"
    )
)
_TIME_STAMPED = re.compile(rb"\d{1,10} \d{1,5} obj\n" + re.escape(_STAMPED.removesuffix(b"/ByteRange")) + _REST)


@dataclass(frozen=True, slots=True)
class Blank:
    """A dictionary whose ``/ByteRange`` is blanks and whose ``/Contents`` is zeros. Offsets count from its own start."""

    body: bytes
    range_at: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where the ``/Contents`` of a dictionary stand in a file, and what it says they leave out.

    ``start`` is where they begin with ``<``, ``end`` is behind the ``>``; ``covered`` are the numbers of ``byte_range`` behind the 0.
    ``contents`` are their digits, ``octets`` what the digits spell, the zeros behind the value included.
    """

    start: int
    end: int
    contents: bytes
    octets: bytes
    byte_range: str
    covered: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Written(Place):
    """A signature dictionary found in a file. ``permission``: P of the certification; None: an ordinary signature."""

    signing_time: dt.datetime
    permission: int | None = None


def blank(
    signing_time: dt.datetime, organisation: str, reserved: int, permission: int | None = NO_CHANGES, *, plain: bool = False
) -> Blank:
    """The dictionary with ``reserved`` octets of room. ``organisation`` becomes ``/Name``; ``permission`` None: no certification.

    ``plain``: spelled so that :func:`recognise` does not know it, for a signature that is not of our profile.
    """
    instant = signing_time.astimezone(dt.UTC).strftime("%Y%m%d%H%M%S").encode()
    head = _HEAD % (instant, (b"\xfe\xff" + organisation.encode("utf-16-be")).hex().encode())
    if plain:
        head += b" "
    return _hole(head + (b"" if permission is None else _CERTIFIED % permission) + b"/ByteRange", reserved)


def blank_timestamp(reserved: int) -> Blank:
    """The dictionary of a document time stamp (ISO 32000-2 §12.8.5, EN 319 142-1 §5.4.3) with room for its token."""
    return _hole(_STAMPED, reserved)


def _hole(head: bytes, reserved: int) -> Blank:
    start = len(head) + _RANGE_WIDTH + len(b"/Contents")
    body = b"".join((head, b" " * _RANGE_WIDTH, b"/Contents<", b"0" * (2 * reserved), b">>>"))
    return Blank(body, len(head), start, start + 2 * reserved + 2)


def byte_range(start: int, end: int, size: int) -> bytes:
    """The array for a file of ``size`` octets, filled up with blanks to the width of its place."""
    return (b"[0 %d %d %d]" % (start, end, size - end)).ljust(_RANGE_WIDTH)


def recognise(data: bytes, offset: int) -> Written | None:
    """The signature dictionary of the object that begins at ``offset``, if it is spelled exactly as ours are."""
    found = _WRITTEN.match(data, offset)
    spelled = hexadecimal(data, found.end()) if found else None
    if found is None or spelled is None:
        return None
    try:
        signing_time = der.parse_time(found["time"] + b"Z")
    except ValueError:
        return None
    place, permission = _place(found, *spelled), found["permission"]
    return Written(
        place.start,
        place.end,
        place.contents,
        place.octets,
        place.byte_range,
        place.covered,
        signing_time=signing_time,
        permission=int(permission) if permission else None,
    )


def recognise_timestamp(data: bytes, offset: int) -> Place | None:
    """The document time stamp of the object that begins at ``offset``, if it is spelled exactly as ours are."""
    found = _TIME_STAMPED.match(data, offset)
    spelled = hexadecimal(data, found.end()) if found else None
    return _place(found, *spelled) if found and spelled is not None else None


def hexadecimal(data: bytes, at: int) -> tuple[bytes, bytes] | None:
    """What stands between the ``<`` at ``at`` and the ``>>>`` that ends the object, and the octets it spells.

    None unless it is whole octets in lower-case hexadecimal, which is told by spelling them again: a regular expression would look
    at a hundred thousand digits one by one.
    """
    end = data.find(b">", at)
    contents = data[at + 1 : end] if end > 0 and data.startswith(_OBJECT_END, end) else b""
    try:
        octets = binascii.unhexlify(contents)
    except binascii.Error:
        return None
    return (contents, octets) if octets and binascii.hexlify(octets) == contents else None


def _place(found: re.Match[bytes], contents: bytes, octets: bytes) -> Place:
    return Place(
        start=found.end(),
        end=found.end() + len(contents) + 2,
        contents=contents,
        octets=octets,
        byte_range=found["range"].decode(),
        covered=(int(found["start"]), int(found["end"]), int(found["rest"])),
    )
