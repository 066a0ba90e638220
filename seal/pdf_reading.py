"""What an incremental update must know of its base file: sizes, the catalogue, a page. Two readers, one answer.

:class:`Plain` reads what our own renderer writes, and what we append to it: cross-reference tables, objects that stand by
themselves, plain syntax. It looks at the few objects it needs and at nothing else. Whatever it does not understand to the last
octet is read by :class:`Foreign`, pyHanko's reader. Both give the same octets (:mod:`seal.pdf_syntax`), so the file that is
made does not tell who read its base (docs/decisions/0071).
"""
# mypy: allow-untyped-calls

import io
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.rw_common import find_inherited_value_in_tree

from seal.pdf_syntax import REFERENCE, Entries, NotPlain, canonical, dictionary, entries_of, members, whole_dictionary

UNREADABLE = (PdfError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OverflowError)
"""What pyHanko's reader raises on a file that is none."""

Box = tuple[float, float, float, float]

_END = re.compile(rb"\nstartxref\r?\n(\d{1,10})\r?\n%%EOF[\r\n]*\Z")
_TAIL = 64
_TABLE = re.compile(rb"xref\r?\n")
_SECTION = re.compile(rb"(\d{1,10}) (\d{1,7})\r?\n")
_ENTRIES = re.compile(rb"(?:\d{10} \d{5} [nf](?:\r\n| \n| \r))+")
_TRAILER = re.compile(rb"trailer[\t\n\r ]*(?=<<)")
_OBJECT = re.compile(rb"(\d{1,10}) (\d{1,5}) obj[\t\n\r ]*(?=<<)")
_STREAM = re.compile(rb"(\d{1,10}) (\d{1,5}) obj\n<</Length (\d{1,9})>>stream\n")
_STREAM_END = b"\nendstream\nendobj\n"
_ENTRY = 20
_MAX_SECTIONS = 64
_MAX_LEVELS = 32
_LARGEST = 1 << 16


@dataclass(frozen=True, slots=True)
class Node:
    """An object that is a dictionary."""

    number: int
    generation: int
    entries: Entries

    @property
    def reference(self) -> bytes:
        return b"%d %d R" % (self.number, self.generation)


@dataclass(frozen=True, slots=True)
class Page:
    """A page and its media box, inherited or its own: left, bottom, right, top in points."""

    node: Node
    box: Box


class Reading(Protocol):
    """The base file. Members may raise one of :data:`UNREADABLE`.

    ``size``      the trailer's /Size
    ``previous``  where the last cross-reference section stands; ``streams``: whether that is a stream
    ``trailer``   its /Root, /Info and /ID; ``encrypted``
    """

    @property
    def size(self) -> int: ...

    @property
    def previous(self) -> int: ...

    @property
    def streams(self) -> bool: ...

    @property
    def encrypted(self) -> bool: ...

    @property
    def trailer(self) -> Entries: ...

    @property
    def root(self) -> Node: ...

    def node(self, reference: bytes) -> Node:
        """The dictionary behind ``12 0 R``."""
        ...

    def array(self, reference: bytes) -> bytes:
        """The array behind ``12 0 R``."""
        ...

    def page(self, index: int) -> Page: ...

    def stream(self, reference: bytes) -> bytes:
        """The decoded content of a stream."""
        ...

    def offset(self, reference: bytes) -> int:
        """Where an object that stands by itself begins in the file."""
        ...


def read(document: bytes) -> Reading:
    """The plain reader where it understands the file, else pyHanko's. Raises one of :data:`UNREADABLE`."""
    try:
        return Plain(document)
    except NotPlain:
        return Foreign(document)


class Plain:
    """Raises :class:`NotPlain` when it is made, or when it meets what it does not read."""

    streams = False
    encrypted = False

    def __init__(self, document: bytes) -> None:
        end = _END.search(document, max(0, len(document) - _TAIL))
        if end is None or not document.startswith(b"%PDF-1."):
            raise NotPlain("no plain beginning or end")
        self._data = document
        self.previous = int(end[1])
        self._sections: list[tuple[int, int, int]] = []
        self.trailer, at = self._section(self.previous)
        if at > end.start():
            raise NotPlain("the last section does not stand last")
        self.size = _integer(self.trailer.get(b"/Size", b""))
        older = self.trailer
        seen = {self.previous}
        while b"/Prev" in older:
            place = _integer(older[b"/Prev"])
            if place in seen or len(seen) > _MAX_SECTIONS:
                raise NotPlain("a circle of sections")
            seen.add(place)
            older, _ = self._section(place)
        if any(first + count > self.size for first, count, _ in self._sections):
            raise NotPlain("objects beyond the stated size")
        self.root = self.node(self.trailer.get(b"/Root", b""))
        if self.root.entries.get(b"/Type") != b"/Catalog":
            raise NotPlain("no catalogue")

    def _section(self, at: int) -> tuple[Entries, int]:
        data = self._data
        match = _TABLE.match(data, at)
        if match is None:
            raise NotPlain("no cross-reference table")
        at = match.end()
        while match := _SECTION.match(data, at):
            first, count, at = int(match[1]), int(match[2]), match.end()
            if count and not _ENTRIES.fullmatch(data, at, at + count * _ENTRY):
                raise NotPlain("an entry of another form")
            self._sections.append((first, count, at))
            at += count * _ENTRY
        match = _TRAILER.match(data, at)
        if match is None:
            raise NotPlain("no trailer")
        entries, end = dictionary(data, match.end())
        if b"/XRefStm" in entries or b"/Encrypt" in entries:
            raise NotPlain("a hybrid or an encrypted file")
        return entries, end

    def _offset(self, number: int, generation: int) -> int:
        for first, count, at in self._sections:
            if first <= number < first + count:
                entry = self._data[at + (number - first) * _ENTRY :][:18]
                if entry[17:] != b"n" or int(entry[11:16]) != generation:
                    raise NotPlain("a free object")
                return int(entry[:10])
        raise NotPlain("no such object")

    def node(self, reference: bytes) -> Node:
        number, generation = _reference(reference)
        head = _OBJECT.match(self._data, self._offset(number, generation))
        if head is None or (int(head[1]), int(head[2])) != (number, generation):
            raise NotPlain("the object is not where the table says")
        end = self._data.find(b"endobj", head.end(), head.end() + _LARGEST)
        if end < 0:
            raise NotPlain("a large object")
        return Node(number, generation, whole_dictionary(self._data[head.end() : end]))

    def array(self, reference: bytes) -> bytes:
        raise NotPlain("an array by itself")

    def offset(self, reference: bytes) -> int:
        number, generation = _reference(reference)
        return self._offset(number, generation)

    def stream(self, reference: bytes) -> bytes:
        head = _STREAM.match(self._data, self.offset(reference))
        if head is None or (int(head[1]), int(head[2])) != _reference(reference):
            raise NotPlain("no stream of our own spelling")
        end = head.end() + int(head[3])
        if self._data[end : end + len(_STREAM_END)] != _STREAM_END:
            raise NotPlain("a stream of another length")
        return self._data[head.end() : end]

    def page(self, index: int) -> Page:
        node, box, skipped = self.node(self.root.entries.get(b"/Pages", b"")), b"", 0
        for _ in range(_MAX_LEVELS):
            box = node.entries.get(b"/MediaBox", box)
            if node.entries.get(b"/Type") == b"/Page" and skipped == index:
                return Page(node, _box(members(box or b"[]")))
            kids = members(node.entries.get(b"/Kids", b""))
            if _integer(node.entries.get(b"/Count", b"")) == len(kids):  # every kid is a page
                if not 0 <= index - skipped < len(kids):
                    raise IndexError("no such page")
                node, skipped = self.node(kids[index - skipped]), index
                if b"/Kids" in node.entries:
                    raise NotPlain("an unusual tree of pages")
                continue
            node, skipped = self._branch(kids, index, skipped)
        raise NotPlain("a deep tree of pages")

    def _branch(self, kids: tuple[bytes, ...], index: int, skipped: int) -> tuple[Node, int]:
        for kid in kids:
            node = self.node(kid)
            count = _integer(node.entries[b"/Count"]) if b"/Kids" in node.entries else 1
            if index < skipped + count:
                return node, skipped
            skipped += count
        raise IndexError("no such page")


class Foreign:
    """pyHanko's reader; raises one of :data:`UNREADABLE`."""

    def __init__(self, document: bytes) -> None:
        self.reader = PdfFileReader(io.BytesIO(document))
        if self.reader.last_startxref is None:
            raise ValueError("no cross-reference section")
        self.previous: int = self.reader.last_startxref
        self.size = int(self.reader.trailer["/Size"])
        self.streams = bool(self.reader.has_xref_stream)
        self.encrypted = bool(self.reader.encrypted)

    @cached_property
    def trailer(self) -> Entries:
        trailer = self.reader.trailer
        kept = generic.DictionaryObject({key: trailer.raw_get(key) for key in ("/Root", "/Info") if key in trailer})
        if "/ID" in trailer:
            kept["/ID"] = trailer["/ID"]
        return entries_of(kept)

    @cached_property
    def root(self) -> Node:
        reference = self.reader.root_ref
        return Node(reference.idnum, reference.generation, entries_of(self.reader.root))

    def node(self, reference: bytes) -> Node:
        return Node(*_reference(reference), entries_of(self._object(reference)))

    def _object(self, reference: bytes) -> generic.PdfObject:
        found: generic.PdfObject = self.reader.get_object(generic.Reference(*_reference(reference), self.reader))
        return found

    def array(self, reference: bytes) -> bytes:
        return canonical(self._object(reference))

    def offset(self, reference: bytes) -> int:
        found = self.reader.xrefs[generic.Reference(*_reference(reference))]
        if not isinstance(found, int):
            raise ValueError("an object within a stream")
        return found

    def stream(self, reference: bytes) -> bytes:
        found = self._object(reference)
        if not isinstance(found, generic.StreamObject):
            raise ValueError("no stream")
        return bytes(found.data)

    def page(self, index: int) -> Page:
        reference = self.reader.find_page_for_modification(index)[0].reference
        found = reference.get_object()
        left, bottom, right, top = (float(one) for one in find_inherited_value_in_tree(found, "/MediaBox", "/Parent"))
        return Page(Node(reference.idnum, reference.generation, entries_of(found)), (left, bottom, right, top))


def _reference(octets: bytes) -> tuple[int, int]:
    match = REFERENCE.fullmatch(octets)
    if match is None:
        raise NotPlain("no reference")
    return int(match[1]), int(match[2])


def _integer(octets: bytes) -> int:
    if not octets.isdigit():
        raise NotPlain("no integer")
    return int(octets)


def _box(numbers: tuple[bytes, ...]) -> Box:
    left, bottom, right, top = (float(one) for one in numbers)
    return left, bottom, right, top
