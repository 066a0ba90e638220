"""The embedded servers are real processes: started, found again, replaced when orphaned, gone afterwards."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from sqlalchemy import text

from api import embedded
from api.embedded import EmbeddedPostgres, EmbeddedValkey, HomeInUse, embedded_servers, locked_home
from keys.base.db import Database


async def _answer(url: str, statement: str = "SELECT 6 * 7") -> object:
    database = Database(url, pool_size=1)
    try:
        async with database.begin() as session:
            return (await session.execute(text(statement))).scalar()
    finally:
        await database.close()


def _postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


async def test_both_answer_and_both_end(tmp_path: Path) -> None:
    with embedded_servers(tmp_path, durable=False) as addresses:
        assert await _answer(addresses.database_url) == 42
        assert redis.Redis.from_url(addresses.redis_url).ping()
        pid = _postmaster(tmp_path / "postgres")
        socket = Path(addresses.redis_url.removeprefix("unix://"))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert not Path(f"/proc/{pid}").exists()
    assert not socket.exists()


async def test_data_outlives_a_restart(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as url:
        database = Database(url, pool_size=1)
        async with database.begin() as session:
            await session.execute(text("CREATE TABLE kept AS SELECT 1 AS x"))
        await database.close()
    with EmbeddedPostgres(tmp_path) as url:
        assert await _answer(url, "SELECT x FROM kept") == 1


async def test_a_folder_with_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 25)
    with embedded_servers(deep, durable=False) as addresses:
        assert await _answer(addresses.database_url) == 42
        assert redis.Redis.from_url(addresses.redis_url).ping()


def test_a_home_is_for_one_instance(tmp_path: Path) -> None:
    with locked_home(tmp_path):
        script = f"from pathlib import Path; from api.embedded import locked_home; locked_home(Path({str(tmp_path)!r})).__enter__()"
        second = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert second.returncode != 0
        assert HomeInUse.code in second.stderr
    with locked_home(tmp_path):
        pass


HOLDER = """
import sys, time
from pathlib import Path
from api.embedded import embedded_servers
with embedded_servers(Path(sys.argv[1]), durable=False):
    print("up", flush=True)
    time.sleep(60)
"""


def _holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "up"
    return process


def _wait_until_gone(pid: int, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


async def test_killing_the_owner_ends_the_servers_and_the_next_start_works(tmp_path: Path) -> None:
    holder = _holder(tmp_path)
    pid = _postmaster(tmp_path / "postgres")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert _wait_until_gone(pid)
    with embedded_servers(tmp_path, durable=False) as addresses:
        assert await _answer(addresses.database_url) == 42


async def test_a_server_that_outlived_its_owner_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = EmbeddedPostgres(tmp_path, durable=False)
    first.__enter__()
    orphan = _postmaster(tmp_path)
    second = EmbeddedPostgres(tmp_path, durable=False)
    with second as url:
        assert await _answer(url) == 42
        assert _postmaster(tmp_path) != orphan
    first.__exit__()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must step down")
async def test_root_steps_down_without_user_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = Path("/var/tmp") / f"fujie-test-{os.getpid()}"
    state.mkdir()
    monkeypatch.setattr(EmbeddedPostgres, "NAMESPACE", ("false",))
    monkeypatch.setattr(embedded, "STATE_DIRECTORY", state)
    before = tmp_path.parent.stat().st_mode
    try:
        with EmbeddedPostgres(tmp_path, durable=False) as url:
            assert await _answer(url) == 42
        moved = Path((tmp_path / "moved-to").read_text().strip())
        assert moved.parent == state
        assert stat.S_IMODE(moved.stat().st_mode) == 0o700
        assert tmp_path.parent.stat().st_mode == before
    finally:
        subprocess.run(["rm", "-rf", str(state)], check=True)


def test_valkey_keeps_nothing_on_disk(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as url:
        redis.Redis.from_url(url).set("x", 1)
    with EmbeddedValkey(tmp_path) as url:
        assert redis.Redis.from_url(url).get("x") is None
