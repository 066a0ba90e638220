"""Attacks on the evidence: rows changed behind the log's back, files of a forger's making, witnesses that answer badly."""

import asyncio
import contextlib
import datetime as dt
import io
import resource
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from httpx2 import AsyncClient
from sqlalchemy import text

from api.commands.audit import read_text
from keys.base import der
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.db import Database
from keys.base.errors import InvalidInput
from keys.custody.software import SoftwareKeyStore
from keys.evidence import witnesses
from keys.evidence.anchors import anchor, anchor_problem
from keys.evidence.container import Member, member, members
from keys.evidence.examine import examine
from keys.evidence.export import anchor_name, bodies_name, checkpoints_name
from keys.evidence.log import establish_log, sequence_all
from keys.evidence.notes import Kind, MalformedNote, VerifierKey
from keys.evidence.search import Query, search
from keys.evidence.verify import verify_log
from keys.evidence.witnesses import ask_witness, collect
from keys.pki.authority import establish
from keys.time.authority import TimestampAuthority
from tests.conftest import TestClock
from tests.keys.forging import Holder, body, chunks_of, octets, write_export
from tests.keys.trail import fill

AUDITOR = Actor(ActorKind.PERSON, "auditor", roles=frozenset({Role.AUDITOR}), authenticator=2)


def _problems(made: list[Member]) -> list[str]:
    return examine(members(io.BytesIO(octets(made)))).problems


def _replaced(made: list[Member], name: str, data: bytes) -> list[Member]:
    return [member(name, data) if one.named() == name else one for one in made]


@pytest.fixture
def forged() -> tuple[list[Member], Holder]:
    holder = Holder()
    return write_export(chunks_of(3, body), [3], holder)[0], holder


@pytest.mark.parametrize("said", ["bodies ² ³", "bodies 0 " + "9" * 5000, "bodies 0", "bodies -1 2", "bodies 00 3"])
def test_a_manifest_of_strange_numbers_is_a_problem_and_no_traceback(forged: tuple[list[Member], Holder], said: str) -> None:
    made, holder = forged
    words = made[-1].data.decode().partition("\n\n")[0] + "\n"
    assert "bodies 0 3" in words
    assert _problems(_replaced(made, "manifest", holder.sign(words.replace("bodies 0 3", said)).encode()))


@pytest.mark.parametrize("name", [bodies_name(0), checkpoints_name(0)])
def test_a_member_of_millions_of_lines_is_refused_before_it_is_split(forged: tuple[list[Member], Holder], name: str) -> None:
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert _problems(_replaced(forged[0], name, b"\n" * 16_000_000))
    assert time.process_time() - began < 10.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes: not 8 octets a line besides


def test_a_time_stamp_nested_thousands_deep_is_a_problem(forged: tuple[list[Member], Holder]) -> None:
    deep = b""
    for _ in range(3000):
        deep = der.sequence(deep)
    other_name = der.encode(0xA0, der.object_identifier("1.2.3") + der.encode(0xA0, deep))
    imprint = der.sequence(der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1")), der.octet_string(bytes(32)))
    instant = der.encode(der.GENERALIZED_TIME, b"20261121000000Z")
    info = der.sequence(der.integer(1), der.object_identifier("1.2.3"), imprint, der.integer(5), instant, der.encode(0xA0, other_name))
    content = der.sequence(der.object_identifier("1.2.840.113549.1.9.16.1.4"), der.encode(0xA0, der.octet_string(info)))
    signed = der.sequence(der.integer(3), der.encode(0x31, b""), content, der.encode(0x31, b""))
    token = der.sequence(der.object_identifier("1.2.840.113549.1.7.2"), der.encode(0xA0, signed))
    assert anchor_problem(token, "a note\n") is not None
    made = forged[0]
    assert _problems([*made[:4], member(anchor_name(3), token), *made[4:]])


def test_anchors_are_looked_at_one_by_one(forged: tuple[list[Member], Holder]) -> None:
    """A file with sixty of four megabytes is read in the memory of one."""
    made, header = forged[0], member(anchor_name(3), bytes(4_000_000)).header
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    many = (Member(header, bytes(4_000_000), bytes(-4_000_000 % 512)) for _ in range(60))
    report = examine(one for part in (made[:4], many, made[4:]) for one in part)
    assert (report.anchors, report.whole) == (60, False)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_proof_or_kept_checkpoint_of_any_size_is_read_no_further_than_a_megabyte(tmp_path: Path) -> None:
    file = tmp_path / "huge"
    with file.open("wb") as handle:
        handle.truncate(1 << 40)
    assert len(read_text(file)) <= 1_000_000
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(MalformedNote):
        read_text(file)


@pytest.fixture
async def log(database: Database, keystore: SoftwareKeyStore, clock: TestClock) -> VerifierKey:
    return await establish_log(database, keystore, clock, "fujie.test/log")


async def _behind_its_back(database: Database, statement: str) -> None:
    """As somebody who owns the database, and whom no trigger stops."""
    async with database.begin() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text(statement))


async def test_an_event_that_is_moved_out_of_the_time_searched_is_found(
    database: Database, keystore: SoftwareKeyStore, clock: TestClock, log: VerifierKey
) -> None:
    clock.instant = clock.instant.replace(microsecond=123_456)
    await fill(database, clock, 5)
    await sequence_all(database, keystore, clock)
    assert (await verify_log(database)).whole
    await _behind_its_back(database, "UPDATE keys.audit_events SET occurred_at = occurred_at - interval '1 year' WHERE position = 3")
    assert any("entry 3" in problem for problem in (await verify_log(database)).problems)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE keys.log_anchors SET token = set_byte(token, length(token) - 5, get_byte(token, length(token) - 5) # 1)",
        "UPDATE keys.log_anchors SET token = token || 'x'",
        "DELETE FROM keys.log_anchors",
    ],
)
async def test_an_anchor_is_the_one_that_was_recorded(
    database: Database, keystore: SoftwareKeyStore, clock: TestClock, log: VerifierKey, tampering: str
) -> None:
    await establish(database, keystore, clock, "http://127.0.0.1:8000")
    await fill(database, clock, 5)
    await sequence_all(database, keystore, clock)
    assert await anchor(database, clock, TimestampAuthority(database, keystore, clock))
    await sequence_all(database, keystore, clock)
    assert (await verify_log(database)).problems == []
    await _behind_its_back(database, tampering)
    assert any("anchor" in problem for problem in (await verify_log(database)).problems)


@contextlib.asynccontextmanager
async def _answering(send: Callable[[asyncio.StreamWriter], Any]) -> AsyncIterator[str]:
    """A witness that begins to answer, and then does as it likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                await send(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"1\r\nx\r\n")
    await writer.drain()
    await asyncio.sleep(0.05)


async def _flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"100000\r\n" + bytes(0x100000) + b"\r\n")
    await writer.drain()


@pytest.mark.parametrize("send", [_drip, _flood])
async def test_a_witness_that_never_ends_its_answer_does_not_hold_the_others_up(
    database: Database, keystore: SoftwareKeyStore, clock: TestClock, log: VerifierKey, send: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witnesses, "SECONDS", 0.5)
    await fill(database, clock, 3)
    await sequence_all(database, keystore, clock)
    async with _answering(send) as url, AsyncClient(trust_env=False) as client, asyncio.timeout(5):
        await ask_witness(database, clock.now(), SYSTEM, VerifierKey("slow.example/w", bytes(32), Kind.COSIGNATURE), url)
        (asked,) = await collect(database, clock, client)
    assert asked.problem is not None


STRANGE = [
    Query(actor="\0"),
    Query(object="x\0y"),
    Query(action="\0"),
    Query(since=dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=14)))),
    Query(until=dt.datetime(9999, 12, 31, 23, 59, tzinfo=dt.timezone(-dt.timedelta(hours=12)))),
    Query(after="9" * 18 + "." + "0" * 32),
    Query(after="1.{00000000-0000-0000-0000-000000000000}"),
]


async def test_an_auditors_strange_question_is_invalid_input(database: Database, clock: TestClock) -> None:
    for query in STRANGE:
        with pytest.raises(InvalidInput):
            await search(database, clock, AUDITOR, query, "a test")


async def test_wildcards_in_a_search_are_plain_characters(database: Database, clock: TestClock) -> None:
    await fill(database, clock, 5)
    for action in ("%", "certs_issue", "certs.issue.step_", "\\", "'; --"):
        assert (await search(database, clock, AUDITOR, Query(action=action), "a test")).events == (), action
    assert len((await search(database, clock, AUDITOR, Query(action="certs.issue"), "a test")).events) == 5
