"""Tables that somebody brings: CSV with a header line, or JSON lines, read one row at a time from a stream of any length.

* UTF-8, GB 18030 (so GBK and GB 2312) and UTF-16, with or without a mark. What is not told is found out from the first megabyte: the
  lines outside ASCII vote, because a line of one encoding is hardly ever a line of the other. What cannot be decoded becomes U+FFFD.
* Any line ends, mixed: CR LF, LF, CR.
* A row of at most :data:`LONGEST_ROW` octets. A longer line is passed over and told as one row with a fault.
* A quotation mark that is never closed swallows nothing: its line is told as a fault, and the lines after it are read again.

Memory is bounded by the longest row, whatever the file.
"""

import codecs
import contextlib
import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, cast

import orjson

LONGEST_ROW = 1 << 17
MOST_LINES = 1000
"""A row that goes on over more lines than that has a quotation mark that was never closed."""
SAMPLE = 1 << 20
TOO_LONG, UNREADABLE, WRONG_CELLS = "too long", "unreadable", "wrong number of cells"
_CHUNK = 1 << 18
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)")
# A CR at the very end of what was read may be the first half of a CR LF.
_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (b"\x84\x31\x95\x33", "gb18030"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class TableRow(NamedTuple):
    """One row: the ``line`` it ends on, its members by column (text, of JSON any value), and a ``fault`` where its shape is broken.

    ``octets``: how much of the file is read when it ends.
    """

    line: int
    members: dict[str, Any]
    fault: str = ""
    octets: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A table that was opened. ``header``: the columns of a CSV; None for JSON lines, whose rows name their own."""

    encoding: str
    header: tuple[str, ...] | None
    rows: Iterator[TableRow]


class TableUnreadable(ValueError):
    """Neither a CSV with a header nor JSON lines. The caller says so in its own words."""


def open_table(source: BinaryIO, encoding: str = "") -> Table:
    """Read the header, and the rows as they are asked for. ``encoding`` empty: found out. Raises :class:`TableUnreadable`."""
    sample = source.read(SAMPLE)
    mark, chosen = _chosen(sample, encoding)
    lines = _Lines(sample[len(mark) :], source, chosen, len(mark))
    first = sample[len(mark) :].lstrip(b"\x00 \t\r\n\xff\xfe")
    if first.startswith(b"{"):
        return Table(chosen, None, _json_rows(lines))
    header, reader = _header(lines)
    return Table(chosen, header, _csv_rows(lines, header, reader))


def _chosen(sample: bytes, encoding: str) -> tuple[bytes, str]:
    """The mark at the beginning, and the encoding."""
    mark, marked = next(((mark, name) for mark, name in _MARKS if sample.startswith(mark)), (b"", ""))
    if marked == "utf-16":
        return b"", "utf-16"  # its decoder needs the mark
    if marked == "gb18030":
        return mark, encoding or marked
    return mark, encoding or _voted(sample[len(mark) :])


def _voted(sample: bytes) -> str:
    """A mark of UTF-8 decides nothing: programs write it before GBK too."""
    whole = sample[: sample.rfind(b"\n") + 1] if len(sample) > SAMPLE // 2 else sample  # the last line may be cut in a character
    lines = [line for line in whole.split(b"\n") if not line.isascii()]
    chinese = sum(not _decodes(line, "utf-8") and _decodes(line, "gb18030") for line in lines)
    return "gb18030" if chinese * 2 > len(lines) else "utf-8"


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


class _RowTooLong(Exception):
    """The row under way cannot be read: its line is too long, or it goes on for too many lines."""


class _Lines:
    """Decoded lines, each with its end as LF. ``taken`` holds those of the row under way, so that they can be read again."""

    def __init__(self, begun: bytes, source: BinaryIO, encoding: str, octets: int) -> None:
        self._pieces = _split(begun, source, encoding)
        self._encoding = "utf-8" if encoding == "utf-16" else encoding
        self._again: deque[tuple[str | None, int]] = deque()
        self.taken: list[tuple[str | None, int]] = []
        self.number, self.octets, self._size = 0, octets, 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line, octets = self._again.popleft() if self._again else self._next()
        self.number += 1
        self.octets += octets
        self._size += octets
        self.taken.append((line, octets))
        if line is None or self._size > LONGEST_ROW or len(self.taken) > MOST_LINES:
            raise _RowTooLong
        return line

    def _next(self) -> tuple[str | None, int]:
        piece, octets = next(self._pieces)
        if piece is None:
            return None, octets
        return piece.rstrip(b"\r\n").decode(self._encoding, "replace") + "\n", octets

    def begin_row(self) -> None:
        self.taken, self._size = [], 0

    def keep_first(self) -> None:
        """Of the row under way only the first line was one: the others are read again, as rows of their own."""
        rest = self.taken[1:]
        self.number -= len(rest)
        self.octets -= sum(octets for _, octets in rest)
        self._again.extendleft(reversed(rest))
        self.begin_row()


def _split(begun: bytes, source: BinaryIO, encoding: str) -> Iterator[tuple[bytes | None, int]]:
    """Lines with their ends and sizes; None for one that is longer than a row may be."""
    held, passed = b"", 0  # what is not yet a line; how much of a line that is too long was passed over
    for chunk in _chunks(begun, source, encoding):
        held += chunk
        if passed:
            end = _END.search(held)
            if end is None:
                passed, held = passed + len(held) - 1, held[-1:]
                continue
            yield None, passed + end.end()
            held, passed = held[end.end() :], 0
        whole = max(held.rfind(b"\n"), held.rfind(b"\r", 0, -1)) + 1  # no line is looked for where none ends
        for found in _LINE.finditer(held, 0, whole):
            size = found.end() - found.start()
            yield (found.group() if size <= LONGEST_ROW else None), size
        held = held[whole:]
        if len(held) > LONGEST_ROW:
            passed, held = len(held) - 1, held[-1:]
    if passed or held:
        yield (None if passed else held), passed + len(held)


def _chunks(begun: bytes, source: BinaryIO, encoding: str) -> Iterator[bytes]:
    decode = codecs.getincrementaldecoder("utf-16")("replace").decode if encoding == "utf-16" else None
    chunk = begun
    while chunk:
        yield decode(chunk).encode("utf-8", "replace") if decode else chunk
        chunk = source.read(_CHUNK)


def _header(lines: _Lines) -> tuple[tuple[str, ...], Callable[[Iterable[str]], Any]]:
    lines.begin_row()
    try:
        first = next(lines, "")
        separator = next((one for one in "\t;" if one in first and "," not in first), ",")
        cells = next(csv.reader([first], delimiter=separator), [])
    except (_RowTooLong, csv.Error):
        raise TableUnreadable("the header cannot be read") from None
    return tuple(name.strip() for name in cells), lambda of: csv.reader(of, delimiter=separator, strict=True)


def _csv_rows(lines: _Lines, header: tuple[str, ...], reader_of: Callable[[Iterable[str]], Any]) -> Iterator[TableRow]:
    reader, width = reader_of(lines), len(header)
    while True:
        lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (_RowTooLong, csv.Error):
            cells = None
        if cells is not None and len(cells) == width:
            yield TableRow(lines.number, dict(zip(header, cells, strict=True)), "", lines.octets)
        elif cells != []:
            reader = reader_of(lines)
            yield _broken(lines, header, reader_of, cells)


def _broken(lines: _Lines, header: tuple[str, ...], reader_of: Callable[[Iterable[str]], Any], cells: list[str] | None) -> TableRow:
    """What can be told of a row that is none: of several lines only the first counts, and what its cells seem to be."""
    first = lines.taken[0][0]
    lines.keep_first()
    if first is None:
        return TableRow(lines.number, {}, TOO_LONG, lines.octets)
    if cells is None:
        with contextlib.suppress(csv.Error):
            cells = next(reader_of([first.replace('"', "")]), [])
    members = dict(zip(header, cells or [], strict=False))
    return TableRow(lines.number, members, UNREADABLE if len(cells or []) == len(header) else WRONG_CELLS, lines.octets)


def _json_rows(lines: _Lines) -> Iterator[TableRow]:
    while True:
        lines.begin_row()
        try:
            line = next(lines)
        except StopIteration:
            return
        except _RowTooLong:
            yield TableRow(lines.number, {}, TOO_LONG, lines.octets)
            continue
        if not line.strip():
            continue
        found = read_object(line)
        yield TableRow(lines.number, found or {}, "" if found is not None else UNREADABLE, lines.octets)


def read_object(text: str) -> dict[str, Any] | None:
    """A JSON object; None for anything else."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return cast(dict[str, Any], found) if isinstance(found, dict) else None
