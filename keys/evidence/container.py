"""The file an export is: an uncompressed tar (POSIX ustar) in its one canonical spelling. Pure.

Any ``tar`` opens it. We write it ourselves, member by member, so that it streams; and read it strictly: every header, every
octet of padding must be what we would have written, so that no octet of the file can be changed unseen.
"""

import functools
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from keys.base.errors import FujieError

BLOCK = 512
END = bytes(2 * BLOCK)
LARGEST = 256 * 1024 * 1024


class ExportMalformed(FujieError):
    """The file is not an export as we write them."""

    code = "EXPORT_MALFORMED"
    status = 422
    public = ("导出文件格式不正确或已损坏。", "The export is malformed or damaged.")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive as it stands there: its header, its octets, the padding behind them."""

    header: bytes
    data: bytes
    padding: bytes

    @property
    def octets(self) -> bytes:
        return self.header + self.data + self.padding

    def named(self) -> str:
        """Its name; raises ExportMalformed unless header and padding are in their canonical spelling."""
        name = self.header[:100].rstrip(b"\0")
        if not name.isascii() or self.header != _header(name.decode(), len(self.data)) or self.padding != bytes(len(self.padding)):
            raise ExportMalformed("a header or padding was changed")
        return name.decode()


@functools.lru_cache(4096)
def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def member(name: str, data: bytes) -> Member:
    return Member(_header(name, len(data)), data, bytes(-len(data) % BLOCK))


def members(file: BinaryIO) -> Iterator[Member]:
    """The members of a file, and nothing but them to its end; raises ExportMalformed."""
    while (header := file.read(BLOCK)) != END[:BLOCK]:
        try:
            size = int(header[124:135], 8)
        except ValueError as error:
            raise ExportMalformed("the file is cut off or no archive") from error
        if len(header) != BLOCK or not 0 <= size <= LARGEST:
            raise ExportMalformed("the file is cut off or no archive")
        data, padding = file.read(size), file.read(-size % BLOCK)
        if len(data) != size or len(padding) != -size % BLOCK:
            raise ExportMalformed("the file is cut off")
        yield Member(header, data, padding)
    if file.read(BLOCK + 1) != END[BLOCK:]:
        raise ExportMalformed("the file does not end where it should")
