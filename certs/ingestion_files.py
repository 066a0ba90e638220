"""Reading rows out of an import file, one at a time: CSV with a header line, or JSON lines."""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from certs.ingestion_rules import SEVERAL
from keys.base.errors import FujieError

_KNOWN = frozenset({"ZZLXDM", "ZZBS", "ZZBH", "ZZMC", "CZZT", "CZZTDM"})
_CHUNK = 1 << 20
_MAX_LINE = 1 << 20


class ImportUnreadable(FujieError):
    """The file is neither a CSV with GB/T 36903 columns nor JSON lines."""

    code = "IMPORT_UNREADABLE"
    status = 422
    public = (
        "文件不是带 GB/T 36903 列名的 CSV，也不是 JSON Lines。",
        "The file is neither a CSV with GB/T 36903 column names nor JSON lines.",
    )


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row: the ``line`` it ends on, its values by column, whether its shape is broken, and how many octets are read so far."""

    line: int
    values: dict[str, str]
    malformed: bool
    octets: int


def file_digest(path: Path) -> bytes:
    """SHA-256 of the file, 32 octets."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def read_rows(path: Path, encoding: str = "utf-8") -> Iterator[SourceRow]:
    """The rows of a file. Blank lines are no rows; characters that cannot be decoded become U+FFFD and are flagged later."""
    with path.open("rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    lines = _Lines(path, encoding)
    yield from _json_rows(lines) if start.startswith(b"{") else _csv_rows(lines)


class _Lines:
    """Decoded lines that count their octets."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path, self._encoding = path, encoding
        self.octets = 0

    def __iter__(self) -> Iterator[str]:
        with self._path.open("rb") as file:
            while line := file.readline(_MAX_LINE):
                text = line.decode(self._encoding, "replace")
                if not self.octets:
                    text = text.removeprefix("\ufeff")
                self.octets += len(line)
                yield text


def _csv_rows(lines: _Lines) -> Iterator[SourceRow]:
    reader = csv.reader(lines)
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise ImportUnreadable("the header cannot be read") from error
    if not _KNOWN.intersection(header):
        raise ImportUnreadable("no known column")
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield SourceRow(reader.line_num, {}, True, lines.octets)
            continue
        if cells:
            yield SourceRow(reader.line_num, dict(zip(header, cells, strict=False)), len(cells) != len(header), lines.octets)


def _json_rows(lines: _Lines) -> Iterator[SourceRow]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            found = None
        values = {str(name): _text(value) for name, value in found.items()} if isinstance(found, dict) else {}
        yield SourceRow(number, values, not isinstance(found, dict), lines.octets)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return SEVERAL.join(_text(one) for one in value)
    return value if isinstance(value, str) else orjson.dumps(value).decode()
