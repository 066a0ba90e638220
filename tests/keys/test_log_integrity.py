"""Nothing is signed over stored bytes that changed: what the sequencer sees at once, and what the full pass finds."""

import hashlib

import pytest
from sqlalchemy import text

from keys.base.actor import SYSTEM
from keys.base.db import Database
from keys.evidence.anchors import ANCHORED
from keys.evidence.audit import Event, Outcome, record_alone
from keys.evidence.halts import LogDamaged, LogHalted, resume
from keys.evidence.log import establish_log, sequence, sequence_all
from keys.evidence.merkle import MerkleTree, leaf_hash
from keys.evidence.notes import Kind, VerifierKey
from keys.evidence.search import Query, search
from keys.evidence.state import log_state
from keys.evidence.stored import consistency_proof, entries, inclusion_proof, stored_frontier
from keys.evidence.tiles import TILE
from keys.evidence.verify import verify_log
from tests.keys.trail import fill

SIZE = TILE * TILE + 2 * TILE + 37  # a full tile of level 1, full tiles beside it and a partial one


@pytest.fixture
async def log(database, keystore, clock):  # type: ignore[no-untyped-def]
    return await establish_log(database, keystore, clock, "fujie.test/log")


async def _change(database: Database, statement: str) -> None:
    async with database.begin() as session:
        await session.execute(text("ALTER TABLE keys.audit_events DISABLE TRIGGER USER"))
        await session.execute(text("ALTER TABLE keys.audit_events DROP CONSTRAINT IF EXISTS uq_audit_events_position"))
        await session.execute(text(statement))


FLIP = "UPDATE keys.audit_events SET body = set_byte(body, 40, get_byte(body, 40) # 1) WHERE position = {}"

SEEN_AT_ONCE = {
    "an entry of the last tile": FLIP.format(TILE + 3),
    "an entry of the last tile dropped": f"DELETE FROM keys.audit_events WHERE position = {TILE + 3}",
    "two of the last tile swapped": f"""UPDATE keys.audit_events SET position = CASE position WHEN {TILE + 3} THEN {TILE + 4}
        ELSE {TILE + 3} END WHERE position IN ({TILE + 3}, {TILE + 4})""",
    "a tile's root": "UPDATE keys.log_tiles SET root = sha256('x') WHERE level = 0 AND index = 0",
    "a tile dropped": "DELETE FROM keys.log_tiles",
    "the checkpoint's root": "UPDATE keys.log_checkpoints SET root = sha256('x')",
    "the checkpoint's note": "UPDATE keys.log_checkpoints SET note = replace(note, 'fujie.test', 'fujie.best')",
    "the last checkpoint dropped": "DELETE FROM keys.log_checkpoints",
}


@pytest.mark.parametrize("name", SEEN_AT_ONCE)
async def test_the_sequencer_stops_and_signs_nothing(database, keystore, clock, log, name: str) -> None:
    await fill(database, clock, TILE + 20)
    await sequence_all(database, keystore, clock)
    await _change(database, SEEN_AT_ONCE[name])
    async with database.session() as session:
        before = await session.scalar(text("SELECT count(*) FROM keys.log_checkpoints"))
    await fill(database, clock, 1)
    with pytest.raises(LogDamaged):
        await sequence(database, keystore, clock)
    with pytest.raises(LogHalted):
        await sequence(database, keystore, clock)
    async with database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM keys.log_checkpoints")) == before
        assert (await log_state(session, clock.now())).halted
    page = await search(database, clock, SYSTEM, Query(action="keys.evidence.halt"), "a test")
    assert [(one.outcome, one.body["code"]) for one in page.events] == [("failed", "LOG_DAMAGED")]
    assert not (await verify_log(database)).whole


CUT = {
    "its newest checkpoint": ("DELETE FROM keys.log_checkpoints WHERE size > 20", "an entry reaches 40"),
    "its end, but for an anchor": (
        "INSERT INTO keys.log_anchors VALUES (40, 'x', now()); DELETE FROM keys.log_checkpoints WHERE size > 20;"
        "DELETE FROM keys.audit_events WHERE position >= 20",
        "an anchor reaches 40",
    ),
    "its end, but for a cosignature": (
        "INSERT INTO keys.log_cosignatures VALUES (40, 'w', 'x', now()); DELETE FROM keys.log_checkpoints WHERE size > 20;"
        "DELETE FROM keys.audit_events WHERE position >= 20",
        "a cosignature reaches 40",
    ),
    "its end, but for what a witness saw": (
        "INSERT INTO keys.log_witnesses VALUES ('w', 'w', 'http://w', 40, now()); DELETE FROM keys.log_checkpoints WHERE size > 20;"
        "UPDATE keys.audit_events SET position = NULL WHERE position >= 20",
        "a witness reaches 40",
    ),
}


@pytest.mark.parametrize("name", CUT)
async def test_a_log_that_lost_its_end_halts_in_good_order(database, keystore, clock, log, name: str) -> None:
    statements, said = CUT[name]
    for _ in range(2):
        await fill(database, clock, 20)
        await sequence_all(database, keystore, clock)
    for statement in statements.split(";"):
        await _change(database, statement)
    await fill(database, clock, 1)
    with pytest.raises(LogDamaged, match=said):
        await sequence(database, keystore, clock)
    for _ in range(3):
        with pytest.raises(LogHalted, match=said):
            await sequence(database, keystore, clock)
    async with database.session() as session:
        assert said in ((await log_state(session, clock.now())).halted or "")
        assert await session.scalar(text("SELECT max(size) FROM keys.log_checkpoints")) == 20


async def test_what_lies_deep_is_found_by_the_full_pass(database, keystore, clock, log) -> None:
    await fill(database, clock, TILE + 20)
    await sequence_all(database, keystore, clock)
    await _change(database, FLIP.format(7))
    await fill(database, clock, 1)
    assert await sequence(database, keystore, clock) == 1
    assert "entries 0 to 255: their hashes are not those of tile 0" in (await verify_log(database)).problems


async def test_a_stopped_log_goes_on_when_somebody_answers_for_it(database, keystore, clock, log) -> None:
    await fill(database, clock, 20)
    await sequence_all(database, keystore, clock)
    await _change(database, FLIP.format(7))
    await fill(database, clock, 1)
    with pytest.raises(LogDamaged):
        await sequence(database, keystore, clock)
    await _change_back(database)
    assert await resume(database, clock.now(), SYSTEM, "restored from the backup of the night")
    assert not await resume(database, clock.now(), SYSTEM, "twice")
    assert await sequence(database, keystore, clock) == 3  # the event, the halt, the resumption
    assert (await verify_log(database)).whole


async def _change_back(database: Database) -> None:
    async with database.begin() as session:
        await session.execute(text(FLIP.format(7)))


async def test_roots_and_proofs_of_a_log_with_tiles_of_three_levels(database, keystore, clock, log) -> None:
    """65,536 events take long to record, so the full tiles are put there as they would be; the last tile is made of events."""
    full = [hashlib.sha256(str(i).encode()).digest() for i in range(SIZE - 37)]
    tree = MerkleTree(full)
    tiles = [(0, i, tree.node(8, i)) for i in range(len(full) // TILE)] + [(1, 0, tree.node(16, 0))]
    async with database.begin() as session:
        for level, index, root in tiles:
            hashes = b"".join(tree.node(8 * level, index * TILE + i) for i in range(TILE))
            values = {"level": level, "index": index, "hashes": hashes, "root": root}
            await session.execute(text("INSERT INTO keys.log_tiles VALUES (:level, :index, :hashes, :root)"), values)
    await fill(database, clock, 37)
    async with database.begin() as session:
        place = "UPDATE keys.audit_events e SET position = n.p FROM (SELECT id, row_number() OVER (ORDER BY id) + :before AS p"
        await session.execute(text(f"{place} FROM keys.audit_events) n WHERE n.id = e.id"), {"before": len(full) - 1})
        for entry in await entries(session, len(full), 37):
            tree.append(leaf_hash(entry))
        for size in (1, TILE, TILE * TILE, SIZE - 37, SIZE - 1, SIZE):
            if size % TILE == 0 or size > len(full):
                assert (await stored_frontier(session, size)).root() == tree.root(size)
        for index in (0, 255, 256, TILE * TILE - 1, TILE * TILE, SIZE - 1):
            assert await inclusion_proof(session, index, SIZE) == tree.inclusion_proof(index)
        for old in (1, 255, 256, 30_000, TILE * TILE, SIZE - 1, SIZE):
            assert await consistency_proof(session, old, SIZE) == tree.consistency_proof(old)


DEEP = {
    "hashes": "UPDATE keys.log_tiles SET hashes = set_byte(hashes, 40, get_byte(hashes, 40) # 1) WHERE level = 0 AND index = 1",
    "root": "UPDATE keys.log_tiles SET root = sha256('x') WHERE level = 0 AND index = 1",
    "gone": "DELETE FROM keys.log_tiles WHERE level = 0 AND index = 1",
    "too many": "INSERT INTO keys.log_tiles SELECT level, index + 2, hashes, root FROM keys.log_tiles",
    "duplicate": "INSERT INTO keys.audit_events SELECT gen_random_uuid(), occurred_at, action, object, actor_id, outcome, body, position"
    " FROM keys.audit_events WHERE position = 300",
    "before the first": "UPDATE keys.audit_events SET position = -1 WHERE position = 0",
    "cosignature": "INSERT INTO keys.log_cosignatures VALUES (99999, 'w', 'x', now())",
    "anchor": "INSERT INTO keys.log_anchors SELECT size, 'x', now() FROM keys.log_checkpoints",
}


async def test_an_anchor_or_a_cosignature_that_was_taken_away_is_missed(database, keystore, clock, log) -> None:
    """The log itself tells of every anchor, and a witness's row of its newest cosignature."""
    await fill(database, clock, 9)
    await sequence_all(database, keystore, clock)
    await record_alone(database, clock.now(), Event(ANCHORED, "log:9", Outcome.DONE, SYSTEM))
    await sequence_all(database, keystore, clock)
    key = VerifierKey("w", bytes(range(32)), Kind.COSIGNATURE)
    await _change(database, f"INSERT INTO keys.log_witnesses VALUES ('w', '{key}', 'http://w', 9, now())")
    assert (await verify_log(database)).problems == [
        "cosignature by w of size 9: it was kept, and it is gone",
        "anchor of size 9: the log says that it was kept, and it is gone",
    ]


@pytest.mark.parametrize("name", DEEP)
async def test_the_full_pass_looks_at_everything_stored(database, keystore, clock, log, name: str) -> None:
    await fill(database, clock, 2 * TILE + 9)
    await sequence_all(database, keystore, clock)
    assert (await verify_log(database)).whole
    await _change(database, DEEP[name])
    report = await verify_log(database)
    assert report.problems, name
