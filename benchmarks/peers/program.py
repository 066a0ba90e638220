"""A peer in a program of its own that takes turns with ours: a line asks for a round, a line of JSON answers it."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import Cost
from benchmarks.peers.installing import NotInstalled


class Program:
    """``answer`` is ``{"cpu": ms, "wall": ms}`` for one operation, told by the program about itself."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def _ask(self) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise NotInstalled("no pipes to the peer")
        try:
            self._process.stdin.write("round\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._process.stdout.readline()
        if not line:
            raise NotInstalled("the peer's program ended by itself")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def warm_up(self, _: int) -> None:
        """The program warms itself up before its first answer, as long as it needs."""
        self._ask()

    def turn(self, _: int) -> Cost:
        answer = self._ask()
        return Cost({"own": answer["cpu"]}, answer["wall"])


@contextmanager
def program(command: Sequence[str], folder: Path) -> Iterator[Program]:
    """Ended on leaving."""
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield Program(process)
    finally:
        process.kill()
        process.communicate()
