"""Witnesses: two instances with a database each, over HTTP; what tlog-witness prescribes, status by status."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import uvicorn
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.applications import Starlette

from api.problems import HANDLERS
from api.routes.log import routes
from keys.base.actor import SYSTEM
from keys.base.db import Database
from keys.custody.store import Algorithm
from keys.evidence.log import establish_log, latest_checkpoint, sequence_all
from keys.evidence.merkle import MerkleTree
from keys.evidence.notes import Kind, Note, VerifierKey
from keys.evidence.search import Query, search
from keys.evidence.state import log_state
from keys.evidence.stored import consistency_proof
from keys.evidence.verify import verify_log
from keys.evidence.witness import AddCheckpoint, distrust_log, establish_witness, trust_log, witnessed_logs
from keys.evidence.witnesses import ask_witness, collect, forget_witness, latest_cosigned
from tests.keys.forging import Holder
from tests.keys.trail import fill
from tests.running import free_port

LOG, WITNESS = "city.example/log", "department.example/witness"


class NoRedis:
    """The throttle's counter while Redis is away: nothing is refused."""

    def pipeline(self, **_: Any) -> Any:
        raise OSError


@contextlib.asynccontextmanager
async def serving(database: Database, keystore: Any, clock: Any) -> AsyncIterator[str]:
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    app.state.house = SimpleNamespace(database=database, keystore=keystore, clock=clock, redis=NoRedis())
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_level="error", ws="none"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


@pytest.fixture
async def second(servers, database_url) -> AsyncIterator[Database]:  # type: ignore[no-untyped-def]
    """The department's own database, beside the city's."""
    name = database_url.partition("?")[0].rpartition("/")[2] + "_w"
    async with Database(database_url).engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).exec_driver_sql(
            f"CREATE DATABASE {name} TEMPLATE template_fujie STRATEGY FILE_COPY"
        )
    department = Database(servers.database_url.replace("/fujie?", f"/{name}?"))
    yield department
    await department.close()
    async with Database(database_url).engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def city_key(database, keystore, clock) -> VerifierKey:  # type: ignore[no-untyped-def]
    return await establish_log(database, keystore, clock, LOG)


@pytest.fixture
async def witness(second, keystore, clock) -> VerifierKey:  # type: ignore[no-untyped-def]
    await establish_log(second, keystore, clock, "department.example/log")
    return await establish_witness(second, keystore, clock, WITNESS)


async def _grow(database: Database, keystore: Any, clock: Any, count: int) -> str:
    await fill(database, clock, count)
    await sequence_all(database, keystore, clock)
    async with database.session() as session:
        return (await latest_checkpoint(session)).note


async def _request(database: Database, note: str, old: int) -> bytes:
    size = int(note.split("\n")[1])
    async with database.session() as session:
        proof = await consistency_proof(session, old, size) if old < size else []
    return AddCheckpoint(old, tuple(proof), Note.parse(note)).encode().encode()


async def test_a_log_is_cosigned_and_says_so(database, second, keystore, clock, city_key, witness) -> None:
    assert await trust_log(second, clock.now(), SYSTEM, city_key)
    assert not await trust_log(second, clock.now(), SYSTEM, city_key)
    async with serving(second, keystore, clock) as url, httpx2.AsyncClient() as client:
        await ask_witness(database, clock.now(), SYSTEM, witness, f"{url}/witness/")
        for count in (3, 500):
            await _grow(database, keystore, clock, count)
            assert [one.problem for one in await collect(database, clock, client)] == [None]
        assert await collect(database, clock, client) == []  # nothing new to sign
    async with database.session() as session:
        cosigned = await latest_cosigned(session)
    text, _, lines = cosigned.partition("\n\n")
    own, theirs = (line.split(" ") for line in lines.splitlines())
    assert (own[1], theirs[1]) == (LOG, WITNESS)
    # tlog-cosignature, written out: 4 octets of key ID, 8 of time, 64 of Ed25519 over two lines and the text
    blob = base64.b64decode(theirs[2])
    seconds = int.from_bytes(blob[4:12], "big")
    Ed25519PublicKey.from_public_bytes(witness.public).verify(blob[12:], f"cosignature/v1\ntime {seconds}\n{text}\n".encode())
    assert seconds == int(clock.now().timestamp())
    report = await verify_log(database)
    assert (report.problems, report.cosignatures) == ([], 2)
    async with serving(database, keystore, clock) as url, httpx2.AsyncClient() as client:
        assert (await client.get(f"{url}/log/cosigned-checkpoint")).text == cosigned


async def test_a_witness_refuses_a_forked_checkpoint(database, second, keystore, clock, city_key, witness) -> None:
    """The must-hold: two histories of one log, each signed by the log's own key."""
    holder = Holder(origin=LOG)
    await trust_log(second, clock.now(), SYSTEM, holder.key)
    honest, forked = MerkleTree([bytes([i]) * 32 for i in range(9)]), MerkleTree([bytes([i + 1]) * 32 for i in range(9)])

    def ask(tree: MerkleTree, old: int, size: int) -> bytes:
        proof = tree.consistency_proof(old, size) if old and old < size else []
        return AddCheckpoint(old, tuple(proof), Note.parse(holder.checkpoint(size, tree.root(size)))).encode().encode()

    async with serving(second, keystore, clock) as url, httpx2.AsyncClient() as client:
        address = f"{url}/witness/add-checkpoint"
        assert (await client.post(address, content=ask(honest, 0, 5))).status_code == 200
        same = await client.post(address, content=ask(forked, 5, 5))
        assert (same.status_code, same.text) == (409, "5\n")
        grown = await client.post(address, content=ask(forked, 5, 9))
        assert grown.status_code == 422
        rolled_back = await client.post(address, content=ask(honest, 0, 4))
        assert (rolled_back.status_code, rolled_back.text, rolled_back.headers["content-type"]) == (409, "5\n", "text/x.tlog.size")
        assert (await client.post(address, content=ask(honest, 4, 5))).status_code == 409
        assert (await client.post(address, content=ask(honest, 5, 5))).status_code == 200  # once more is no harm
        assert (await client.post(address, content=ask(honest, 5, 9))).status_code == 200
    async with second.session() as session:
        assert [size for _, size, _ in await witnessed_logs(session)] == [9]
    page = await search(second, clock, SYSTEM, Query(action="keys.evidence.witness.cosign"), "a test")
    assert [one.body["code"] for one in page.events] == ["WITNESS_PROOF_WRONG", "WITNESS_FORKED_LOG"]
    assert page.events[1].body["details"]["note"] == holder.checkpoint(5, forked.root(5))  # the proof of misconduct is kept


async def test_every_refusal_is_the_one_prescribed(database, second, keystore, clock, city_key, witness) -> None:
    await trust_log(second, clock.now(), SYSTEM, city_key)
    note = await _grow(database, keystore, clock, 4)
    good = await _request(database, note, 0)
    stranger = Holder(origin=LOG)
    proof = base64.b64encode(bytes(32)) + b"\n"
    cases = {
        "an unknown origin": (Holder(origin="other.example/log").checkpoint(1, bytes(32)).join(["old 0\n\n", ""]).encode(), 404),
        "an unknown key": (f"old 0\n\n{stranger.checkpoint(4, bytes(32))}".encode(), 403),
        "a proof from size 0": (good.replace(b"old 0\n", b"old 0\n" + proof, 1), 422),
        "an old size beyond": (good.replace(b"old 0\n", b"old 5\n", 1), 400),
        "a stale old size": (good.replace(b"old 0\n", b"old 3\n", 1), 409),
        "a leading zero": (good.replace(b"old 0\n", b"old 00\n", 1), 400),
        "no old size": (good.partition(b"\n")[2], 400),
        "64 lines": (good.replace(b"old 0\n", b"old 0\n" + proof * 64, 1), 400),
        "a short hash": (good.replace(b"old 0\n", b"old 0\nAAAA\n", 1), 400),
        "garbage": (b"\xff\x00", 400),
        "nothing": (b"", 400),
        "no signature": (good.partition("\n\u2014".encode())[0], 400),
        "a changed root": (good.replace(note.split("\n")[2].encode(), base64.b64encode(bytes(32))), 403),
    }
    async with serving(second, keystore, clock) as url, httpx2.AsyncClient() as client:
        for name, (body, status) in cases.items():
            assert (await client.post(f"{url}/witness/add-checkpoint", content=body)).status_code == status, name
        assert (await client.get(f"{url}/witness/add-checkpoint")).status_code == 405
        assert (await client.post(f"{url}/witness/add-checkpoint", content=good)).status_code == 200
    assert await distrust_log(second, clock.now(), SYSTEM, LOG)
    assert not await distrust_log(second, clock.now(), SYSTEM, LOG)


async def test_requests_at_once_never_roll_back(database, second, keystore, clock, city_key, witness) -> None:
    await trust_log(second, clock.now(), SYSTEM, city_key)
    notes = [await _grow(database, keystore, clock, 2) for _ in range(6)]
    bodies = [await _request(database, note, 0) for note in notes]
    async with serving(second, keystore, clock) as url, httpx2.AsyncClient() as client:
        answers = await asyncio.gather(*(client.post(f"{url}/witness/add-checkpoint", content=one) for one in bodies))
    granted = [note for note, one in zip(notes, answers, strict=True) if one.status_code == 200]
    assert len(granted) == 1
    assert {one.status_code for one in answers} == {200, 409}
    async with second.session() as session:
        assert (await witnessed_logs(session))[0][1] == int(granted[0].split("\n")[1])


async def test_our_log_was_cut_and_the_witness_tells_us(database, second, keystore, clock, city_key, witness) -> None:
    """Events and checkpoints dropped together leave a log that is whole in itself; the witness remembers."""
    holder = Holder(origin=LOG)
    await trust_log(second, clock.now(), SYSTEM, city_key)
    async with serving(second, keystore, clock) as url, httpx2.AsyncClient() as client:
        await ask_witness(database, clock.now(), SYSTEM, witness, f"{url}/witness")
        await _grow(database, keystore, clock, 9)
        assert [one.problem for one in await collect(database, clock, client)] == [None]
        async with database.begin() as session:
            await session.connection()
            for statement in (
                "ALTER TABLE keys.audit_events DISABLE TRIGGER USER",
                "DELETE FROM keys.audit_events",
                "DELETE FROM keys.log_checkpoints",
                "DELETE FROM keys.log_cosignatures",
                "UPDATE keys.log_witnesses SET size = 0",
            ):
                await (await session.connection()).exec_driver_sql(statement)
        await _grow(database, keystore, clock, 4)
        assert (await verify_log(database)).whole
        (asked,) = await collect(database, clock, client)
        assert asked.alarming
        assert "more than this log holds" in asked.problem
        async with database.session() as session:
            assert (await log_state(session, clock.now())).witness_problems == ((WITNESS, asked.problem),)
        await _grow(database, keystore, clock, 20)  # longer than before: now it is a fork
        (asked,) = await collect(database, clock, client)
        assert asked.alarming
        assert "422" in asked.problem
    assert holder.key != city_key


async def test_a_witness_that_is_away_or_lies_is_a_problem_that_passes(database, second, keystore, clock, city_key, witness) -> None:
    await _grow(database, keystore, clock, 2)
    await ask_witness(database, clock.now(), SYSTEM, witness, f"http://127.0.0.1:{free_port()}")
    async with httpx2.AsyncClient() as client:
        (asked,) = await collect(database, clock, client)
        assert asked.problem == "no answer: ConnectError"
        assert (await collect(database, clock, client))[0].problem == asked.problem
        async with serving(second, keystore, clock) as url:
            await trust_log(second, clock.now(), SYSTEM, city_key)
            other = VerifierKey(WITNESS, bytes(range(32)), Kind.COSIGNATURE)
            await ask_witness(database, clock.now(), SYSTEM, other, f"{url}/witness")
            assert (await collect(database, clock, client))[0].problem == "its cosignature does not verify"
            await ask_witness(database, clock.now(), SYSTEM, witness, f"{url}/witness")
            assert (await collect(database, clock, client))[0].problem is None
    page = await search(database, clock, SYSTEM, Query(action="keys.evidence.witness.answer"), "a test")
    assert [one.outcome for one in page.events] == ["done", "failed", "failed"]  # each change once
    assert await forget_witness(database, clock.now(), SYSTEM, WITNESS)


async def test_an_sm2_log_and_an_sm2_witness(database, second, keystore, clock) -> None:
    city = await establish_log(database, keystore, clock, LOG, Algorithm.SM2)
    department = await establish_witness(second, keystore, clock, WITNESS, Algorithm.SM2)
    assert (city.kind, department.kind) == (Kind.SM2, Kind.SM2_COSIGNATURE)
    assert VerifierKey.parse(str(department)) == department
    await trust_log(second, clock.now(), SYSTEM, city)
    async with serving(second, keystore, clock) as url, httpx2.AsyncClient() as client:
        await ask_witness(database, clock.now(), SYSTEM, department, f"{url}/witness")
        await _grow(database, keystore, clock, 3)
        assert [one.problem for one in await collect(database, clock, client)] == [None]
    assert (await verify_log(database)).whole


def test_the_example_of_the_standard_is_read_as_it_says() -> None:
    """The cosigned checkpoint printed in tlog-cosignature: its parts, and that another key's signature is not found on it."""
    note = Note.parse(
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "\u2014 witness.example.com/w1 "
        "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    assert int.from_bytes(note.lines[1].signature[:8], "big") == 1679315147
    assert len(note.lines[1].signature) == 72
    assert not note.signed_by(VerifierKey("witness.example.com/w1", bytes(32), Kind.COSIGNATURE))
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(bytes(range(32))).verify(note.lines[1].signature[8:], b"")
