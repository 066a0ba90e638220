"""CPU time that other processes have taken, from the kernel's own clocks.

A live process is read through its CPU clock (nanoseconds, all threads); children that ended and were waited for are added
from ``/proc/<pid>/stat``. A process that ignores SIGCHLD is told nothing of its children (the sandbox does): those are
counted by :class:`Forks`.
"""

import contextlib
import ctypes
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

TICKS = os.sysconf("SC_CLK_TCK")
Meter = Callable[[], Mapping[str, float]]
"""Seconds of CPU taken so far, by part."""


def own_seconds() -> float:
    """All threads of this process."""
    return time.process_time()


def process_seconds(pid: int) -> float:
    """All threads of a live process; 0 if it has ended."""
    clock = (~pid << 3) | 2  # CPUCLOCK_SCHED of the process: what clock_getcpuclockid(3) answers
    try:
        return time.clock_gettime(clock)
    except OSError:
        return 0.0


def _stat(pid: int) -> tuple[int, float] | None:
    """The parent, and the seconds of children that were waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), (int(fields[13]) + int(fields[14])) / TICKS


def _family(root: int) -> Iterator[tuple[int, float]]:
    """``root`` and all below it: (pid, seconds of ended children)."""
    every = {int(path.name): stat for path in Path("/proc").glob("[0-9]*") if (stat := _stat(int(path.name)))}
    members = {root}
    for _ in range(8):  # as deep as any of our trees, however the pids are numbered
        members |= {pid for pid, (parent, _) in every.items() if parent in members}
    return ((pid, every[pid][1]) for pid in members if pid in every)


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def tree_seconds(root: int, part_of: Callable[[str], str]) -> dict[str, float]:
    """Seconds of ``root`` and its descendants, summed by what ``part_of`` answers to each command line."""
    totals: dict[str, float] = {}
    for pid, ended in _family(root):
        part = part_of(command_of(pid))
        totals[part] = totals.get(part, 0.0) + process_seconds(pid) + ended
    return totals


def descendants(root: int) -> list[int]:
    return [pid for pid, _ in _family(root) if pid != root]


class Forks:
    """CPU of a process and of every child it forks from now on, through a ``task-clock`` counter (perf_event_open(2)).

    Raises OSError where the kernel does not allow it (``perf_event_paranoid`` above 2).
    """

    _SYSCALL: ClassVar = {"x86_64": 298, "aarch64": 241}
    _SOFTWARE, _TASK_CLOCK, _SIZE = 1, 1, 112
    _INHERIT, _EXCLUDE_KERNEL, _EXCLUDE_HV = 1 << 1, 1 << 5, 1 << 6  # the task clock runs on inside the kernel all the same

    def __init__(self, pid: int) -> None:
        number = self._SYSCALL.get(os.uname().machine)
        if number is None:
            raise OSError("no perf_event_open for this machine")
        flags = self._INHERIT | self._EXCLUDE_KERNEL | self._EXCLUDE_HV
        attributes = struct.pack("IIQQQQQ", self._SOFTWARE, self._SIZE, self._TASK_CLOCK, 0, 0, 0, flags).ljust(self._SIZE, b"\0")
        libc = ctypes.CDLL(None, use_errno=True)
        self._file = libc.syscall(number, ctypes.create_string_buffer(attributes, self._SIZE), pid, -1, -1, 0)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "perf_event_open")

    def seconds(self) -> float:
        return struct.unpack("Q", os.read(self._file, 8))[0] / 1e9

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._file)
