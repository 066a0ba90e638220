"""A running demonstration city for tests: ``fujie serve`` in a process of its own, as a stranger starts it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

ROOT = Path(__file__).parents[1]
READY_SECONDS = 120.0
PROGRAM = (sys.executable, "-m", "api")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(home: Path, port: int, **more: str) -> dict[str, str]:
    """What the process sees: our settings and nothing of the caller's that could change them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FUJIE_")}
    return kept | {"FUJIE_HOME": str(home), "FUJIE_PORT": str(port), "PYTHONUNBUFFERED": "1"} | more


@dataclass
class City:
    """One instance: its home, port and process. ``output`` is what it printed until it was ready.

    ``command``: what :meth:`fujie` runs; :mod:`tests.forked` has one that need not be loaded each time. The service is always a real one.
    """

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    output: str = ""
    more: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = PROGRAM

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def demo(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.home / "demo.json").read_text())
        return content

    def account(self, role: str) -> dict[str, str]:
        return next(account for account in self.demo["accounts"] if account["role"] == role)

    def client(self, name: str) -> dict[str, Any]:
        return next(client for client in self.demo["clients"] if client["name"] == name)

    def start(self) -> "City":
        """Start and wait for ``ready``; raises RuntimeError with the output if it ends or takes too long."""
        log = self.home.with_name(self.home.name + ".log")
        with log.open("wb") as handle:
            command = [*PROGRAM, "serve"]
            self.process = subprocess.Popen(
                command, stdout=handle, stderr=handle, env=environment(self.home, self.port, **self.more), cwd=ROOT, start_new_session=True
            )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            self.output = log.read_text(errors="replace")
            if "ready" in self.output:
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"not ready:\n{self.output[-4000:]}")

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def fujie(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the same home."""
        return subprocess.run(
            [*self.command, *arguments],
            capture_output=True,
            text=True,
            env=environment(self.home, self.port, **self.more),
            cwd=ROOT,
            timeout=120,
            check=False,
        )

    def token(self, name: str, scope: str) -> dict[str, str]:
        """The Authorization header of a client's own token."""
        client = self.client(name)
        answer = httpx2.post(
            f"{self.base_url}/oauth/token",
            data={"grant_type": "client_credentials", "scope": scope},
            auth=(quote(client["client_id"]), quote(client["client_secret"])),
            trust_env=False,
            timeout=60,
        )
        answer.raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def children(self) -> list[int]:
        """Processes whose command line names this home."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(self.home) in command:
                found.append(int(folder.name))
        return found
