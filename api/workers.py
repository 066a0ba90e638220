"""Worker processes for what burns CPU: rendering, sealing, verifying."""

import asyncio
import ctypes
import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


PR_SET_PDEATHSIG = 1


def follow_parent(number: int = signal.SIGKILL) -> None:
    """In a child: end with the parent however it ends; leave Ctrl-C to the parent, which then ends us in order."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        os._exit(1)  # it died before we asked to be told
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _prepare(modules: tuple[str, ...]) -> None:
    follow_parent()
    for module in modules:
        importlib.import_module(module)


def _ready() -> None:
    """Nothing: answering it takes a worker that has loaded its modules."""


class ProcessWorkers:
    """A pool of ``processes`` fresh Python processes (``spawn``: no lock of the parent is copied) with ``preload`` imported."""

    def __init__(self, processes: int, preload: tuple[str, ...] = ()) -> None:
        self._processes = processes
        self._preload = preload
        self._pool = self._fresh()

    def _fresh(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._processes, mp_context=context, initializer=_prepare, initargs=(self._preload,))

    def warm(self) -> None:
        """Start every worker now, so that the first jobs need not wait; answers at once."""
        for _ in range(self._processes):
            self._pool.submit(_ready)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in a worker; its exception is raised here.

        A worker that is killed takes its pool and all that was running there along: each job is done once more in a fresh pool,
        and a second time raises ``BrokenProcessPool``. Hence only functions that may be repeated.
        """
        pool = self._pool
        try:
            return await asyncio.wrap_future(pool.submit(function, *args, **kwargs))
        except BrokenProcessPool:
            self._replace(pool)
            return await asyncio.wrap_future(self._pool.submit(function, *args, **kwargs))

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        """Once for each broken pool, however many jobs it took along."""
        if self._pool is broken:
            self._pool = self._fresh()
            broken.shutdown(wait=False)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
