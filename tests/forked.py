"""Many ``fujie`` commands without loading the program for each: a process that has loaded it forks one child a command."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.running import ROOT, City, environment

_SERVER = """
import importlib, json, os, sys, traceback
from api.cli import COMMANDS, main
for name in ("trust", "authority"):
    importlib.import_module(COMMANDS[name][0].partition(":")[0])

def work(order):
    for descriptor, path, mode in ((0, "in", os.O_RDONLY), (1, "out", os.O_WRONLY), (2, "err", os.O_WRONLY)):
        os.dup2(os.open(os.path.join(order["folder"], path), mode), descriptor)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
    sys.argv = ["fujie", *order["words"]]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        work(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Terminal:
    def __init__(self, server: subprocess.Popen[str], folder: Path) -> None:
        self._server, self._folder = server, folder

    def run(self, *words: str, told: str = "") -> subprocess.CompletedProcess[str]:
        """A command with ``told`` on its standard input."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        (self._folder / "in").write_text(told)
        for name in ("out", "err"):
            (self._folder / name).write_bytes(b"")
        self._server.stdin.write(json.dumps({"words": words, "folder": str(self._folder)}) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        return subprocess.CompletedProcess(words, code, (self._folder / "out").read_text(), (self._folder / "err").read_text())


@contextmanager
def terminal(city: City, folder: Path) -> Iterator[Terminal]:
    """Commands ``trust`` and ``authority`` of the city's home."""
    home = environment(city.home, city.port, **city.more)
    pipe = subprocess.PIPE
    server = subprocess.Popen([sys.executable, "-c", _SERVER], stdin=pipe, stdout=pipe, text=True, env=home, cwd=ROOT)
    try:
        yield Terminal(server, folder)
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait(20)
