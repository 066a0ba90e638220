"""``fujie audit verify`` on the house's own log: it judges what stands, and signs nothing first."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from api.commands import audit
from keys.base.actor import SYSTEM
from keys.base.clock import Clock
from keys.base.db import Database
from keys.custody.store import KeyStore
from keys.evidence.audit import Event, Outcome, record_alone
from keys.evidence.log import establish_log, latest_checkpoint, sequence


async def test_verifying_a_restored_log_does_not_sign_its_second_history(
    database: Database, keystore: KeyStore, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    await establish_log(database, keystore, clock, "restored.example/log")
    house, loop = SimpleNamespace(database=database, keystore=keystore, clock=clock), asyncio.get_running_loop()
    monkeypatch.setattr(audit, "with_house", lambda journey: asyncio.run_coroutine_threadsafe(journey(house), loop).result(20))
    for number in range(5):
        await record_alone(database, clock.now(), Event("test", f"thing:{number}", Outcome.DONE, SYSTEM))
        await sequence(database, keystore, clock)
    async with database.session() as session:
        newest = await latest_checkpoint(session)
    assert newest is not None
    (tmp_path / "kept").write_text(newest.note)
    async with database.begin() as session:  # what an older backup holds: the last entry waits, its checkpoint does not exist
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text("DELETE FROM keys.log_checkpoints WHERE size = 5"))
        await session.execute(text("UPDATE keys.audit_events SET position = NULL WHERE position = 4"))
    done = await asyncio.to_thread(CliRunner().invoke, audit.app, ["verify", "--checkpoint", str(tmp_path / "kept")])
    assert done.exit_code == 1
    assert "kept checkpoint of size 5: the log is shorter" in done.stdout
    assert "waiting 1" in done.stdout
    async with database.session() as session:
        still = await latest_checkpoint(session)
    assert still is not None
    assert still.size == 4
