"""A whole Fujie of our own: ``fujie serve`` with embedded servers in a temporary home, ended with the benchmark."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cpu import tree_seconds

START_SECONDS = 300.0
READY = "ready 就绪".encode()
MARKS = (("postgres", "PostgreSQL"), ("valkey-server", "Valkey"), ("multiprocessing", "workers"), ("seal.sandbox", "sandbox"))
STORES = ("PostgreSQL", "Valkey")


@dataclass(frozen=True, slots=True)
class Instance:
    """A running house. ``demo`` is what its ``demo.json`` says."""

    home: Path
    base_url: str
    pid: int
    demo: Mapping[str, Any]

    def client(self, name: str) -> Mapping[str, str]:
        return next(client for client in self.demo["clients"] if client["name"] == name)

    def addresses(self) -> Mapping[str, str]:
        return json.loads((self.home / "run" / "addresses.json").read_text())

    def cpu(self) -> Mapping[str, float]:
        """Seconds by part: web, workers, sandbox, PostgreSQL, Valkey."""
        return tree_seconds(self.pid, part_of)


def part_of(command: str) -> str:
    """The part that a process of ours belongs to, by its command line."""
    return next((part for mark, part in MARKS if mark in command), "web")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running() -> Iterator[Instance]:
    """Raises RuntimeError with the end of its log if it does not come up."""
    with tempfile.TemporaryDirectory(prefix="fujie-bench-", ignore_cleanup_errors=True) as folder:
        home, log = Path(folder) / "home", Path(folder) / "log"
        port = free_port()
        settings = {name: value for name, value in os.environ.items() if not name.startswith("FUJIE_")}
        settings |= {"FUJIE_HOME": str(home), "FUJIE_PORT": str(port)}
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("fujie")), "serve"], cwd=folder, env=settings, stdout=out, stderr=out
            )
        try:
            _wait(process, log)
            demo = json.loads((home / "demo.json").read_text())
            yield Instance(home, demo["base_url"], process.pid, demo)
        finally:
            _stop(process)


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if READY in log.read_bytes():
            return
        time.sleep(0.2)
    raise RuntimeError(f"fujie serve did not come up: {log.read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
