"""Uploaded documents become ones that may be sealed, in child processes that may take a minute, 1 GB and nothing else.

``rebuild`` answers the document that shows the same and holds nothing hidden (docs/decisions/0083), or a refusal with a stable
code; ``draw`` answers pictures of pages. The file that was sent is never changed. This module is light: it imports no parser.
"""

import asyncio
import atexit
import contextlib
import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from keys.base.errors import FujieError
from seal.sanitising_errors import REFUSALS, DocumentTooLarge, NotRebuildable, RebuildingBusy, TooComplex

__all__ = ["DocumentTooLarge", "Limits", "NotRebuildable", "Rebuilder", "RebuildingBusy", "Rebuilt"]

_GRACE = 0.5
_LOADER = "-S", "-P", "-m", "seal.rebuilding_room"
_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a document may be and take. ``octets``: of the file; ``memory``: octets of the child; ``seconds``: wall and CPU."""

    octets: int = 50 * _MEGABYTE
    pages: int = 1000
    seconds: float = 60.0
    memory: int = 1024 * _MEGABYTE


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """``source_hash`` and ``document_hash``: SHA-256, 32 octets; ``pages``: width and height in mm; ``removed``: counts by kind;
    ``not_embedded``: fonts that every reader replaces by its own."""

    pdf: bytes
    source_hash: bytes
    document_hash: bytes
    pages: tuple[tuple[float, float], ...]
    removed: dict[str, int]
    not_embedded: tuple[str, ...]


class Rebuilder:
    """At most ``running`` documents at once and ``waiting`` more in line; whoever comes then is turned away."""

    def __init__(self, limits: Limits | None = None, *, running: int = 2, waiting: int = 64) -> None:
        self.limits = limits or Limits()
        self._room = _Room()
        self._threads = ThreadPoolExecutor(running, thread_name_prefix="rebuild")
        self._free = running + waiting

    async def rebuild(self, source: bytes) -> Rebuilt:
        """Raises :class:`NotRebuildable` and its kin, :class:`DocumentTooLarge`, :class:`RebuildingBusy`."""
        if len(source) > self.limits.octets:
            raise DocumentTooLarge(f"{len(source)} octets", limit=self.limits.octets)
        head, (pdf,) = await self._do(source, {"work": "rebuild", "pages": self.limits.pages})
        return Rebuilt(
            pdf=pdf,
            source_hash=hashlib.sha256(source).digest(),
            document_hash=hashlib.sha256(pdf).digest(),
            pages=tuple((float(width), float(height)) for width, height in head["pages"]),
            removed=dict(head["removed"]),
            not_embedded=tuple(head["not_embedded"]),
        )

    async def draw(self, pdf: bytes, numbers: Sequence[int], dpi: int) -> list[bytes]:
        """Pages, counted from 0, as PNG. Raises what :meth:`rebuild` raises, and ``DOCUMENT_PAGE_MISSING``."""
        _, pictures = await self._do(pdf, {"work": "draw", "numbers": list(numbers), "dpi": dpi})
        return pictures

    async def _do(self, document: bytes, terms: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        if self._free <= 0:
            raise RebuildingBusy
        self._free -= 1
        terms |= {"seconds": self.limits.seconds, "memory": self.limits.memory}
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._room.work, document, terms)
        finally:
            self._free += 1

    def close(self) -> None:
        """End the room and its threads."""
        self._room.close()
        self._threads.shutdown(wait=False)


class _Room:
    """One preloaded process (:mod:`seal.rebuilding_room`); safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def work(self, document: bytes, terms: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """The child's answer. Raises the refusal it names; silence is :class:`TooComplex`."""
        deadline = time.monotonic() + terms["seconds"] + _GRACE
        most = 4 * len(document) + 256 * _MEGABYTE
        files = [_memory_file(document), _memory_file(json.dumps(terms).encode())]
        outside, inside = os.pipe()
        try:
            self._order([*files, inside])
            os.close(inside)
            inside = -1
            return _understood(_read(outside, deadline, most))
        finally:
            for descriptor in (*files, outside, inside):
                if descriptor >= 0:
                    os.close(descriptor)

    def close(self) -> None:
        """End the room; the next document starts another."""
        with self._lock:
            if self._control is not None:
                self._control.close()
            if self._process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(1)
                self._process.kill()
                self._process.wait()
            self._control = self._process = None

    def _order(self, files: list[int]) -> None:
        """Hand the descriptors over; a room that has died is replaced once."""
        for _ in range(2):
            try:
                with self._lock:
                    socket.send_fds(self._started(), [b"work"], files)
                return
            except OSError:
                self.close()
        raise RebuildingBusy("the room cannot be started")

    def _started(self) -> socket.socket:
        if self._control is None or self._process is None or self._process.poll() is not None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                    [sys.executable, *_LOADER, str(theirs.fileno())],
                    # Neither secrets nor settings of ours: only where the modules are.
                    env={"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)},
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self._control = ours
        return self._control


def _understood(answer: bytes) -> tuple[dict[str, Any], list[bytes]]:
    line, separator, rest = answer.partition(b"\n")
    if not separator:
        raise TooComplex("ended by a limit or by a fault")
    head: dict[str, Any] = json.loads(line)
    if "code" in head:
        refusal: type[FujieError] = REFUSALS.get(head["code"], NotRebuildable)
        raise refusal(head["detail"], **head["extra"])
    parts, at = [], 0
    for size in head["sizes"]:
        parts.append(rest[at : at + size])
        at += size
    if at != len(rest):
        raise TooComplex("ended while it answered")
    return head, parts


def _memory_file(content: bytes) -> int:
    file = os.memfd_create("fujie-document", os.MFD_CLOEXEC)
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]
    return file


def _read(pipe: int, deadline: float, most: int) -> bytes:
    """Everything until the child closes its end; what was read so far, past the deadline or a sane size."""
    parts: list[bytes] = []
    size = 0
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        part = os.read(pipe, 1 << 20)
        if not part or (size := size + len(part)) > most:
            break
        parts.append(part)
    return b"".join(parts)
