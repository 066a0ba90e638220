"""The files that rows of an import name: documents of the issuer, which are kept as they are, or scans of paper.

A file lies beside or below the import file; a row can make nothing else of this machine a certificate. A scan waits in a queue until
it is sealed as a "copy of paper" (``certs.paper_copies``).
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from certs.ingestion_rows import Prepared
from keys.base.blobs import BlobStore
from keys.base.errors import InvalidInput

MAX_FILE = 64 << 20
DOCUMENTS = (b"%PDF", b"PK\x03\x04")  # PDF, OFD
PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\x00", b"MM\x00*", b"BM", b"RIFF")
SCANS = (b"%PDF", *PICTURES)
SCAN = ("certificate_id", "import_id", "scan_digest", "seal_code", "matter_code", "state", "attempts")
TABLES = (".csv", ".jsonl", ".ndjson", ".json")
SCAN_SUFFIXES = (".pdf", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")


class ScanFolderUnclear(InvalidInput):
    """A folder of scans has exactly one table that says what they are."""

    code = "SCAN_FOLDER_UNCLEAR"
    public = (
        "扫描件文件夹中须恰有一个说明表（.csv 或 .jsonl）。",
        "A folder of scans must hold exactly one table (.csv or .jsonl) that says what they are.",
    )


@dataclass(frozen=True, slots=True)
class Scans:
    """How scans are sealed: with which seal, under which matter."""

    seal_code: str
    matter_code: str


async def attach(blobs: BlobStore, folder: Path | None, batch: Prepared, *, scans: Scans | None, keep: bool) -> dict[int, bytes]:
    """Take in the files of a batch: hash by row. One that is not there, or of another kind, is flagged ``file_missing``."""
    hashes: dict[int, bytes] = {}
    for place, name in batch.files.items():
        data = await asyncio.to_thread(read_attached, folder, name, SCANS if scans else DOCUMENTS)
        if data is None:
            batch.add_flag(place, "file_missing")
        elif keep:
            hashes[place] = await blobs.put(data)
    return hashes


def read_attached(folder: Path | None, name: str, kinds: tuple[bytes, ...]) -> bytes | None:
    """The file beside or below the import file, if it is of one of the kinds."""
    if folder is None:
        return None
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file() or path.stat().st_size > MAX_FILE:
            return None
        data = path.read_bytes()
    except (OSError, ValueError):  # any text may stand there: too long for a name, not to be read, …
        return None
    return data if data.startswith(kinds) else None


def table_of(folder: Path) -> Path:
    """The table of a folder of scans. Raises :class:`ScanFolderUnclear`."""
    found = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix.lower() in TABLES and ".flagged." not in path.name]
    if len(found) != 1:
        raise ScanFolderUnclear(f"{len(found)} tables")
    return found[0]


def scans_below(folder: Path) -> Iterator[str]:
    """The scans of a folder, as its table would name them."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() in SCAN_SUFFIXES:
            yield path.relative_to(folder).as_posix()


def scan_line(certificate_id: str, import_id: str, digest: bytes, scans: Scans) -> str:
    """A waiting scan as COPY takes it, in the order of :data:`SCAN`."""
    return f"{certificate_id}\t{import_id}\t\\\\x{digest.hex()}\t{scans.seal_code}\t{scans.matter_code}\twaiting\t0\n"
