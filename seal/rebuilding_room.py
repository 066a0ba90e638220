"""The inside of the room in which uploaded documents are rebuilt and drawn: it forks one child for each, and never looks itself.

A child has one document, limits of address space, CPU and wall time that the kernel enforces, no files, no secrets and no
settings. Its answer is a line of JSON, and after it the octets it speaks of.
"""

import array
import contextlib
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from keys.base.errors import FujieError
from seal.pictures_of_pages import pages_as_png, require_same_pictures
from seal.sanitising import sanitise
from seal.sanitising_errors import TooComplex

_FDS = 3
_ORDER_SIZE = 64
_SLACK = 24 << 20
Answer = tuple[dict[str, Any], list[bytes]]


def rebuild(document: bytes, terms: dict[str, Any]) -> Answer:
    """Sanitise, then hold the pictures of both against each other."""
    made = sanitise(document, terms["pages"])
    require_same_pictures(document, made.pdf)
    return {"pages": made.pages, "removed": made.removed, "not_embedded": made.not_embedded}, [made.pdf]


def draw(document: bytes, terms: dict[str, Any]) -> Answer:
    return {}, list(pages_as_png(document, terms["numbers"], terms["dpi"]))


WORK: dict[str, Callable[[bytes, dict[str, Any]], Answer]] = {"rebuild": rebuild, "draw": draw}


def serve(control: socket.socket) -> None:
    """Take orders until the other end is closed: the document, the terms, the pipe for the answer."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the children
    while True:
        order, files = _receive(control)
        if not order:
            os._exit(0)
        if len(files) == _FDS and os.fork() == 0:
            control.close()
            _work(*files)
        for file in files:
            os.close(file)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    descriptors = array.array("i")
    order, ancillary, _, _ = control.recvmsg(_ORDER_SIZE, socket.CMSG_SPACE(_FDS * descriptors.itemsize))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return order, list(descriptors)


def _work(document: int, terms: int, result: int) -> None:
    """The child's whole life."""
    with contextlib.suppress(BaseException):
        conditions = json.loads(_whole(terms))
        _confine(conditions)
        head, parts = _answer(document, conditions)
        head["sizes"] = [len(part) for part in parts]
        with os.fdopen(result, "wb") as out:
            out.write(json.dumps(head).encode() + b"\n")
            for part in parts:
                out.write(part)
    os._exit(0)


def _answer(document: int, conditions: dict[str, Any]) -> Answer:
    """What the work gives, or the code of its refusal; only a crash or a limit of the kernel gives nothing."""
    try:
        return WORK[conditions["work"]](_whole(document), conditions)
    except FujieError as error:
        return {"code": error.code, "detail": error.detail, "extra": error.extra}, []
    except (MemoryError, RecursionError) as error:
        return {"code": TooComplex.code, "detail": type(error).__name__, "extra": {}}, []


def _whole(file: int) -> bytes:
    size, parts, offset = os.fstat(file).st_size, [], 0
    while offset < size and (part := os.pread(file, min(size - offset, 1 << 30), offset)):
        parts.append(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _confine(conditions: dict[str, Any]) -> None:
    """After this the kernel ends the process when it takes too much of anything."""
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, conditions["seconds"])
    whole_seconds = int(conditions["seconds"]) + 1
    for what, limit in (
        (resource.RLIMIT_CPU, whole_seconds),
        (resource.RLIMIT_AS, _address_space(conditions["memory"])),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(what, (limit, limit))


def _address_space(memory: int) -> int:
    """The address space now, and as much more as may become resident before the process holds ``memory``."""
    with open("/proc/self/statm", "rb") as file:
        pages, resident = (int(number) * resource.getpagesize() for number in file.read().split()[:2])
    return pages + memory - resident - _SLACK


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
