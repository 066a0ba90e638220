"""A terminal for commands that talk with people: what they show, and what a person types."""

import codecs
import fcntl
import os
import pty
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

WAIT_SECONDS = 60.0


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A process on a pseudo-terminal of its own; ``shown`` is everything it printed, passwords never among it."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], folder: Path) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder, preexec_fn=_take_terminal
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self.shown = ""
        self._seen = 0

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def expect(self, text: str) -> str:
        """Wait until ``text`` is shown after what was expected before; everything up to and with it."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (found := self.shown.find(text, self._seen)) < 0:
            if time.monotonic() > deadline or not self._read():
                raise AssertionError(f"{text!r} was not shown:\n{self.shown[-3000:]}")
        start, self._seen = self._seen, found + len(text)
        return self.shown[start : self._seen]

    def type(self, line: str) -> None:
        os.write(self._ours, line.encode() + b"\n")

    def end(self) -> int:
        """Everything it still says; its exit code."""
        while self._read():
            pass
        return self.process.wait(WAIT_SECONDS)

    def _read(self) -> bool:
        """Whether the process still may say something."""
        try:
            piece = os.read(self._ours, 65536)
        except BlockingIOError:
            time.sleep(0.02)
            return True
        except OSError:  # EIO: nobody holds the other side any more
            return False
        self.shown += self._decode(piece).replace("\r\n", "\n")
        return bool(piece)
