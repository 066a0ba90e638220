"""Where files are kept: addressed by the SHA-256 of their content, durable before anyone is told of them.

A file nobody refers to is not deleted but *retired*: it leaves the place where it is listed, and comes back by itself when somebody
stores it again or asks for it. Only what nobody asked for during a second period of grace is *forgotten*
(docs/decisions/0101-files-in-a-folder-or-s3.md).
"""

import asyncio
import contextlib
import datetime as dt
import errno
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from keys.base.errors import FujieError

RETIRED = "retired"
"""The folder, or the beginning of the names, of what was retired."""
_MODE = 0o600
_NAME = re.compile(r"[0-9a-f]{64}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_AT_ONCE = 500


class BlobDamaged(FujieError):
    """The stored file is not what its hash says, or is gone."""

    code = "DOCUMENT_DAMAGED"
    status = 500
    public = ("存储的文件已损坏，无法提供。", "The stored file is damaged and cannot be served.")


class BlobGone(BlobDamaged):
    """There is no file with that hash."""

    code = "DOCUMENT_GONE"
    public = ("存储的文件已丢失，无法提供。", "The stored file is gone and cannot be served.")


class StoreFull(FujieError):
    """The store takes no more. Nothing was written; whoever issues tries again by itself."""

    code = "STORE_FULL"
    status = 507
    public = ("文件存储空间已满，已受理的事项将自动重试。", "The file store is full. What was accepted is tried again by itself.")


class StoreUnreachable(FujieError):
    """The store does not answer, or refuses us. Nothing is lost; whoever issues tries again by itself."""

    code = "STORE_UNREACHABLE"
    status = 503
    public = ("文件存储暂时无法访问，请稍后再试。", "The file store cannot be reached at the moment. Please try again later.")

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": "10"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the list: SHA-256, octets, and when it was last stored or retired (UTC, by the store's own clock)."""

    digest: bytes
    size: int
    modified: dt.datetime


class BlobStore(Protocol):
    """Content-addressed storage. Hashes are SHA-256, 32 octets. Every method may raise :class:`StoreUnreachable`."""

    async def put(self, data: bytes) -> bytes:
        """Store ``data`` durably and answer its hash; storing it again changes nothing but its age. Raises :class:`StoreFull`."""
        ...

    async def get(self, digest: bytes) -> bytes:
        """The file; raises :class:`BlobDamaged` when its content no longer has that hash, :class:`BlobGone` when there is none."""
        ...

    def stored(self, *, retired: bool = False) -> AsyncIterator[list[Stored]]:
        """Every file there is, in batches and no order; ``retired``: those that were retired instead."""
        ...

    async def retire(self, digest: bytes) -> None:
        """Take a file out of the list; :meth:`get` still finds it."""
        ...

    async def forget(self, digest: bytes) -> None:
        """Delete a file for good, retired or not; one that is not there is no error."""
        ...

    async def tidy(self, before: dt.datetime) -> int:
        """Remove what writers that were killed left half-written before that instant; how many."""
        ...


def digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def parse_name(name: str) -> bytes | None:
    """The hash a file is named by; None for any other name."""
    return bytes.fromhex(name) if _NAME.fullmatch(name) else None


class FolderBlobStore:
    """Files below ``root``: ``ab/cd/abcd….`` (hexadecimal SHA-256), readable by the service's user only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, data: bytes) -> bytes:
        return await asyncio.to_thread(self._put, data)

    async def get(self, digest: bytes) -> bytes:
        return await asyncio.to_thread(self._get, digest)

    async def stored(self, *, retired: bool = False) -> AsyncIterator[list[Stored]]:
        folders = await asyncio.to_thread(lambda: sorted((self._root / RETIRED if retired else self._root).glob("??/??")))
        batch: list[Stored] = []
        for folder in folders:
            batch += await asyncio.to_thread(_listed, folder)
            if len(batch) >= _AT_ONCE:
                yield batch
                batch = []
        if batch:
            yield batch

    async def retire(self, digest: bytes) -> None:
        await asyncio.to_thread(self._retire, digest)

    async def forget(self, digest: bytes) -> None:
        await asyncio.to_thread(self._forget, digest)

    async def tidy(self, before: dt.datetime) -> int:
        return await asyncio.to_thread(self._tidy, before)

    def path(self, digest: bytes, *, retired: bool = False) -> Path:
        """Where the file of that hash lies."""
        name = digest.hex()
        return (self._root / RETIRED if retired else self._root) / name[:2] / name[2:4] / name

    def _put(self, data: bytes) -> bytes:
        digest = digest_of(data)
        target = self.path(digest)
        with _named_errors():
            if not _holds(target, digest) or not _touched(target):
                self._write(target, data)
        return digest

    def _write(self, target: Path, data: bytes) -> None:
        _make_folders(target.parent, self._root)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            _write_durably(temporary, data)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)

    def _get(self, digest: bytes) -> bytes:
        with _named_errors():
            data = _read(self.path(digest))
            if data is None:
                data = _read(self.path(digest, retired=True))
                # Somebody retired it meanwhile, and it was brought back in between: look once more where it belongs.
                data = _read(self.path(digest)) if data is None else data
        if data is None:
            raise BlobGone(f"{digest.hex()} is gone")
        if digest_of(data) != digest:
            raise BlobDamaged(f"{digest.hex()} has other content")
        return data

    def _retire(self, digest: bytes) -> None:
        source, target = self.path(digest), self.path(digest, retired=True)
        with _named_errors(), contextlib.suppress(FileNotFoundError):
            _make_folders(target.parent, self._root)
            source.replace(target)
            os.utime(target)
            _sync_folder(target.parent)

    def _forget(self, digest: bytes) -> None:
        for retired in (False, True):
            path = self.path(digest, retired=retired)
            with _named_errors(), contextlib.suppress(FileNotFoundError):
                path.unlink()
                _sync_folder(path.parent)

    def _tidy(self, before: dt.datetime) -> int:
        old = [path for path in self._root.glob("??/??/.*") if _modified(path) < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    """What the operating system says, by our names."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(error.strerror or "") from error
        raise StoreUnreachable(f"{type(error).__name__}: {error.strerror}") from error


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _listed(folder: Path) -> list[Stored]:
    found: list[Stored] = []
    for path in folder.iterdir():
        digest = parse_name(path.name)
        with contextlib.suppress(FileNotFoundError):
            if digest is not None:
                found.append(Stored(digest, path.stat().st_size, _modified(path)))
    return found


def _modified(path: Path) -> dt.datetime:
    try:
        return dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
    except FileNotFoundError:
        return dt.datetime.max.replace(tzinfo=dt.UTC)


def _touched(path: Path) -> bool:
    """The file is as young as if it had been stored now; False: it was retired this instant."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _holds(path: Path, digest: bytes) -> bool:
    # A file that a power cut left short is written again, not believed.
    data = _read(path)
    return data is not None and digest_of(data) == digest


def _make_folders(folder: Path, root: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A new folder lasts only once its name is on the disk as well.
    for made in (folder, folder.parent, folder.parent.parent, root):
        _sync_folder(made)


def _write_durably(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
