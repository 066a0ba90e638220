"""A strict reader for plain PDFs: cross-reference tables only, no encryption, no object streams (ISO 32000-1 §7.5).

What our writers make can be read with a fraction of what a general reader costs: tables are looked up by arithmetic, objects are
parsed only when asked for. Whatever is spelled in a way this reader does not expect raises :class:`NotPlain`, and the file is
read by the general reader instead: nothing passes because of what this one lets by.

1. the file ends with ``startxref``, an offset and ``%%EOF``, and nothing behind it
2. every section is a table of twenty-octet entries with its trailer; ``/Prev`` leads backwards only
3. an object stands where the newest section that names it says, under its own number, up to its ``endobj``
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

_END = re.compile(rb"startxref\r?\n(\d{1,10})\r?\n%%EOF\r?\n?")
_WHERE_IT_ENDS = 64
_SUBSECTION = re.compile(rb"(\d{1,10}) (\d{1,7}) ?\r?\n")
_TABLE = re.compile(rb"xref ?\r?\n")
_ENTRIES = re.compile(rb"(?:\d{10} \d{5} [nf](?: \r| \n|\r\n))*")
_TRAILER = re.compile(rb"trailer\s*(?=<<)")
_HEAD = re.compile(rb"(\d{1,10}) (\d{1,5}) obj\s*")
_PLAIN_STREAM = re.compile(rb"<</Length (\d{1,10})>>stream\n")
_STREAM = re.compile(rb"\s*stream\r?\n")
_CLOSED = re.compile(rb"\s*endobj\s")
_STREAM_CLOSED = re.compile(rb"\r?\n?endstream\s*endobj\s")
_TOKEN = re.compile(
    rb"[\0\t\n\f\r ]*(?:"
    rb"(?P<name>/(?:[^\0\t\n\f\r ()<>\[\]{}/%#]|#[0-9A-Fa-f]{2})*)(?!#)"
    rb"|(?P<ref>(\d{1,10}) (\d{1,5}) R(?![^\0\t\n\f\r ()<>\[\]{}/%]))"
    rb"|(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?![^\0\t\n\f\r ()<>\[\]{}/%]))"
    rb"|(?P<open><<)|(?P<shut>>>)"
    rb"|(?P<hex><[0-9A-Fa-f]*>)"
    rb"|(?P<text>\((?:[^()\\]|\\.)*\))"
    rb"|(?P<array>\[)|(?P<end>\])"
    rb"|(?P<word>true|false|null)(?![^\0\t\n\f\r ()<>\[\]{}/%])"
    rb")",
    re.DOTALL,
)
_CODED = re.compile(rb"#([0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|\r\n|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"\n": b"", b"\r": b"", b"\r\n": b""}
_WORDS: Mapping[bytes, bool | None] = {b"true": True, b"false": False, b"null": None}
_MAX_SECTIONS = 512
_MAX_DEPTH = 32
_ENTRY = 20


class NotPlain(ValueError):
    """The file is none of those this reader understands; what it is, another reader must say."""


class Name(str):
    """A name with its slash, as ``/Catalog``."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Ref:
    """An indirect reference."""

    number: int
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream: its dictionary and its octets as they stand."""

    dictionary: Mapping[str, Any]
    raw: bytes

    def data(self, most: int) -> bytes:
        """Decoded, if plain or deflated without a predictor and not longer than ``most``. Raises :class:`NotPlain`."""
        kind = self.dictionary.get("/Filter")
        if kind is None:
            return self.raw
        if kind not in ("/FlateDecode", ["/FlateDecode"]) or "/DecodeParms" in self.dictionary:
            raise NotPlain("a filter that is not plain")
        try:
            engine = zlib.decompressobj()
            data = engine.decompress(self.raw, most + 1)
        except zlib.error as error:
            raise NotPlain("a broken stream") from error
        if len(data) > most or not engine.eof:
            raise NotPlain("a stream that is too long or has no end")
        return data


@dataclass(frozen=True, slots=True)
class Section:
    """One cross-reference section: where it begins, its trailer, and its tables as (first number, count, offset of the first entry)."""

    at: int
    trailer: Mapping[str, Any]
    tables: tuple[tuple[int, int, int], ...]

    def entry(self, data: bytes, number: int) -> tuple[int, int, bool] | None:
        """(offset, generation, in use), or None where this section does not name the object."""
        for first, count, at in self.tables:
            if first <= number < first + count:
                start = at + _ENTRY * (number - first)
                return int(data[start : start + 10]), int(data[start + 11 : start + 16]), data[start + 17] == 0x6E
        return None

    def numbers(self) -> frozenset[int]:
        """Every object it names."""
        return frozenset(number for first, count, _ in self.tables for number in range(first, first + count))


@dataclass(slots=True)
class PlainPdf:
    """A file as read; raises :class:`NotPlain` from every method. ``sections``: the newest first."""

    data: bytes
    sections: tuple[Section, ...] = ()
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
        older.data, older._known = self.data, {}
        older.sections = self.sections[self.sections.index(section) :]
        return older

    def _read(self, ref: Ref, offset: int) -> Any:
        head = _HEAD.match(self.data, offset)
        if head is None or (int(head[1]), int(head[2])) != (ref.number, ref.generation):
            raise NotPlain("another object stands there")
        if plain := _PLAIN_STREAM.match(self.data, head.end()):
            return self._stream({"/Length": int(plain[1])}, plain.end())
        value, at = _value(self.data, head.end(), 0)
        if isinstance(value, dict) and (opened := _STREAM.match(self.data, at)):
            return self._stream(value, opened.end())
        if isinstance(value, Ref) or not _CLOSED.match(self.data, at):
            raise NotPlain("no plain object")
        return value

    def _stream(self, dictionary: dict[str, Any], at: int) -> Stream:
        length = dictionary.get("/Length")
        if isinstance(length, bool) or not isinstance(length, int) or length < 0 or "/F" in dictionary:
            raise NotPlain("a stream whose length stands elsewhere")
        if not _STREAM_CLOSED.match(self.data, at + length):
            raise NotPlain("a stream of another length")
        return Stream(dictionary, self.data[at : at + length])

    def _sections(self, start: int, end: int) -> list[Section]:
        found: list[Section] = []
        at: int | None = start
        limit = end
        while at is not None:
            if not 0 < at < limit or len(found) == _MAX_SECTIONS:
                raise NotPlain("cross-reference sections that do not lead backwards")
            section = self._section(at, end if not found else None)
            found.append(section)
            limit, at = at, _previous(section.trailer)
        return found

    def _section(self, at: int, end: int | None) -> Section:
        opened = _TABLE.match(self.data, at)
        if opened is None:
            raise NotPlain("no cross-reference table")
        position, tables = opened.end(), []
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
        value, after = _value(self.data, trailer.end(), 0)
        if not isinstance(value, dict) or {"/Encrypt", "/XRefStm"} & value.keys() or _overlap(tables):
            raise NotPlain("a trailer that is not plain")
        if end is not None and self.data[after:end].strip():
            raise NotPlain("something behind the trailer")
        return Section(at, value, tuple(tables))


def _overlap(tables: list[tuple[int, int, int]]) -> bool:
    ordered = sorted((first, first + count) for first, count, _ in tables)
    return any(left[1] > right[0] for left, right in pairwise(ordered))


def _previous(trailer: Mapping[str, Any]) -> int | None:
    previous = trailer.get("/Prev")
    if previous is None or (isinstance(previous, int) and not isinstance(previous, bool)):
        return previous
    raise NotPlain("a trailer that is not plain")


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins at ``at``, and where it ends."""
    token = _TOKEN.match(data, at)
    if token is None or depth > _MAX_DEPTH:
        raise NotPlain("a spelling that is not plain")
    kind = token.lastgroup
    if kind == "open":
        return _dictionary(data, token.end(), depth)
    if kind == "array":
        return _array(data, token.end(), depth)
    if kind in ("shut", "end"):
        raise NotPlain("an end without a beginning")
    return _simple(token), token.end()


def _dictionary(data: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while True:
        token = _TOKEN.match(data, at)
        if token is None or token.lastgroup not in ("name", "shut"):
            raise NotPlain("a dictionary that is not plain")
        if token.lastgroup == "shut":
            return found, token.end()
        key = _name(token["name"])
        if key in found:
            raise NotPlain("a key that is there twice")
        found[key], at = _value(data, token.end(), depth + 1)


def _array(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while True:
        token = _TOKEN.match(data, at)
        if token is not None and token.lastgroup == "end":
            return found, token.end()
        value, at = _value(data, at, depth + 1)
        found.append(value)


def _simple(token: re.Match[bytes]) -> Any:
    kind = token.lastgroup
    if kind == "ref":
        return Ref(int(token[3]), int(token[4]))
    text = token[kind or 0]
    if kind == "name":
        return _name(text)
    if kind == "number":
        return float(text) if b"." in text else int(text)
    if kind == "hex":
        return bytes.fromhex((text[1:-1] + b"0" * (len(text) % 2)).decode())
    if kind == "text":
        return _ESCAPE.sub(_unescaped, text[1:-1])
    return _WORDS[text]


def _name(text: bytes) -> Name:
    if b"#" in text:
        text = _CODED.sub(lambda found: bytes.fromhex(found[1].decode()), text)
    return Name(text.decode("latin-1"))


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    if code[0] in b"01234567":
        return bytes((int(code, 8) & 0xFF,))
    return _ESCAPED.get(code, code)


def text_of(value: Any) -> str:
    """A text string: UTF-16 or UTF-8 with its mark, else Latin-1 (which agrees with PDFDocEncoding where it matters here)."""
    if not isinstance(value, bytes):
        return ""
    if value.startswith(b"\xfe\xff"):
        return value[2:].decode("utf-16-be", "replace")
    return value.removeprefix(b"\xef\xbb\xbf").decode("utf-8" if value.startswith(b"\xef\xbb\xbf") else "latin-1", "replace")
