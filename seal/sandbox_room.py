"""The inside of the sandbox: a process that has loaded what judging needs and forks one child for each file.

The child reads one file, judges it within limits of address space, CPU and wall time that the kernel enforces, writes the
verdict as JSON and ends. Nothing it learns outlives it. The room itself never looks at a file.
"""

import array
import contextlib
import datetime as dt
import json
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, Protocol

from seal.trust import Trust
from seal.verdict import Kind, unreadable


class Answer(Protocol):
    """What a room may say of a file."""

    def to_json(self) -> dict[str, Any]: ...


Judge = Callable[[bytes, Trust, dt.datetime], Answer | None]

MAX_FILE = 200 * 1024 * 1024
MEMORY = 512 * 1024 * 1024
_SLACK = 24 * 1024 * 1024  # what allocators and page tables take beside the address space we count
_ORDER_SIZE = 64
_FDS = 3


def serve(judge: Judge) -> None:
    """Take orders from the socket whose number is the first argument until its other end is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the children
    control = socket.socket(fileno=int(sys.argv[1]))
    while True:
        order, files = _receive(control)
        if not order:
            os._exit(0)  # nothing to tidy up, and extension modules complain when they are torn down
        if len(files) == _FDS and os.fork() == 0:
            _work(judge, *files)
        for file in files:
            os.close(file)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    descriptors = array.array("i")
    size = socket.CMSG_SPACE(_FDS * descriptors.itemsize)
    order, ancillary, _, _ = control.recvmsg(_ORDER_SIZE, size)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return order, list(descriptors)


def _work(judge: Judge, file: int, terms: int, result: int) -> None:
    """The child's whole life."""
    with contextlib.suppress(BaseException):
        conditions = json.loads(_whole(terms))
        _confine(conditions["seconds"], conditions["cpu"])
        answer = json.dumps(_answer(judge, file, conditions)).encode()
        with os.fdopen(result, "wb") as out:
            out.write(answer)
    os._exit(0)


def _answer(judge: Judge, file: int, conditions: dict[str, Any]) -> dict[str, Any] | None:
    try:
        answer = judge(_whole(file), Trust.from_json(conditions["trust"]), dt.datetime.fromisoformat(conditions["at"]))
    except Exception as error:  # parsers of hostile input fail in ways nobody lists; each of them means the same
        answer = unreadable(Kind.PDF, f"not readable: {type(error).__name__}")
    return answer.to_json() if answer else None


def _whole(file: int) -> bytes:
    size = os.fstat(file).st_size
    parts, offset = [], 0
    while offset < size and (part := os.pread(file, min(size - offset, 1 << 30), offset)):
        parts.append(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _confine(seconds: float, cpu: float) -> None:
    """After this the kernel ends the process when it takes too much of anything; ``seconds`` on the wall, ``cpu`` seconds of CPU."""
    logging.disable(logging.CRITICAL)
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    for ends, timer, limit in ((signal.SIGALRM, signal.ITIMER_REAL, seconds), (signal.SIGPROF, signal.ITIMER_PROF, cpu)):
        signal.signal(ends, signal.SIG_DFL)
        signal.setitimer(timer, limit)
    for what, limit in (
        (resource.RLIMIT_CPU, int(cpu) + 1),
        (resource.RLIMIT_AS, _address_space()),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (limit, limit))


def _address_space() -> int:
    """The address space now, and as much more as may become resident before the process holds ``MEMORY``."""
    with open("/proc/self/statm", "rb") as file:
        pages, resident = (int(number) * resource.getpagesize() for number in file.read().split()[:2])
    return pages + MEMORY - resident - _SLACK
