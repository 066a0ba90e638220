"""Many ``fujie`` commands without loading the program for each: a process that has loaded it forks one child a command.

The child gets the caller's arguments, folder, environment and open streams, so a shell can use the command as usual.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.running import ROOT, City, environment

_SERVER = """
import importlib, json, os, socket, sys, traceback
from api.cli import COMMANDS, main
for module, _ in COMMANDS.values():
    importlib.import_module(module.partition(":")[0])

def work(order, streams):
    for descriptor, stream in enumerate(streams):
        os.dup2(stream, descriptor)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
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

listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("loaded", flush=True)
while True:
    caller, _ = listening.accept()
    with caller:
        octets, streams, _, _ = socket.recv_fds(caller, 1 << 20, 3)
        child = os.fork()
        if child == 0:
            work(json.loads(octets), streams)
        for stream in streams:
            os.close(stream)
        caller.send(bytes([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF]))
"""
_COMMAND = """#!{python} -SE
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
order = {{"words": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
socket.send_fds(server, [json.dumps(order).encode()], [0, 1, 2])
sys.exit(server.recv(1)[0])
"""


@contextlib.contextmanager
def forked_command(folder: Path) -> Iterator[Path]:
    """A program ``fujie`` in ``folder``, until leaving."""
    address = folder / "loaded"
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(address)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "loaded\n"
        command = folder / "fujie"
        command.write_text(_COMMAND.format(python=sys.executable, address=str(address)))
        command.chmod(0o755)
        yield command
    finally:
        server.kill()
        server.wait(20)


class Terminal:
    """Commands of one city's home."""

    def __init__(self, command: Path, city: City) -> None:
        self._command = command
        self._environment = environment(city.home, city.port, **city.more)

    def run(self, *words: str, told: str = "") -> subprocess.CompletedProcess[str]:
        """A command with ``told`` on its standard input."""
        return subprocess.run(
            [self._command, *words], input=told, capture_output=True, text=True, env=self._environment, timeout=120, check=False
        )


@contextlib.contextmanager
def terminal(city: City, folder: Path) -> Iterator[Terminal]:
    """Commands of the city's home, until leaving."""
    with forked_command(folder) as command:
        yield Terminal(command, city)
