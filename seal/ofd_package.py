"""The container of an OFD (GB/T 33190-2016 §6): a ZIP archive that leaves no two readers two opinions.

What is refused, because one reader would show what another does not see:

1. octets that belong to no part: before, between and after the entries; a comment; an entry of which only one of its two headers knows
2. two headers of an entry that differ; two entries of one name, also where only case or composition differs
3. names that leave the package or are spelled in another way: ``..``, ``\\``, a leading ``/``, a drive, a control character
4. encryption, several disks, ZIP64, other methods than "stored" and "deflated"
5. more than :data:`MAX_PARTS` parts, or more than :data:`MAX_TOTAL` octets unpacked, whatever the headers say

Nothing is ever written to disk. A part is unpacked when it is asked for, bounded by the size its header states, and its CRC must hold.
"""

import struct
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

MAX_PARTS = 20_000
MAX_TOTAL = 512 * 1024 * 1024
MAX_NAME = 1024
_CHUNK = 1 << 18

_END = struct.Struct("<4s4H2LH")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTOR = struct.Struct("<3L")
_END_MARK, _CENTRAL_MARK, _LOCAL_MARK, _DESCRIPTOR_MARK = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04", b"PK\x07\x08"
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _STREAMED, _UTF8 = 0x0001, 0x0008, 0x0800
_KNOWN_FLAGS = _STREAMED | _UTF8 | 0x0006  # the two bits in between tell how hard a deflater tried
_UNICODE_PATH = 0x7075
_NO_SIZE = 0xFFFFFFFF


class PackageUnreadable(ValueError):
    """Not a ZIP archive that can be read here: broken, encrypted, or too large."""


class PackageRefused(ValueError):
    """An archive that readers would disagree about, or that is made to harm."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the package: where its packed octets stand, how they are packed, and what they must come to."""

    name: str
    start: int
    packed: int
    size: int
    crc: int
    deflated: bool


@dataclass(frozen=True, slots=True)
class _Header:
    """What the central directory says of an entry."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class Package:
    """The parts of an archive by their names, without the names of folders."""

    data: bytes
    parts: dict[str, Part]

    def chunks(self, name: str) -> Iterator[bytes]:
        """The unpacked octets of a part. Raises KeyError, :class:`PackageRefused`."""
        part = self.parts[name]
        packed = memoryview(self.data)[part.start : part.start + part.packed]
        crc, size = 0, 0
        for chunk in _inflated(packed, part.size) if part.deflated else _sliced(packed):
            crc, size = zlib.crc32(chunk, crc), size + len(chunk)
            if size > part.size:
                raise PackageRefused(f"a part is larger than it states: {shown(name)}")
            yield chunk
        if size != part.size or crc != part.crc:
            raise PackageRefused(f"a part is not what its header states: {shown(name)}")

    def read(self, name: str, most: int) -> bytes:
        """A part as a whole. Raises KeyError, :class:`PackageRefused` where it is larger than ``most`` octets."""
        if self.parts[name].size > most:
            raise PackageRefused(f"a part is too large: {shown(name)}")
        return b"".join(self.chunks(name))


def shown(name: str) -> str:
    """A name for a report: no control characters, no more than it takes to find it."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in name[:120])


def _sliced(packed: memoryview) -> Iterator[bytes]:
    for at in range(0, len(packed), _CHUNK):
        yield bytes(packed[at : at + _CHUNK])


def _inflated(packed: memoryview, size: int) -> Iterator[bytes]:
    """Never more than one chunk beyond ``size``; the stream ends with the packed octets."""
    inflater, given = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        for piece in _sliced(packed):
            rest = piece
            while rest and given <= size:
                if inflater.eof:
                    raise PackageRefused("a part is more than one deflated stream")
                chunk = inflater.decompress(rest, _CHUNK)
                rest, given = inflater.unconsumed_tail or inflater.unused_data, given + len(chunk)
                yield chunk
    except zlib.error as error:
        raise PackageRefused("a part cannot be unpacked") from error
    if not inflater.eof:
        raise PackageRefused("a part is not one deflated stream, or larger than it states")


def open_package(data: bytes) -> Package:
    """The package, its headers checked; parts are unpacked later. Raises :class:`PackageUnreadable`, :class:`PackageRefused`."""
    directory, count, end = _directory(data)
    headers = list(_headers(data, directory, count, end))
    if sum(header.size for header in headers) > MAX_TOTAL:
        raise PackageUnreadable(f"it would unpack to more than {MAX_TOTAL >> 20} MB")
    placed = sorted((_placed(data, header, directory) for header in headers), key=lambda one: one[0])
    _check_tiling([(start, stop) for start, stop, _ in placed], directory)
    names = [part.name for _, _, part in placed]
    if len({_folded(name) for name in names}) != len(names):
        raise PackageRefused("two parts of one name")
    folders = [part for _, _, part in placed if part.name.endswith("/")]
    if any(part.size or part.packed > len(b"\x03\0") for part in folders):
        raise PackageRefused("a folder with content")
    return Package(data, {part.name: part for _, _, part in placed if not part.name.endswith("/")})


def _directory(data: bytes) -> tuple[int, int, int]:
    """Where the central directory begins, how many entries it has, and where it ends. The archive ends with its end record."""
    at = len(data) - _END.size
    if at < 0 or data[at : at + 4] != _END_MARK:
        raise PackageUnreadable("not a complete ZIP archive, or something stands behind it")
    _, disk, first_disk, here, count, size, offset, comment = _END.unpack_from(data, at)
    if disk or first_disk or here != count or comment:
        raise PackageRefused("an archive of several disks, or with a comment")
    if _NO_SIZE in (size, offset) or count == 0xFFFF:
        raise PackageUnreadable("ZIP64")
    if count > MAX_PARTS:
        raise PackageUnreadable(f"more than {MAX_PARTS} parts")
    if offset + size != at:
        raise PackageRefused("octets that belong to no part")
    return offset, count, at


def _headers(data: bytes, at: int, count: int, end: int) -> Iterator[_Header]:
    for _ in range(count):
        if at + _CENTRAL.size > end:
            raise PackageUnreadable("a truncated directory")
        mark, _, _, flags, method, _, _, crc, packed, size, *lengths, disk, _, _, offset = _CENTRAL.unpack_from(data, at)
        name_length, extra_length, comment_length = lengths
        body = at + _CENTRAL.size
        at = body + name_length + extra_length + comment_length
        if mark != _CENTRAL_MARK or at > end:
            raise PackageUnreadable("a broken directory")
        if disk or comment_length:
            raise PackageRefused("an entry with a comment, or on another disk")
        _check_extra(data[body + name_length : body + name_length + extra_length])
        yield _Header(data[body : body + name_length], flags, method, crc, packed, size, offset)
    if at != end:
        raise PackageRefused("octets that belong to no part")


def _check_extra(extra: bytes) -> None:
    """Extra fields may tell times and owners, never another name or size."""
    at = 0
    while at < len(extra):
        if at + 4 > len(extra):
            raise PackageRefused("a broken extra field")
        kind, length = struct.unpack_from("<HH", extra, at)
        at += 4 + length
        if at > len(extra) or kind == _UNICODE_PATH:
            raise PackageRefused("an extra field that gives another name, or is broken")


def _placed(data: bytes, header: _Header, directory: int) -> tuple[int, int, Part]:
    """Where the entry begins and ends in the archive, and its part: what its local header says is what the directory says."""
    if header.flags & _ENCRYPTED:
        raise PackageUnreadable("encrypted")
    if header.flags & ~_KNOWN_FLAGS or header.method not in (_STORED, _DEFLATED):
        raise PackageUnreadable("a way of packing that is not read here")
    if header.offset + _LOCAL.size > directory:
        raise PackageRefused("an entry outside of the archive")
    mark, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack_from(data, header.offset)
    body = header.offset + _LOCAL.size
    start = body + name_length + extra_length
    stop = start + header.packed
    _check_extra(data[body + name_length : start])
    if mark != _LOCAL_MARK or (flags, method, data[body : body + name_length]) != (header.flags, header.method, header.name):
        raise PackageRefused("the two headers of an entry differ")
    stated = {(header.crc, header.packed, header.size)}
    if flags & _STREAMED:  # the local header may leave to the descriptor what it could not know
        stop += _descriptor(data, stop, header)
        stated |= {(0, 0, 0), (0, _NO_SIZE, _NO_SIZE)}
    if (crc, packed, size) not in stated or (header.method == _STORED and header.packed != header.size):
        raise PackageRefused("the two headers of an entry differ")
    return header.offset, stop, Part(_name(header), start, header.packed, header.size, header.crc, header.method == _DEFLATED)


def _descriptor(data: bytes, at: int, header: _Header) -> int:
    """The length of the data descriptor behind a streamed part, with or without its mark."""
    stated = _DESCRIPTOR.pack(header.crc, header.packed, header.size)
    for form in (_DESCRIPTOR_MARK + stated, stated):
        if data[at : at + len(form)] == form:
            return len(form)
    raise PackageRefused("the two headers of an entry differ")


def _name(header: _Header) -> str:
    try:
        name = header.name.decode("utf-8" if header.flags & _UTF8 else "ascii")
    except UnicodeDecodeError as error:
        raise PackageRefused("a name in an unstated encoding") from error
    parts = name.removesuffix("/").split("/")
    strange = "\\" in name or ":" in name or any(not one.isprintable() for one in name) or len(name) > MAX_NAME
    if strange or any(part in ("", ".", "..") or part != part.strip(" ") or part.endswith(".") for part in parts):
        raise PackageRefused(f"a name that leads astray: {shown(name)}")
    return name


def _folded(name: str) -> str:
    """Names that some file system takes for one."""
    return unicodedata.normalize("NFC", name.removesuffix("/")).casefold()


def _check_tiling(spans: list[tuple[int, int]], directory: int) -> None:
    """One entry follows the other from the first octet to the directory."""
    bounds = [(0, 0), *spans, (directory, directory)]
    if any(one[1] != other[0] for one, other in pairwise(bounds)):
        raise PackageRefused("octets that belong to no part, or to two")
