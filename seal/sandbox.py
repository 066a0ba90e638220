"""Judging untrusted files in processes that may take 7.5 seconds of CPU, 9.2 seconds in all, 512 MB and nothing else.

A room (:mod:`seal.sandbox_room`) is started on first use, loads the judging modules once and forks for every file, so a file
pays for a fork, not for a start. A child that crashes or is stopped by the kernel means UNREADABLE. This module
itself is light: it imports no parser.

What a file may take is counted in CPU, so that an honest one is not unreadable because the machine is busy. The limit on the wall is
what keeps the promise that any input whatever is answered within 10 seconds.
"""

import asyncio
import atexit
import contextlib
import datetime as dt
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from keys.base.errors import FujieError
from seal.comparison import Comparison
from seal.trust import Trust
from seal.verdict import Indication, Kind, Verdict, from_json, unreadable

MAX_FILE = 200 * 1024 * 1024
TIME_LIMIT = 9.2
"""Seconds on the wall for a file, all rooms together."""
CPU_LIMIT = 7.5
"""Seconds of CPU for a file in one room."""
_GRACE, _NO_TIME_LEFT = 0.3, 0.5
_MAX_ANSWER = 8 * 1024 * 1024
_LOADER = "-S", "-P", "-m"


class FileTooLarge(FujieError):
    code = "FILE_TOO_LARGE"
    status = 413
    public = ("文件过大，最大 200 MB。", "The file is too large; 200 MB is the limit.")


class VerificationBusy(FujieError):
    code = "VERIFICATION_BUSY"
    status = 503
    public = ("当前核验请求较多，请稍后再试。", "Too many files are being verified. Please try again shortly.")


@dataclass(frozen=True, slots=True)
class _Silent(Exception):
    """The child gave no answer."""

    reason: str


Silent = _Silent  # what callers of :meth:`Room.answer` catch


class Room:
    """One preloaded process; safe to use from several threads."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    @property
    def pid(self) -> int | None:
        """Of the room, once it was started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Begin loading now, so that the first file need not wait as long."""
        with self._lock:
            self._started()

    def judge(self, file: int, trust: Trust, at: dt.datetime, seconds: float) -> Verdict | None:
        """The verdict of the child on the open file; None: not for this room. Raises :class:`_Silent`."""
        answer = self.answer(file, trust, at, seconds)
        return from_json(answer) if answer is not None else None

    def answer(self, file: int, trust: Trust, at: dt.datetime, seconds: float) -> Any:
        """What the child says about the open file, as JSON. Raises :class:`_Silent`."""
        deadline = time.monotonic() + seconds
        terms = _memory_file(_terms(trust, at, seconds))
        inside, outside = -1, -1
        try:
            outside, inside = os.pipe()
            self._order([file, terms, inside])
            os.close(inside)
            inside = -1
            return json.loads(_read(outside, deadline + _GRACE))
        except ValueError as error:
            raise _Silent("stopped at a limit of time or memory") from error
        finally:
            for descriptor in (terms, inside, outside):
                if descriptor >= 0:
                    os.close(descriptor)

    def close(self) -> None:
        """End the room; the next file starts another."""
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
                    socket.send_fds(self._started(), [b"judge"], files)
                return
            except OSError:
                self.close()
        raise _Silent("the judging process cannot be started")

    def _started(self) -> socket.socket:
        if self._control is None or self._process is None or self._process.poll() is not None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                    [sys.executable, *_LOADER, self._module, str(theirs.fileno())],
                    # Neither secrets nor settings of ours: only where the modules are.
                    env={"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)},
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self._control = ours
        return self._control


CORE = Room("seal.sandbox_core")
FOREIGN = Room("seal.sandbox_foreign")
PAGES = Room("seal.sandbox_pages")
_NO_TIME = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)  # pages look the same at any time
_CHANGED = frozenset({"FORMAT_FAILURE", "HASH_FAILURE"})


def verify_file(file: int, trust: Trust, at: dt.datetime) -> Verdict:
    """The verdict on an open regular file (its descriptor; read from its start). Never raises for what is in the file."""
    if os.fstat(file).st_size > MAX_FILE:
        return unreadable(Kind.PDF, "larger than 200 MB")
    deadline = time.monotonic() + TIME_LIMIT
    try:
        for room in (CORE, FOREIGN):
            verdict = room.judge(file, trust, at, max(0.1, deadline - time.monotonic()))
            if verdict is not None:
                return verdict
    except _Silent as silence:
        return unreadable(Kind.PDF, silence.reason)
    return unreadable(Kind.PDF, "no judgement")


def verify_guarded(data: bytes, trust: Trust, at: dt.datetime) -> Verdict:
    """The verdict on these octets."""
    file = _memory_file(data)
    try:
        return verify_file(file, trust, at)
    finally:
        os.close(file)


def with_comparison(file: int, verdict: Verdict, seconds: float = TIME_LIMIT) -> Verdict:
    """The verdict on a PDF that was changed, with the pages that look different from the sealed revision; any other as it is.

    As it is, too, where no time is left to look.
    """
    if seconds < _NO_TIME_LEFT:
        return verdict
    if verdict.kind is not Kind.PDF or verdict.indication is not Indication.TOTAL_FAILED or verdict.sub_indication not in _CHANGED:
        return verdict
    with contextlib.suppress(_Silent, KeyError, TypeError, ValueError):
        answer = PAGES.answer(file, Trust(), _NO_TIME, seconds)
        if answer is not None:
            return replace(verdict, comparison=Comparison.from_json(answer))
    return verdict


class Gate:
    """For a server: at most ``running`` files at once and ``waiting`` more in line; whoever comes then is turned away."""

    def __init__(self, running: int = 2, waiting: int = 16) -> None:
        self._threads = ThreadPoolExecutor(running, thread_name_prefix="verify")
        self._free = running + waiting

    async def verify_file(self, file: int, trust: Trust, at: dt.datetime) -> Verdict:
        """The verdict on an open regular file. Raises :class:`VerificationBusy`."""
        if self._free <= 0:
            raise VerificationBusy
        self._free -= 1
        try:
            own = os.dup(file)  # whoever asked may go away and close theirs
            return await asyncio.get_running_loop().run_in_executor(self._threads, _verify_and_close, own, trust, at)
        finally:
            self._free += 1


def _verify_and_close(file: int, trust: Trust, at: dt.datetime) -> Verdict:
    deadline = time.monotonic() + TIME_LIMIT
    try:
        verdict = verify_file(file, trust, at)
        return with_comparison(file, verdict, deadline - time.monotonic())
    finally:
        os.close(file)


async def averify(data: bytes, trust: Trust, at: dt.datetime) -> Verdict:
    """:func:`verify_guarded` without blocking the event loop."""
    return await asyncio.to_thread(verify_guarded, data, trust, at)


def _terms(trust: Trust, at: dt.datetime, seconds: float) -> bytes:
    return json.dumps({"trust": trust.to_json(), "at": at.isoformat(), "seconds": seconds, "cpu": min(seconds, CPU_LIMIT)}).encode()


def _memory_file(content: bytes) -> int:
    file = os.memfd_create("fujie-verify", os.MFD_CLOEXEC)
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]
    return file


def _read(pipe: int, deadline: float) -> bytes:
    """Everything until the child closes its end. Raises ValueError past the deadline or a sane size."""
    parts: list[bytes] = []
    size = 0
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        part = os.read(pipe, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
        if (size := size + len(part)) > _MAX_ANSWER:
            break
    raise ValueError("no answer in time")
