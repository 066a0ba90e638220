"""The clock guard: what each witness makes it doubt, and how it recovers. The time server is a real chronyd."""

import asyncio
import datetime as dt
import getpass
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from keys.base.actor import SYSTEM
from keys.base.clock import SystemClock, uptime
from keys.base.db import Database
from keys.time.backlog import Backlog, IssuingClock
from keys.time.errors import ClockUntrusted, TimestampsOverdue
from keys.time.guard import PATIENCE, ClockGuard, Comparison, Doubt, StampingClock
from keys.time.sntp import NoAnswer, TimeServer, ask, compare
from keys.time.watch import Watch, acknowledge
from tests.conftest import TestClock, require_command
from tests.running import free_port


class Uptime:
    """Seconds that go by only when they are told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Machine:
    """Both clocks of a machine, and a guard over them."""

    def __init__(self, clock: TestClock, *, asks: bool = False) -> None:
        self.clock, self.uptime, self.asks = clock, Uptime(), asks
        self.restart()

    def restart(self) -> None:
        self.guard = ClockGuard(self.clock, self.uptime, asks=self.asks)

    def pass_time(self, **parts: float) -> None:
        self.uptime.seconds += dt.timedelta(**parts).total_seconds()
        self.clock.advance(**parts)

    def set_clock(self, **parts: float) -> None:
        self.clock.advance(**parts)

    def source_says(self, **offset: float) -> None:
        reading = self.guard.reading()
        self.guard.compared(Comparison(dt.timedelta(**offset), reading.origin, reading.uptime))


@pytest.fixture
def machine(clock: TestClock) -> Machine:
    return Machine(clock)


def test_time_that_passes_is_trusted(machine: Machine) -> None:
    for _ in range(5):
        machine.pass_time(hours=7)
        assert machine.guard.now() == machine.clock.now()
    assert machine.guard.doubt() is None
    assert machine.guard.drift() is None


def test_a_clock_that_runs_backwards_is_not_trusted_until_it_has_caught_up(machine: Machine) -> None:
    machine.guard.now()
    machine.set_clock(seconds=-0.5)
    with pytest.raises(ClockUntrusted) as refusal:
        machine.guard.now()
    assert (refusal.value.status, refusal.value.extra["reason"], refusal.value.headers) == (503, "backwards", {"Retry-After": "5"})
    machine.pass_time(seconds=0.4)
    assert machine.guard.doubt() is Doubt.BACKWARDS
    machine.pass_time(seconds=0.2)
    assert machine.guard.now() == machine.clock.now()


def test_a_clock_that_jumps_ahead_is_not_trusted_until_it_is_set_back(machine: Machine) -> None:
    machine.guard.now()
    machine.set_clock(seconds=4)
    assert machine.guard.now() == machine.clock.now()
    machine.set_clock(seconds=2)
    assert machine.guard.doubt() is Doubt.JUMPED
    machine.pass_time(hours=1)
    assert machine.guard.doubt() is Doubt.JUMPED
    machine.set_clock(seconds=-6)
    assert machine.guard.now() == machine.clock.now()


def test_an_operator_may_vouch_for_the_clock(machine: Machine) -> None:
    machine.guard.now()
    for step in (dt.timedelta(days=1), dt.timedelta(days=-2)):
        machine.set_clock(seconds=step.total_seconds())
        assert machine.guard.doubt() is not None
        machine.guard.acknowledged()
        assert machine.guard.now() == machine.clock.now()


def test_a_restart_does_not_forget_what_the_database_remembers(machine: Machine) -> None:
    machine.guard.remember(machine.guard.now())
    remembered = machine.clock.now()
    machine.set_clock(minutes=-10)
    machine.restart()
    assert machine.guard.doubt() is None, "nothing within the process speaks against it"
    machine.guard.remember(remembered)
    assert machine.guard.doubt() is Doubt.BEHIND
    machine.pass_time(minutes=9, seconds=56)
    assert machine.guard.doubt() is None, "another machine's clock may be ahead by the limit"


def test_a_source_is_waited_for_and_then_believed(clock: TestClock) -> None:
    machine = Machine(clock, asks=True)
    assert machine.guard.doubt() is Doubt.UNCONFIRMED
    machine.source_says(seconds=4.9)
    assert machine.guard.doubt() is None
    machine.source_says(seconds=-5.1)
    assert machine.guard.doubt() is Doubt.DRIFTED
    machine.source_says(seconds=0)
    machine.set_clock(seconds=6)
    assert machine.guard.doubt() is Doubt.DRIFTED, "the clock was set since the source was asked"
    machine.source_says(seconds=1)
    assert machine.guard.doubt() is None, "the source confirms the new time"
    machine.pass_time(seconds=PATIENCE + 1)
    assert machine.guard.doubt() is Doubt.UNCONFIRMED


def test_time_stamps_ask_for_more(clock: TestClock) -> None:
    machine = Machine(clock, asks=True)
    stamping = StampingClock(machine.guard, dt.timedelta(seconds=1))
    machine.source_says(seconds=0.9)
    assert stamping.now() == clock.now()
    machine.source_says(seconds=1.1)
    assert machine.guard.doubt() is None
    with pytest.raises(ClockUntrusted):
        stamping.now()


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-20, 20)), max_size=30))
def test_whatever_happens_no_instant_is_told_twice_in_the_wrong_order(steps: list[tuple[float, float]]) -> None:
    machine = Machine(TestClock(dt.datetime(2026, 11, 21, tzinfo=dt.UTC)))
    told = []
    for passed, step in steps:
        machine.pass_time(seconds=passed)
        machine.set_clock(seconds=step)
        doubt = machine.guard.doubt()
        if doubt is None:
            told.append(machine.guard.now())
        else:
            with pytest.raises(ClockUntrusted):
                machine.guard.now()
    assert told == sorted(told)


def test_issuing_stops_when_time_stamps_are_overdue(machine: Machine) -> None:
    backlog = Backlog(dt.timedelta(minutes=10))
    issuing = IssuingClock(machine.guard, backlog)
    backlog.oldest = issuing.now()
    machine.pass_time(minutes=10)
    assert issuing.now() == machine.clock.now()
    machine.pass_time(seconds=1)
    with pytest.raises(TimestampsOverdue) as refusal:
        issuing.now()
    assert (refusal.value.status, refusal.value.headers) == (503, {"Retry-After": "60"})
    backlog.oldest = None
    assert issuing.now() == machine.clock.now()


async def test_the_watch_carries_instants_between_processes_and_says_what_it_sees(database: Database, machine: Machine) -> None:
    watch = Watch(database, machine.guard, Backlog())
    await watch.step()
    machine.pass_time(hours=1)
    await watch.step()
    machine.set_clock(minutes=-30)
    await watch.step()
    assert machine.guard.doubt() is Doubt.BACKWARDS
    machine.restart()
    again = Watch(database, machine.guard, Backlog())
    await again.step()
    assert machine.guard.doubt() is Doubt.BEHIND, "seen across the restart"
    await acknowledge(database, machine.guard, SYSTEM, "compared with a radio clock")
    await again.step()
    assert machine.guard.now() == machine.clock.now()
    async with database.session() as session:
        bodies = list(
            await session.scalars(
                text("SELECT convert_from(body, 'UTF8') FROM keys.audit_events WHERE action LIKE 'keys.time.%' ORDER BY id")
            )
        )
    words = ["backwards", "behind", "compared with a radio clock", "null"]
    assert all(word in body for word, body in zip(words, bodies, strict=True)), bodies


async def test_an_acknowledgement_reaches_the_other_processes(database: Database, machine: Machine) -> None:
    other = Machine(machine.clock)
    watches = [Watch(database, one.guard, Backlog()) for one in (machine, other)]
    for watch in watches:
        await watch.step()
    machine.set_clock(hours=-1)
    assert other.guard.doubt() is Doubt.BACKWARDS
    await acknowledge(database, machine.guard, SYSTEM, "it was wrong before")
    for watch in watches:
        await watch.step()
    assert (machine.guard.doubt(), other.guard.doubt()) == (None, None)


async def test_a_silent_database_leaves_the_guard_as_it_is(machine: Machine) -> None:
    away = Database("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    with pytest.raises(OSError, match="Connect"):
        await Watch(away, machine.guard, Backlog()).step()
    assert machine.guard.now() == machine.clock.now()
    await away.close()


@pytest.fixture(scope="module")
def chronyd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeServer]:
    """A real time server of this test alone, which serves this machine's clock and sets nothing (``-x``)."""
    program = require_command("chronyd", "chrony")
    folder, port = tmp_path_factory.mktemp("chrony"), free_port()
    folder.chmod(0o755)
    lines = (
        f"port {port}", "bindaddress 127.0.0.1", "allow 127.0.0.1", "local stratum 1", "cmdport 0",
        f"pidfile {folder}/pid", "bindcmdaddress /",
    )  # fmt: skip
    (folder / "chrony.conf").write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(
        [program, "-U", "-u", getpass.getuser(), "-x", "-d", "-f", str(folder / "chrony.conf")], stderr=subprocess.PIPE
    )
    server = TimeServer("127.0.0.1", port)
    try:
        deadline = time.monotonic() + 15
        while not _answers(server):
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
        yield server
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _answers(server: TimeServer) -> bool:
    try:
        asyncio.run(ask(server, ClockGuard(SystemClock()).reading))
    except NoAnswer:
        time.sleep(0.1)
        return False
    return True


class Off:
    """This machine's clock as it would be if it were wrong."""

    def __init__(self, **parts: float) -> None:
        self.error = dt.timedelta(**parts)

    def now(self) -> dt.datetime:
        return SystemClock().now() + self.error


async def test_a_real_server_tells_how_wrong_the_clock_is(chronyd: TimeServer, database: Database) -> None:
    cases = ((-4.0, {None}), (0.0, {None}), (86_400.0, {Doubt.DRIFTED}), (-86_400.0 * 365 * 20, {Doubt.DRIFTED, Doubt.BEHIND}))
    for error, doubts in cases:
        guard = ClockGuard(Off(seconds=error), uptime, asks=True)
        offset = (await compare([chronyd], guard.reading)).offset
        assert abs(offset + dt.timedelta(seconds=error)) < dt.timedelta(seconds=0.5)
        await Watch(database, guard, Backlog(), [chronyd]).step()
        assert guard.doubt() in doubts


async def test_of_several_servers_those_count_that_answer(chronyd: TimeServer) -> None:
    dead = TimeServer("127.0.0.1", free_port())
    guard = ClockGuard(Off(seconds=60))
    found = await compare([dead, chronyd, TimeServer("localhost", chronyd.port)], guard.reading)
    assert abs(found.offset + dt.timedelta(seconds=60)) < dt.timedelta(seconds=0.5)
    with pytest.raises(NoAnswer):
        await compare([dead], guard.reading)


async def test_a_server_that_is_silent_at_the_start_stops_issuing(database: Database) -> None:
    guard = ClockGuard(SystemClock(), uptime, asks=True)
    await Watch(database, guard, Backlog(), [TimeServer("127.0.0.1", free_port())]).step()
    assert guard.doubt() is Doubt.UNCONFIRMED


class Liar(asyncio.DatagramProtocol):
    """A server whose answers are changed by ``alter``."""

    def __init__(self, alter: object) -> None:
        self.alter = alter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        now = int((SystemClock().now() - dt.datetime(1900, 1, 1, tzinfo=dt.UTC)).total_seconds()).to_bytes(8, "big")[4:] + bytes(4)
        answer = bytearray(b"\x24\x01\x00\xec" + bytes(12) + now + data[40:48] + now + now)
        self.alter(answer)  # type: ignore[operator]
        self.transport.sendto(bytes(answer), addr)  # type: ignore[attr-defined]


def put(place: int, *octets: int) -> object:
    def alter(answer: bytearray) -> None:
        answer[place : place + len(octets)] = bytes(octets)

    return alter


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (put(24, 1, 2, 3, 4), "somebody else"),
        (put(0, 0x23), "somebody else"),
        (put(0, 0xE4), "does not know"),
        (put(1, 0), "does not know"),
        (put(1, 16), "does not know"),
        (put(40, 0, 0, 0, 0, 0, 0, 0, 0), "does not know"),
        (put(8, 0, 9, 0, 0), "too far"),
        (lambda answer: answer.__delitem__(slice(40, 48)), "truncated"),
        (put(4), None),
    ],
)
async def test_an_answer_is_checked_before_it_is_believed(alter: object, words: str | None) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Liar(alter), local_addr=("127.0.0.1", 0))
    try:
        server = TimeServer("127.0.0.1", transport.get_extra_info("sockname")[1])
        reading = ClockGuard(SystemClock()).reading
        if words is None:
            assert abs(await ask(server, reading)) < dt.timedelta(seconds=2)
        else:
            with pytest.raises(NoAnswer, match=words):
                await ask(server, reading)
    finally:
        transport.close()


@pytest.mark.parametrize("url", ["http://time.example", "ntp://", "ntp://a/b", "time.example", "ntp://a:99999"])
def test_what_is_no_time_source_is_said_so(url: str) -> None:
    with pytest.raises(ValueError, match=r"time source|[Pp]ort"):
        TimeServer.parse(url)


def test_a_time_source_has_a_name_and_perhaps_a_port(tmp_path: Path) -> None:
    assert TimeServer.parse("ntp://time.example") == TimeServer("time.example", 123)
    assert TimeServer.parse(" ntp://[::1]:1123") == TimeServer("::1", 1123)
