"""Worker processes for what burns CPU: rendering, sealing, verifying."""

import asyncio
import ctypes
import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


PR_SET_PDEATHSIG = 1


def follow_parent(number: int = signal.SIGKILL) -> None:
    """In a child: end with the parent however it ends; leave Ctrl-C to the parent, which then ends us in order."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class ProcessWorkers:
    """A pool of ``processes`` fresh Python processes (``spawn``: no lock of the parent is copied)."""

    def __init__(self, processes: int) -> None:
        self._pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), initializer=follow_parent)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in a worker; its exception is raised here."""
        future = self._pool.submit(function, *args, **kwargs)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
