"""Where files are kept: addressed by the SHA-256 of their content, durable before anyone is told of them."""

import asyncio
import hashlib
import os
import secrets
from pathlib import Path
from typing import Protocol

from keys.base.errors import FujieError

_MODE = 0o600


class BlobDamaged(FujieError):
    """The stored file is not what its hash says, or is gone."""

    code = "DOCUMENT_DAMAGED"
    status = 500
    public = ("存储的文件已损坏，无法提供。", "The stored file is damaged and cannot be served.")


class BlobStore(Protocol):
    """Content-addressed storage. Hashes are SHA-256, 32 octets."""

    async def put(self, data: bytes) -> bytes:
        """Store ``data`` durably and answer its hash; storing it again changes nothing."""
        ...

    async def get(self, digest: bytes) -> bytes:
        """The file; raises :class:`BlobDamaged` when its content no longer has that hash or it is gone."""
        ...


class FolderBlobStore:
    """Files below ``root``: ``ab/cd/abcd….`` (hexadecimal SHA-256), readable by the service's user only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, data: bytes) -> bytes:
        return await asyncio.to_thread(self._put, data)

    async def get(self, digest: bytes) -> bytes:
        return await asyncio.to_thread(self._get, digest)

    def path(self, digest: bytes) -> Path:
        """Where the file of that hash lies."""
        name = digest.hex()
        return self._root / name[:2] / name[2:4] / name

    def _put(self, data: bytes) -> bytes:
        digest = hashlib.sha256(data).digest()
        target = self.path(digest)
        if _holds(target, digest):
            return digest
        _make_folders(target.parent, self._root)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            _write_durably(temporary, data)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
        return digest

    def _get(self, digest: bytes) -> bytes:
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError as missing:
            raise BlobDamaged(f"{digest.hex()} is gone") from missing
        if hashlib.sha256(data).digest() != digest:
            raise BlobDamaged(f"{digest.hex()} has other content")
        return data


def _holds(path: Path, digest: bytes) -> bool:
    # A file that a power cut left short is written again, not believed.
    try:
        return hashlib.sha256(path.read_bytes()).digest() == digest
    except FileNotFoundError:
        return False


def _make_folders(folder: Path, root: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A new folder lasts only once its name is on the disk as well.
    for made in (folder, folder.parent, root):
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
