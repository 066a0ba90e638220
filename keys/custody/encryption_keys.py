"""The files of the key-encryption key. There is one, but for the time of a change:

    ``FILE``            the key-encryption key
    ``FILE.next``       its successor, while keys are wrapped under it: what is made meanwhile is, too
    ``FILE.previous``   its predecessor, kept until every process has read the new one

A crash at any moment leaves every key that anything is wrapped under on the disk. Each step makes durable what the next one
relies on. A process reads the files again when they changed, and remembers every key it ever read.
"""

import datetime as dt
import hashlib
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.custody.errors import KeyFileExists, KeyFileUnusable
from keys.custody.private_file import read_private

KEK_OCTETS = 32


class EncryptionKeys:
    """The key-encryption keys of one home. ``path`` must hold one (``KeyFileUnusable``, ``KeyFileTooOpen``)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[bytes, AESGCM] = {}
        self._seen: tuple[object, ...] = ()
        self._sealing = self._read(required=True)

    @property
    def next(self) -> Path:
        return self.path.with_name(self.path.name + ".next")

    @property
    def previous(self) -> Path:
        return self.path.with_name(self.path.name + ".previous")

    def sealing(self) -> AESGCM:
        """The key that wraps now: the successor, once there is one."""
        self.reread()
        return self._sealing

    def opening(self) -> list[AESGCM]:
        """Every key that may have wrapped something, the present one first."""
        return [self._sealing, *(one for one in self._known.values() if one is not self._sealing)]

    def reread(self) -> bool:
        """Read the files if they changed; whether they had."""
        if self._stamps() == self._seen:
            return False
        self._sealing = self._read(required=False)
        return True

    def _stamps(self) -> tuple[object, ...]:
        return tuple(_stamp(path) for path in (self.next, self.path, self.previous))

    def _read(self, *, required: bool) -> AESGCM:
        self._seen = self._stamps()  # before reading: what changes meanwhile is read again the next time
        read = map(_read_if_there, (self.next, self.path, self.previous))  # in the order in which a key moves: it cannot slip by
        found = [self._remember(kek) for kek in read if kek is not None]
        if not found and required:
            read_key_file(self.path)  # says why not
        return found[0] if found else self._sealing

    def _remember(self, kek: bytes) -> AESGCM:
        return self._known.setdefault(hashlib.sha256(kek).digest(), AESGCM(kek))

    def begin(self) -> None:
        """Make the successor, if there is none yet: from now on keys are wrapped under it."""
        if not self.next.exists():
            write_key_file(self.next, secrets.token_bytes(KEK_OCTETS))
        self.reread()

    def switch(self) -> None:
        """The successor takes its place; the old key is kept beside it. Only when nothing is wrapped under the old one any more."""
        if not (self.previous.exists() and self.previous.samefile(self.path)):
            os.link(self.path, self.previous)
            _make_durable(self.path.parent)
        self.next.rename(self.path)
        _make_durable(self.path.parent)
        self.reread()

    def kept_since(self) -> dt.datetime | None:
        """When the old key was put aside; None where there is none."""
        try:
            return dt.datetime.fromtimestamp(self.previous.stat().st_ctime, dt.UTC)
        except FileNotFoundError:
            return None

    def forget_previous(self) -> None:
        """Overwrite and remove the old key. Whoever has a copy, a backup for instance, still has it.

        With random octets: who reads the file before it is gone takes them for a key, so nobody may know them.
        """
        with self.previous.open("r+b") as file:
            file.write(secrets.token_bytes(KEK_OCTETS))
            file.flush()
            os.fsync(file.fileno())
        self.previous.unlink()
        _make_durable(self.path.parent)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read_if_there(path: Path) -> bytes | None:
    """The key in ``path``; None where there is none, or none any more: other processes rename and remove them."""
    try:
        return read_key_file(path)
    except KeyFileUnusable as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        return None


def read_key_file(path: Path) -> bytes:
    """The key-encryption key in ``path``. Raises ``KeyFileUnusable``, ``KeyFileTooOpen``."""
    kek = read_private(path, KEK_OCTETS + 1)
    if len(kek) != KEK_OCTETS:
        raise KeyFileUnusable(f"{path}: a key-encryption key has {KEK_OCTETS} octets")
    return kek


def write_key_file(path: Path, kek: bytes) -> None:
    """Written beside its place, made durable, then linked there: no crash leaves half a key, no second caller replaces the first's."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(kek)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError as error:
        raise KeyFileExists(f"{path} exists") from error
    finally:
        draft.unlink()
    _make_durable(path.parent)


def _make_durable(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
