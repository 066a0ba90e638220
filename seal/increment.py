"""One incremental update of a PDF, assembled octet by octet (ISO 32000-1 §7.5.6).

The base file stays as it is; objects are appended and a cross-reference section of the base's own kind closes the update.
Nothing depends on the clock, on chance or on the state of a library: equal input, equal octets.
"""
# mypy: allow-untyped-calls

import io
from collections.abc import Sequence
from functools import cached_property, lru_cache
from hashlib import sha256
from itertools import accumulate
from zlib import crc32

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from seal.pdf_reading import UNREADABLE, Foreign, Reading, read
from seal.pdf_syntax import members

__all__ = ["UNREADABLE", "Increment", "extended", "references", "serial", "stream", "text"]


class Increment:
    """Numbers objects, remembers their offsets, and writes the cross-reference section.

    ``document``  the base file; ``digest``: its SHA-256, where the caller has it
    ``reading``   what was read of it
    ``out``       the file so far: the base, a line end where it had none, and the objects written

    Raises one of :data:`UNREADABLE`.
    """

    def __init__(self, document: bytes, reading: Reading | None = None, digest: bytes | None = None) -> None:
        self.document = document
        self.reading = reading or read(document)
        self.out = bytearray(document)
        if not document.endswith((b"\n", b"\r")):
            self.out += b"\n"
        self._digest = digest
        self._next = self.reading.size
        self._offsets: dict[tuple[int, int], int] = {}

    @cached_property
    def reader(self) -> PdfFileReader:
        """pyHanko's reader of the base, made when it is first asked for."""
        return self.reading.reader if isinstance(self.reading, Foreign) else PdfFileReader(io.BytesIO(self.document))

    @property
    def root(self) -> generic.Reference:
        """The reference of the catalogue."""
        return generic.Reference(self.reading.root.number, self.reading.root.generation)

    def number(self) -> int:
        """A new object number, to be written later."""
        self._next += 1
        return self._next - 1

    def add(self, body: bytes) -> int:
        """Writes a new object and tells its number."""
        number = self.number()
        self.write(number, body)
        return number

    def add_streams(self, contents: tuple[bytes, ...]) -> range:
        """Writes a stream for each and tells their numbers. Every document under one seal has the same, which are spelled once."""
        first, at = self._next, len(self.out)
        octets, offsets = _spelled_streams(first, contents)
        self._next += len(contents)
        self._offsets.update(((number, 0), at + offset) for number, offset in zip(range(first, self._next), offsets, strict=True))
        self.out += octets
        return range(first, self._next)

    def write(self, number: int, body: bytes, generation: int = 0) -> int:
        """Writes an object, new or again, and tells the offset of its body in the file."""
        self._offsets[number, generation] = len(self.out)
        self.out += b"%d %d obj\n" % (number, generation)
        at = len(self.out)
        self.out += body
        self.out += b"\nendobj\n"
        return at

    def finish(self) -> bytearray:
        """The whole file, ended by a cross-reference table or stream, as the base has it. Nothing may be written after it."""
        at = len(self.out)
        identifier = self._identifier()
        if self.reading.streams:
            self._cross_reference_stream(at, identifier)
        else:
            self._cross_reference_table(identifier)
        self.out += b"startxref\n%d\n%%%%EOF\n" % at
        return self.out

    def _cross_reference_table(self, identifier: bytes) -> None:
        self.out += b"xref\n"
        for first, run in _runs(self._offsets):
            self.out += b"%d %d\n" % (first, len(run))
            for offset, generation in run:
                self.out += b"%010d %05d n\r\n" % (offset, generation)
        self.out += b"trailer\n<<%b%b>>\n" % (self._trailer(), identifier)

    def _cross_reference_stream(self, at: int, identifier: bytes) -> None:
        number = self.number()
        self._offsets[number, 0] = at
        runs = _runs(self._offsets)
        index = b" ".join(b"%d %d" % (first, len(run)) for first, run in runs)
        rows = b"".join(
            b"\x01" + offset.to_bytes(4, "big") + generation.to_bytes(2, "big") for _, run in runs for offset, generation in run
        )
        head = b"/Type/XRef/W[1 4 2]/Index[%b]%b%b" % (index, self._trailer(), identifier)
        self.out += b"%d 0 obj\n%b\nendobj\n" % (number, stream(rows, head))

    def _trailer(self) -> bytes:
        trailer = self.reading.trailer
        kept = b"".join(key + b" " + trailer[key] for key in (b"/Root", b"/Info") if key in trailer)
        return b"/Size %d%b/Prev %d" % (self._next, kept, self.reading.previous)

    def _identifier(self) -> bytes:
        """The first half stays; the second, which tells revisions apart, is derived from the base and the update (§14.4)."""
        if b"/ID" not in self.reading.trailer:
            return b""
        return b"/ID[%b<%b>]" % (members(self.reading.trailer[b"/ID"])[0], self._fingerprint().hex().encode())

    def _fingerprint(self) -> bytes:
        """Sixteen octets that differ between revisions; an identifier, not a protection."""
        base = self._digest or sha256(self.document).digest()
        with memoryview(self.out) as view:
            return base[:12] + crc32(view[len(self.document) :]).to_bytes(4, "big")


def _runs(offsets: dict[tuple[int, int], int]) -> list[tuple[int, list[tuple[int, int]]]]:
    """Cross-reference subsections: the first number of each and its (offset, generation) pairs."""
    runs: list[tuple[int, list[tuple[int, int]]]] = []
    for (number, generation), offset in sorted(offsets.items()):
        if not runs or runs[-1][0] + len(runs[-1][1]) != number:
            runs.append((number, []))
        runs[-1][1].append((offset, generation))
    return runs


@lru_cache(maxsize=128)
def _spelled_streams(first: int, contents: tuple[bytes, ...]) -> tuple[bytes, tuple[int, ...]]:
    """The objects one behind the other, numbered from ``first``, and where each begins."""
    objects = [b"%d 0 obj\n%b\nendobj\n" % (first + index, stream(one)) for index, one in enumerate(contents)]
    return b"".join(objects), tuple(accumulate(map(len, objects[:-1]), initial=0)) if objects else ()


def stream(data: bytes, head: bytes = b"") -> bytes:
    """A stream object's body; ``head``: further entries of its dictionary."""
    return b"<<%b/Length %d>>stream\n%b\nendstream" % (head, len(data), data)


def references(numbers: Sequence[int]) -> bytes:
    """``1 0 R 2 0 R``, what stands between the brackets of an array."""
    return b" ".join(b"%d 0 R" % number for number in numbers)


def text(value: str) -> bytes:
    """A PDF text string, UTF-16BE with its mark, in hexadecimal (ISO 32000-1 §7.9.2.2)."""
    return b"<feff" + value.encode("utf-16-be").hex().encode() + b">"


def serial(value: generic.PdfObject) -> bytes:
    """An object as PDF syntax."""
    out = io.BytesIO()
    value.write_to_stream(out, None)
    return out.getvalue()


def extended(dictionary: generic.DictionaryObject, additions: bytes, replaced: set[str]) -> bytes:
    """The dictionary without the entries ``replaced``, with ``additions`` (PDF syntax) behind the others."""
    kept = generic.DictionaryObject({key: dictionary.raw_get(key) for key in dictionary if key not in replaced})
    return serial(kept).rstrip().removesuffix(b">>") + additions + b">>"
