"""Reading rows out of an import, one at a time: CSV with a header line, or JSON lines (``certs.tables``)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import orjson

from certs.ingestion_rules import SEVERAL
from certs.tables import TOO_LONG, Table, TableRow, TableUnreadable, open_table
from keys.base.errors import FujieError

_KNOWN = frozenset({"ZZLXDM", "ZZBS", "ZZBH", "ZZMC", "CZZT", "CZZTDM"})
_CHUNK = 1 << 20


class ImportUnreadable(FujieError):
    """The file is neither a CSV with GB/T 36903 columns nor JSON lines."""

    code = "IMPORT_UNREADABLE"
    status = 422
    public = (
        "文件不是带 GB/T 36903 列名的 CSV，也不是 JSON Lines。",
        "The file is neither a CSV with GB/T 36903 column names nor JSON lines.",
    )


class SourceRow(NamedTuple):
    """One row: the ``line`` it ends on, its values by column, what is wrong with its shape, and how many octets are read so far."""

    line: int
    values: dict[str, str]
    fault: str
    octets: int

    @property
    def faults(self) -> tuple[str, ...]:
        """As flags of the row."""
        return () if not self.fault else ("row_too_long",) if self.fault == TOO_LONG else ("malformed_row",)


def file_digest(path: Path) -> bytes:
    """SHA-256 of the file, 32 octets."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def read_rows(path: Path, encoding: str = "") -> Iterator[SourceRow]:
    """The rows of a file; see :func:`rows_of`."""
    with path.open("rb") as file:
        yield from rows_of(file, encoding)


def rows_of(source: BinaryIO, encoding: str = "") -> Iterator[SourceRow]:
    """The rows of a stream. Blank lines are no rows. Raises :class:`ImportUnreadable` before the first row."""
    table = _opened(source, encoding)
    if table.header is None:
        return map(_text_row, table.rows)
    return map(SourceRow._make, table.rows)


def _opened(source: BinaryIO, encoding: str) -> Table:
    try:
        table = open_table(source, encoding)
    except TableUnreadable as error:
        raise ImportUnreadable(str(error)) from None
    if table.header is not None and not _KNOWN.intersection(table.header):
        raise ImportUnreadable("no known column")
    return table


def _text_row(row: TableRow) -> SourceRow:
    return SourceRow(row.line, {str(name): _text(value) for name, value in row.members.items()}, row.fault, row.octets)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return SEVERAL.join(_text(one) for one in value)
    return value if isinstance(value, str) else orjson.dumps(value).decode()
