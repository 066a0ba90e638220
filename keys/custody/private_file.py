"""Secrets in files that only their owner can read, and secrets that are in no file at all.

A secret from the environment is moved into memory that has a path (memfd_create(2)): the processes we start may read it there
under the same rules as a file's, while it stands neither on a disk, nor in the environment they inherit, nor in what they are sent.
"""

import os
import stat
from pathlib import Path

from keys.custody.errors import KeyFileTooOpen, KeyFileUnusable


def read_private(path: Path, limit: int) -> bytes:
    """At most ``limit`` octets of a plain file that belongs to us or root and is closed to all others.

    Raises ``KeyFileUnusable``, ``KeyFileTooOpen``.
    """
    try:
        with path.open("rb") as file:
            _refuse_wide(path, os.fstat(file.fileno()))
            return file.read(limit)
    except OSError as error:
        raise KeyFileUnusable(f"{path}: {error.strerror}") from error


def _refuse_wide(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileUnusable(f"{path} is not a plain file")
    if found.st_uid not in (os.geteuid(), 0):
        raise KeyFileTooOpen(f"{path} belongs to another user")
    if found.st_mode & 0o077:
        raise KeyFileTooOpen(f"{path} has mode {stat.S_IMODE(found.st_mode):04o}; only its owner may read it: chmod 600")


def in_memory(name: str, secret: bytes) -> Path:
    """A path in /proc under which this process and its children (same user) can read ``secret`` for as long as it lives."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    os.fchmod(descriptor, 0o600)
    os.write(descriptor, secret)
    return Path(f"/proc/{os.getpid()}/fd/{descriptor}")
