"""The sandbox: the same verdict as without it, and UNREADABLE whenever the child takes too much or dies."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seal.sandbox import CORE, FOREIGN, Gate, Room, VerificationBusy, averify, verify_file, verify_guarded
from seal.trust import Trust
from seal.verdict import Indication, Kind, Verdict
from seal.verification import verify
from tests.stamped import NOW, World, certificate_page

BAD_ROOM = """
import os, signal, time
from seal.sandbox_room import serve
from seal.verdict import Indication, Kind, Verdict

def judge(data, trust, at):
    deed = data.decode()
    if deed == "memory":
        return len([bytes(1 << 20) for _ in range(4000)])
    if deed == "all the memory at once":
        return len(bytes(1 << 31))
    if deed == "loop":
        while True: pass
    if deed == "slow":
        time.sleep(1.5)
    if deed == "sleep":
        time.sleep(60)
    if deed == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if deed == "raise":
        raise OverflowError("from a parser")
    if deed == "recurse":
        return judge(data, trust, at)
    if deed.startswith("write"):
        os.write(os.open(deed.partition(" ")[2], os.O_WRONLY), b"x")
    if deed == "environment":
        return Verdict(Kind.PDF, Indication.NO_SIGNATURE, ",".join(sorted(os.environ)))
    return Verdict(Kind.PDF, Indication.NO_SIGNATURE, str(len(data)))

serve(judge)
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
def bad_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    (tmp_path / "bad_room.py").write_text(BAD_ROOM)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("seal.sandbox.CORE", room := Room("bad_room"))
    monkeypatch.setattr("seal.sandbox.TIME_LIMIT", 2.0)
    yield room
    room.close()


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    CORE.close()
    FOREIGN.close()


def test_the_verdict_is_the_same_inside(world: World) -> None:
    sealed = world.stamped()
    assert verify_guarded(sealed, world.trust, NOW).to_json() == verify(sealed, world.trust, NOW).to_json()
    for data in (certificate_page(), b"", b"\x30\x00", world.seal(), sealed[:-100]):
        assert verify_guarded(data, world.trust, NOW).to_json() == verify(data, world.trust, NOW).to_json()


def test_a_foreign_signature_goes_to_the_other_room(world: World, tmp_path: Path) -> None:
    sealed = world.stamped()
    at = sealed.rindex(b"/Filter/Adobe.PPKLite")
    foreign = sealed[:at] + b"/Filter/Adobe.PPKLitX" + sealed[at + 21 :]  # not our spelling any more, and the stamp's attribute stays
    assert verify_guarded(foreign, world.trust, NOW).to_json() == verify(foreign, world.trust, NOW).to_json()


@pytest.mark.parametrize("deed", ["memory", "all the memory at once", "loop", "sleep", "die", "raise", "recurse"])
def test_a_child_out_of_bounds_means_unreadable(bad_room: Room, deed: str) -> None:
    started = time.monotonic()
    verdict = verify_guarded(deed.encode(), Trust(), NOW)
    assert verdict.indication is Indication.UNREADABLE
    assert time.monotonic() - started < 8
    assert verify_guarded(b"fine", Trust(), NOW) == Verdict(Kind.PDF, Indication.NO_SIGNATURE, "4")


def test_a_file_is_held_to_its_cpu_and_one_that_waits_for_a_busy_machine_is_not(bad_room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seal.sandbox.TIME_LIMIT", 60.0)
    monkeypatch.setattr("seal.sandbox.CPU_LIMIT", 1.0)
    assert verify_guarded(b"slow", Trust(), NOW) == Verdict(Kind.PDF, Indication.NO_SIGNATURE, "4")
    started = time.monotonic()
    assert verify_guarded(b"loop", Trust(), NOW).indication is Indication.UNREADABLE
    assert time.monotonic() - started < 50, "ended by its CPU, not by the clock"


def test_a_child_cannot_write_files(bad_room: Room, tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    assert verify_guarded(f"write {tmp_path / 'target'}".encode(), Trust(), NOW).indication is Indication.UNREADABLE
    assert (tmp_path / "target").read_bytes() == b""


def test_the_child_sees_no_environment_of_ours(bad_room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUJIE_DATABASE_URL", "postgresql://secret")
    names = verify_guarded(b"environment", Trust(), NOW).sub_indication or ""
    assert set(names.split(",")) <= {"PYTHONPATH", "LC_CTYPE"}


def test_a_room_that_died_is_replaced(bad_room: Room) -> None:
    assert verify_guarded(b"fine", Trust(), NOW).indication is Indication.NO_SIGNATURE
    process = bad_room._process
    assert process is not None
    process.kill()
    process.wait()
    assert verify_guarded(b"fine", Trust(), NOW).indication is Indication.NO_SIGNATURE


def test_a_room_that_cannot_start_answers_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seal.sandbox.CORE", Room("seal.no_such_room"))
    monkeypatch.setattr("seal.sandbox.TIME_LIMIT", 2.0)
    assert verify_guarded(b"x", Trust(), NOW).indication is Indication.UNREADABLE


def test_no_descriptor_is_left_open(world: World) -> None:
    sealed = world.stamped()
    verify_guarded(sealed, world.trust, NOW)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        verify_guarded(sealed, world.trust, NOW)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_over_the_limit_is_not_even_read(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(200 * 1024 * 1024 + 1)
    with large.open("rb") as file:
        assert "200 MB" in verify_file(file.fileno(), Trust(), NOW).checks[0].detail


async def test_files_are_judged_side_by_side_without_blocking_the_loop(world: World) -> None:
    sealed = world.stamped()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    verdicts = await asyncio.gather(*(averify(sealed, world.trust, NOW) for _ in range(6)))
    ticking.cancel()
    assert {verdict.indication for verdict in verdicts} == {Indication.TOTAL_PASSED}
    assert ticks > 0


async def test_the_gate_turns_away_whom_it_cannot_serve(world: World, tmp_path: Path) -> None:
    gate = Gate(running=1, waiting=1)
    file = tmp_path / "a.pdf"
    file.write_bytes(world.stamped())
    with file.open("rb") as opened:
        answers = await asyncio.gather(*(gate.verify_file(opened.fileno(), world.trust, NOW) for _ in range(4)), return_exceptions=True)
        assert sum(isinstance(answer, VerificationBusy) for answer in answers) == 2
        assert (await gate.verify_file(opened.fileno(), world.trust, NOW)).indication is Indication.TOTAL_PASSED
