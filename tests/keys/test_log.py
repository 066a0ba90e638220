"""The audit trail on a real PostgreSQL: order, checkpoints, and what ``verify_log`` catches."""

import asyncio
import base64

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from keys.base.actor import SYSTEM
from keys.base.db import Database
from keys.custody.store import KeyStore
from keys.evidence import audit
from keys.evidence.log import TILE, entry_of, establish_log, latest_checkpoint, sequence, sequence_all, tile_hashes
from keys.evidence.merkle import leaf_hash, root_of
from keys.evidence.notes import MalformedNote, VerifierKey, open_checkpoint
from keys.evidence.verify import verify_log


async def _record(database: Database, clock, count: int, action: str = "test.step") -> None:  # type: ignore[no-untyped-def]
    async with database.begin() as session:
        for i in range(count):
            event = audit.Event(action, f"thing:{i}", audit.Outcome.DONE, SYSTEM, {"n": i})
            await audit.record(session, clock.now(), event)


@pytest.fixture
async def log_key(database: Database, keystore: KeyStore, clock) -> VerifierKey:  # type: ignore[no-untyped-def]
    return await establish_log(database, keystore, clock, "fujie.test/log")


async def test_the_name_and_key_are_made_once(database, keystore, clock, log_key) -> None:
    assert await establish_log(database, keystore, clock, "another.name/log") == log_key
    assert VerifierKey.parse(str(log_key)) == log_key


async def test_events_get_places_and_a_signed_root(database, keystore, clock, log_key) -> None:
    await _record(database, clock, 5)
    assert await sequence(database, keystore, clock) == 5
    assert await sequence(database, keystore, clock) == 0
    async with database.session() as session:
        row = await latest_checkpoint(session)
    checkpoint = open_checkpoint(row.note, log_key)
    assert checkpoint.size == 5
    report = await verify_log(database)
    assert report.whole
    assert (report.entries, report.checkpoints, report.root) == (5, 1, checkpoint.root)


async def test_two_sequencers_take_turns(database, keystore, clock, log_key) -> None:
    await _record(database, clock, 300)
    counts = await asyncio.gather(*(sequence(database, keystore, clock, batch=50) for _ in range(8)))
    assert sum(counts) == 300
    assert (await verify_log(database)).whole


async def test_full_tiles_hold_the_leaf_hashes(database, keystore, clock, log_key) -> None:
    await _record(database, clock, TILE + 10)
    await sequence_all(database, keystore, clock)
    async with database.session() as session:
        stored = (await session.execute(text("SELECT hashes FROM keys.log_tiles WHERE level = 0"))).scalars().all()
        bodies = (await session.execute(text("SELECT body FROM keys.audit_events ORDER BY position"))).scalars().all()
        assert stored == [b"".join(leaf_hash(entry_of(body)) for body in bodies[:TILE])]
        assert await tile_hashes(session, 1, 0, 1) == root_of([leaf_hash(entry_of(body)) for body in bodies[:TILE]])


async def test_a_rolled_back_transaction_leaves_no_event(database, keystore, clock, log_key) -> None:
    async def fails_after_recording() -> None:
        async with database.begin() as session:
            await audit.record(session, clock.now(), audit.Event("test.step", "x:1", audit.Outcome.DONE, SYSTEM))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails_after_recording()
    await audit.record_alone(database, clock.now(), audit.Event("test.refused", "x:1", audit.Outcome.REFUSED, SYSTEM, code="NO"))
    assert await sequence_all(database, keystore, clock) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE keys.audit_events SET outcome = 'done'",
        "UPDATE keys.audit_events SET position = position + 1",
        "UPDATE keys.audit_events SET body = 'x'",
        "DELETE FROM keys.audit_events",
        "TRUNCATE keys.audit_events",
    ],
)
async def test_the_database_refuses_changes(database, keystore, clock, log_key, statement: str) -> None:
    await _record(database, clock, 2)
    await sequence_all(database, keystore, clock)
    with pytest.raises(DBAPIError, match="append-only"):
        async with database.begin() as session:
            await session.execute(text(statement))


TAMPERING = {
    "flip": "UPDATE keys.audit_events SET body = set_byte(body, 40, get_byte(body, 40) # 1) WHERE position = 7",
    "column": "UPDATE keys.audit_events SET actor_id = 'somebody-else' WHERE position = 7",
    "drop": "DELETE FROM keys.audit_events WHERE position = 7",
    "swap": "UPDATE keys.audit_events SET position = CASE position WHEN 3 THEN 4 ELSE 3 END WHERE position IN (3, 4)",
    "truncate": "DELETE FROM keys.audit_events WHERE position >= 15",
    "cut with its checkpoints": """
        WITH gone AS (DELETE FROM keys.log_checkpoints WHERE size > 10) DELETE FROM keys.audit_events WHERE position >= 10
    """,
    "append": "UPDATE keys.audit_events SET position = 20 WHERE position IS NULL",
    "root": "UPDATE keys.log_checkpoints SET root = sha256('x'), note = replace(note, '20', '20') WHERE size = 20",
    "note": "UPDATE keys.log_checkpoints SET note = replace(note, 'fujie.test', 'fujie.best') WHERE size = 20",
}


@pytest.mark.parametrize("name", TAMPERING)
async def test_every_tampering_behind_the_triggers_is_found(database, keystore, clock, log_key, name: str) -> None:
    await _record(database, clock, 10)
    await sequence_all(database, keystore, clock)
    await _record(database, clock, 10)
    await sequence_all(database, keystore, clock)
    async with database.session() as session:
        kept = (await latest_checkpoint(session)).note
    if name == "append":
        await _record(database, clock, 1)
    assert (await verify_log(database, kept=[kept])).whole
    async with database.begin() as session:
        await session.execute(text("ALTER TABLE keys.audit_events DISABLE TRIGGER USER"))
        await session.execute(text("ALTER TABLE keys.audit_events DROP CONSTRAINT uq_audit_events_position"))
        await session.execute(text(TAMPERING[name]))
    report = await verify_log(database, kept=[kept])
    assert not report.whole
    assert all("thing" not in problem for problem in report.problems)


async def test_a_note_with_a_foreign_signature_is_refused(log_key: VerifierKey) -> None:
    other = VerifierKey("fujie.test/log", b"\x07" * 32)
    signature = base64.b64encode(other.key_hash + bytes(64)).decode()
    note = f"fujie.test/log\n1\n{base64.b64encode(bytes(32)).decode()}\n\n\u2014 fujie.test/log {signature}\n"
    with pytest.raises(MalformedNote):
        open_checkpoint(note, log_key)
