"""A strict reader for plain PDFs: no encryption, no hybrid files, nothing that stands in an object stream (ISO 32000-1 §7.5).

What our writers make can be read with a fraction of what a general reader costs: tables are looked up by arithmetic, objects are
parsed only when asked for. Whatever is spelled in a way this reader does not expect raises :class:`NotPlain`, and the file is
read by the general reader instead: nothing passes because of what this one lets by.

1. the file ends with ``startxref``, an offset and ``%%EOF``, and nothing behind it
2. every section is a table of twenty-octet entries with its trailer, or a stream; ``/Prev`` leads backwards only
3. an object stands where the newest section that names it says, under its own number, up to its ``endobj``
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

from seal.plain_values import NotPlain, Ref, value_at

__all__ = ["NotPlain", "PlainPdf", "Ref", "Section", "Stream"]

_END = re.compile(rb"startxref\r?\n(\d{1,10})\r?\n%%EOF\r?\n?")
_WHERE_IT_ENDS = 64
_SUBSECTION = re.compile(rb"(\d{1,10}) (\d{1,7}) ?\r?\n")
_TABLE = re.compile(rb"xref ?\r?\n")
_ENTRIES = re.compile(rb"(?:\d{10} \d{5} [nf](?: \r| \n|\r\n))*")
_TRAILER = re.compile(rb"trailer\s*(?=<<)")
_HEAD = re.compile(rb"(\d{1,10}) (\d{1,5}) obj\s*")
_PLAIN_STREAM = re.compile(rb"(\d{1,10}) (\d{1,5}) obj\s*<</Length (\d{1,10})>>stream\n")
_PLAIN_STREAM_ENDS = b"\nendstream\nendobj\n"
_STREAM = re.compile(rb"\s*stream\r?\n")
_CLOSED = re.compile(rb"\s*endobj\s")
_STREAM_CLOSED = re.compile(rb"\r?\n?endstream\s*endobj\s")
_OBJECT_ENDS, _SMALL = b"endobj", 2048
_MAX_SECTIONS = 512
_ENTRY, _IN_USE = 20, 0x6E
_MAX_ROWS, _PNG_UP = 1 << 20, 12


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream: its dictionary and its octets as they stand."""

    dictionary: Mapping[str, Any]
    raw: bytes

    def data(self, most: int) -> bytes:
        """Decoded, if plain or deflated and not longer than ``most``. Raises :class:`NotPlain`."""
        kind = self.dictionary.get("/Filter")
        if kind is None:
            return self.raw
        if kind not in ("/FlateDecode", ["/FlateDecode"]):
            raise NotPlain("a filter that is not plain")
        try:
            engine = zlib.decompressobj()
            data = engine.decompress(self.raw, most + 1)
        except zlib.error as error:
            raise NotPlain("a broken stream") from error
        if len(data) > most or not engine.eof:
            raise NotPlain("a stream that is too long or has no end")
        return _unpredicted(data, self.dictionary["/DecodeParms"]) if "/DecodeParms" in self.dictionary else data


Entry = tuple[int, int, bool]
"""Offset, generation, in use."""


@dataclass(frozen=True, slots=True)
class Section:
    """One cross-reference section: where it begins, where its trailer ends, its trailer.

    ``tables``: (first number, count, offset of the first entry) of a table; ``rows``: the entries of a stream by object number.
    """

    at: int
    end: int
    trailer: Mapping[str, Any]
    tables: tuple[tuple[int, int, int], ...] = ()
    rows: Mapping[int, Entry] | None = None

    def entry(self, data: bytes, number: int) -> Entry | None:
        """None where this section does not name the object."""
        if self.rows is not None:
            return self.rows.get(number)
        for first, count, at in self.tables:
            if first <= number < first + count:
                start = at + _ENTRY * (number - first)
                return int(data[start : start + 10]), int(data[start + 11 : start + 16]), data[start + 17] == _IN_USE
        return None

    def numbers(self) -> frozenset[int]:
        """Every object it names."""
        if self.rows is not None:
            return frozenset(self.rows)
        return frozenset(number for first, count, _ in self.tables for number in range(first, first + count))


@dataclass(slots=True)
class PlainPdf:
    """A file as read; raises :class:`NotPlain` from every method. ``sections``: the newest first.

    ``stop``: cross-reference sections that begin before this octet are somebody else's to read.
    """

    data: bytes
    sections: tuple[Section, ...] = ()
    stop: int = 0
    _known: dict[Ref, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        end = _END.search(self.data, max(0, len(self.data) - _WHERE_IT_ENDS))
        if end is None or end.end() != len(self.data):
            raise NotPlain("no plain end")
        self.sections = tuple(self._sections(int(end[1]), end.start()))

    @property
    def trailer(self) -> Mapping[str, Any]:
        return self.sections[0].trailer

    @property
    def root(self) -> Mapping[str, Any]:
        """The catalogue."""
        return self.dictionary(self.trailer.get("/Root"))

    def resolve(self, value: Any) -> Any:
        """What a reference leads to; any other value itself."""
        return self.object(value) if isinstance(value, Ref) else value

    def dictionary(self, value: Any) -> Mapping[str, Any]:
        found = self.resolve(value)
        if not isinstance(found, dict):
            raise NotPlain("no dictionary")
        return found

    def array(self, value: Any) -> list[Any]:
        found = self.resolve(value)
        if not isinstance(found, list):
            raise NotPlain("no array")
        return found

    def stream(self, value: Any) -> Stream:
        found = self.resolve(value)
        if not isinstance(found, Stream):
            raise NotPlain("no stream")
        return found

    def offset(self, ref: Ref) -> int:
        """Where the newest section that names the object says it begins."""
        for section in self.sections:
            entry = section.entry(self.data, ref.number)
            if entry is None:
                continue
            offset, generation, used = entry
            if not used or generation != ref.generation or not 0 < offset < len(self.data):
                break
            return offset
        raise NotPlain("a reference to nothing")

    def object(self, ref: Ref) -> Any:
        if ref not in self._known:
            self._known[ref] = self._read(ref, self.offset(ref))
        return self._known[ref]

    def before(self, section: Section) -> "PlainPdf":
        """The same file as it was up to and including an older section."""
        older = PlainPdf.__new__(PlainPdf)
        older.data, older.stop, older._known = self.data, self.stop, {}
        older.sections = self.sections[self.sections.index(section) :]
        return older

    def span(self, offset: int) -> tuple[Ref, Any, int]:
        """The object that begins at ``offset``: its reference, its value, and where it ends."""
        if plain := _PLAIN_STREAM.match(self.data, offset):
            number, generation, length = map(int, plain.groups())
            return Ref(number, generation), *self._stream({"/Length": length}, plain.end())
        head = _HEAD.match(self.data, offset)
        if head is None:
            raise NotPlain("no object stands there")
        ref = Ref(int(head[1]), int(head[2]))
        value, at = self._value(head.end())
        if isinstance(value, dict) and (opened := _STREAM.match(self.data, at)):
            return ref, *self._stream(value, opened.end())
        closed = _CLOSED.match(self.data, at)
        if isinstance(value, Ref) or closed is None:
            raise NotPlain("no plain object")
        return ref, value, closed.end()

    def _value(self, at: int) -> tuple[Any, int]:
        """The value that begins there. Documents of one template share their small objects: those are parsed once."""
        end = self.data.find(_OBJECT_ENDS, at, at + _SMALL)
        if end < 0:
            return value_at(self.data, at, 0)
        value, length = _small_value(self.data[at : end + len(_OBJECT_ENDS)])
        return value, at + length

    def _read(self, ref: Ref, offset: int) -> Any:
        found, value, _ = self.span(offset)
        if found != ref:
            raise NotPlain("another object stands there")
        return value

    def _stream(self, dictionary: dict[str, Any], at: int) -> tuple[Stream, int]:
        length = dictionary.get("/Length")
        if isinstance(length, bool) or not isinstance(length, int) or length < 0 or "/F" in dictionary:
            raise NotPlain("a stream whose length stands elsewhere")
        if self.data.startswith(_PLAIN_STREAM_ENDS, at + length):
            return Stream(dictionary, self.data[at : at + length]), at + length + len(_PLAIN_STREAM_ENDS)
        closed = _STREAM_CLOSED.match(self.data, at + length)
        if closed is None:
            raise NotPlain("a stream of another length")
        return Stream(dictionary, self.data[at : at + length]), closed.end()

    def _sections(self, start: int, end: int) -> list[Section]:
        found: list[Section] = []
        at: int | None = start
        limit = end
        while at is not None and at >= self.stop:
            if not 0 < at < limit or len(found) == _MAX_SECTIONS:
                raise NotPlain("cross-reference sections that do not lead backwards")
            section = self._section(at, end if not found else None)
            found.append(section)
            limit, at = at, _previous(section.trailer)
        return found

    def _section(self, at: int, end: int | None) -> Section:
        opened = _TABLE.match(self.data, at)
        section = self._table(at, opened.end()) if opened else self._stream_section(at)
        if {"/Encrypt", "/XRefStm"} & section.trailer.keys():
            raise NotPlain("a trailer that is not plain")
        if end is not None and self.data[section.end : end].strip():
            raise NotPlain("something behind the trailer")
        return section

    def _table(self, at: int, position: int) -> Section:
        tables = []
        while head := _SUBSECTION.match(self.data, position):
            first, count, start = int(head[1]), int(head[2]), head.end()
            position = start + _ENTRY * count
            entries = _ENTRIES.match(self.data, start, position)
            if entries is None or entries.end() != position:
                raise NotPlain("an entry that is not plain")
            tables.append((first, count, start))
        trailer = _TRAILER.match(self.data, position)
        if trailer is None:
            raise NotPlain("no trailer")
        value, after = value_at(self.data, trailer.end(), 0)
        if not isinstance(value, dict) or _overlap([(first, count) for first, count, _ in tables]):
            raise NotPlain("a trailer that is not plain")
        return Section(at, after, value, tuple(tables))

    def _stream_section(self, at: int) -> Section:
        ref, value, end = self.span(at)
        if not isinstance(value, Stream) or value.dictionary.get("/Type") != "/XRef":
            raise NotPlain("no cross-reference section")
        rows = _rows(value)
        if (itself := rows.get(ref.number)) is not None and itself[0] != at:
            raise NotPlain("a cross-reference stream that stands elsewhere")
        return Section(at, end, value.dictionary, rows=rows)


@lru_cache(maxsize=1024)
def _small_value(octets: bytes) -> tuple[Any, int]:
    """Never changed by whoever reads it."""
    return value_at(octets, 0, 0)


def _overlap(runs: list[tuple[int, int]]) -> bool:
    ordered = sorted((first, first + count) for first, count in runs)
    return any(left[1] > right[0] for left, right in pairwise(ordered))


def _rows(stream: Stream) -> dict[int, Entry]:
    """§7.5.8. What stands in an object stream counts as not in use: it cannot be read here."""
    widths: Any = stream.dictionary.get("/W")
    if not isinstance(widths, list) or len(widths) != 3 or not all(isinstance(one, int) and 0 <= one <= 8 for one in widths):
        raise NotPlain("a cross-reference stream that is not plain")
    index: Any = stream.dictionary.get("/Index", [0, stream.dictionary.get("/Size")])
    runs = list(zip(index[::2], index[1::2], strict=True))
    if not all(isinstance(one, int) and one >= 0 for one in index) or sum(count for _, count in runs) > _MAX_ROWS or _overlap(runs):
        raise NotPlain("a cross-reference stream that is not plain")
    kind, offset, width = widths[0], widths[0] + widths[1], sum(widths)
    data = stream.data(_MAX_ROWS * 24)
    if len(data) != width * sum(count for _, count in runs):
        raise NotPlain("a cross-reference stream of another length")
    found: dict[int, Entry] = {}
    at = 0
    for first, count in runs:
        for number in range(first, first + count):
            row, at = data[at : at + width], at + width
            used = (int.from_bytes(row[:kind]) if kind else 1) == 1
            found[number] = int.from_bytes(row[kind:offset]), int.from_bytes(row[offset:]), used
    return found


def _unpredicted(data: bytes, parameters: Any) -> bytes:
    """Undoes the PNG predictors None and Up, which is what cross-reference streams are written with (§7.4.4.4)."""
    columns: Any = parameters.get("/Columns") if isinstance(parameters, dict) else None
    plain = isinstance(columns, int) and 0 < columns <= 24 and parameters.keys() <= {"/Columns", "/Predictor"}
    if not plain or parameters.get("/Predictor") != _PNG_UP or len(data) % (columns + 1):
        raise NotPlain("a predictor that is not plain")
    out, before = bytearray(), bytes(columns)
    for at in range(0, len(data), columns + 1):
        row = data[at + 1 : at + 1 + columns]
        if data[at] not in (0, 2):
            raise NotPlain("a predictor that is not plain")
        before = row if data[at] == 0 else bytes((one + above) & 0xFF for one, above in zip(row, before, strict=True))
        out += before
    return bytes(out)


def _previous(trailer: Mapping[str, Any]) -> int | None:
    previous = trailer.get("/Prev")
    if previous is None or (isinstance(previous, int) and not isinstance(previous, bool)):
        return previous
    raise NotPlain("a trailer that is not plain")
