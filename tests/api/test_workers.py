"""Worker processes that die: the house goes on."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from api.workers import ProcessWorkers
from tests.running import ROOT


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(mark: Path) -> str:
    if not mark.exists():
        mark.touch()
        die()
    return "done"


async def test_a_job_whose_worker_was_killed_is_done_again(tmp_path: Path) -> None:
    workers = ProcessWorkers(1)
    try:
        assert await workers.run(die_once, tmp_path / "mark") == "done"
    finally:
        workers.close()


async def test_jobs_taken_along_by_a_killed_worker_are_done_again(tmp_path: Path) -> None:
    workers = ProcessWorkers(2)
    try:
        assert await asyncio.gather(*(workers.run(pow, 2, n) for n in range(4)), workers.run(die_once, tmp_path / "mark")) == [
            1,
            2,
            4,
            8,
            "done",
        ]
    finally:
        workers.close()


async def test_a_job_that_kills_every_worker_is_given_up_and_the_next_one_runs() -> None:
    workers = ProcessWorkers(1)
    try:
        with pytest.raises(BrokenProcessPool):
            await workers.run(die)
        assert await workers.run(pow, 2, 10) == 1024
    finally:
        workers.close()


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """At any moment of their start as well: they ask whether the parent still lives once they are told of its death."""
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            """
            import asyncio, os, time
            from api.workers import ProcessWorkers

            async def main():
                workers = ProcessWorkers(1)
                future = asyncio.ensure_future(workers.run(time.sleep, 60))
                await asyncio.sleep(0)
                print(*(process.pid for process in workers._pool._processes.values()), flush=True)
                await future

            if __name__ == "__main__":
                asyncio.run(main())
            """
        )
    )
    for delay in (0.0, 0.05, 0.15, 0.3):
        with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}) as parent:
            assert parent.stdout is not None
            (worker,) = map(int, parent.stdout.readline().split())
            time.sleep(delay)
            parent.kill()
        deadline = time.monotonic() + 10
        while Path(f"/proc/{worker}/cmdline").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not Path(f"/proc/{worker}/cmdline").exists(), f"a worker outlived its parent (killed after {delay} s)"
