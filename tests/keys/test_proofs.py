"""The proof of one event, checked by a few lines written from the RFC and by the offline command; and what auditors find."""

import base64
import datetime as dt
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.errors import InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence.audit import Outcome
from keys.evidence.log import establish_log, sequence_all
from keys.evidence.notes import Kind, VerifierKey
from keys.evidence.proofs import EventWaits, Proof, ProofInvalid, prove
from keys.evidence.search import AuditorsOnly, Page, Query, search
from tests.keys.trail import ACTORS, fill, place

AUDITOR = Actor(ActorKind.PERSON, "the-auditor", roles=frozenset({Role.AUDITOR}), authenticator=2)


def independent_check(text: str, public: bytes) -> dict[str, Any]:
    """RFC 9162 §2.1.3.2 and C2SP tlog-proof, without a line of the product. Raises AssertionError; answers the event."""
    head, checkpoint, signatures = text.split("\n\n")
    name, extra, index_line, *path = head.split("\n")
    assert name == "c2sp.org/tlog-proof@v1"
    body = base64.b64decode(extra.removeprefix("extra "))
    origin, size, root = checkpoint.split("\n")
    signature = base64.b64decode(signatures.split("\n")[0].split(" ")[2])[4:]
    Ed25519PublicKey.from_public_bytes(public).verify(signature, f"{checkpoint}\n".encode())
    fn, sn = int(index_line.removeprefix("index ")), int(size) - 1
    r = hashlib.sha256(b"\0" + hashlib.sha256(body).digest()).digest()
    for p in map(base64.b64decode, path):
        assert sn != 0
        if fn % 2 == 1 or fn == sn:
            r = hashlib.sha256(b"\1" + p + r).digest()
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = hashlib.sha256(b"\1" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    assert r == base64.b64decode(root)
    assert origin == "fujie.test/log"
    return orjson.loads(body)


@pytest.fixture
async def log(database, keystore, clock) -> VerifierKey:  # type: ignore[no-untyped-def]
    key = await establish_log(database, keystore, clock, "fujie.test/log")
    await fill(database, clock, 700)
    await place(database, keystore, clock, 97)
    return key


async def _all(database: Any, clock: Any, **asked: Any) -> list[Any]:
    found, after = [], None
    while True:
        page: Page = await search(database, clock, SYSTEM, Query(**asked, after=after, limit=200), "a test")
        found += page.events
        if (after := page.next) is None:
            return found


async def test_any_event_is_proved_and_a_stranger_can_check_it(database, keystore, clock, log) -> None:
    events = [one for one in await _all(database, clock, action="certs.") if one.position in (0, 1, 255, 256, 511, 600, 699)]
    assert len(events) == 7
    for event in events:
        proof = await prove(database, event.id)
        assert len(proof.encode()) < 4_000
        assert independent_check(proof.encode(), log.public) == event.body
        assert Proof.parse(proof.encode()) == proof
        assert proof.check(log).size == 700


async def test_every_flip_of_a_proof_is_found(database, keystore, clock, log, tmp_path) -> None:
    event = (await _all(database, clock, object="certificate:300"))[0]
    text = (await prove(database, event.id)).encode().encode()
    believed = []
    for at in range(len(text)):
        for bit in (1, 2, 32):
            forged = text[:at] + bytes([text[at] ^ bit]) + text[at + 1 :]
            try:
                Proof.parse(forged.decode()).check(log)
            except (ProofInvalid, UnicodeDecodeError):
                continue
            believed.append((at, bit))
    assert believed == []


async def test_a_proof_is_worth_what_its_keys_are(database, keystore, clock, log) -> None:
    event = (await _all(database, clock, object="certificate:3"))[0]
    proof = await prove(database, event.id)
    with pytest.raises(ProofInvalid, match="log's key"):
        proof.check(VerifierKey(log.name, bytes(range(32))))
    with pytest.raises(ProofInvalid, match="not cosigned by w"):
        proof.check(log, [VerifierKey("w", bytes(range(32)), Kind.COSIGNATURE)])
    with pytest.raises(NotFound):
        await prove(database, new_id())
    await fill(database, clock, 1)
    waiting = next(one for one in await _all(database, clock, action="certs.") if one.position is None)
    with pytest.raises(EventWaits):
        await prove(database, waiting.id)


async def test_the_command_checks_a_proof_offline(database, keystore, clock, log, tmp_path: Path) -> None:
    event = (await _all(database, clock, object="certificate:300"))[0]
    file = tmp_path / "event.tlog-proof"
    file.write_text((await prove(database, event.id)).encode())
    command = [sys.executable, "-m", "api", "audit", "check-proof", str(file), "--vkey", str(log)]
    good = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (good.returncode, orjson.loads(good.stdout.splitlines()[0])) == (0, event.body), good.stderr
    file.write_text(file.read_text().replace(f"index {event.position}", f"index {event.position + 1}"))
    bad = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (bad.returncode, "PROOF_INVALID" in bad.stderr, "Traceback" in bad.stderr) == (1, True, False)


async def test_auditors_find_by_actor_object_action_outcome_and_time(database, keystore, clock, log) -> None:
    clock.advance(days=1)
    await fill(database, clock, 50)
    everything = await _all(database, clock, action="certs.")
    assert [one.time for one in everything] == sorted((one.time for one in everything), reverse=True)
    assert len({one.id for one in everything}) == len(everything) == 750
    assert {one.body["actor"]["id"] for one in await _all(database, clock, actor=ACTORS[2].id)} == {ACTORS[2].id}
    assert len(await _all(database, clock, object="certificate:7")) == 2
    assert {one.action for one in await _all(database, clock, action="certs.issue.step3")} == {"certs.issue.step3"}
    assert await _all(database, clock, action="certs_issue") == []  # no wildcard
    assert await _all(database, clock, action="certs.", outcome=Outcome.REFUSED) == []
    assert len(await _all(database, clock, action="certs.", since=clock.now())) == 50
    assert len(await _all(database, clock, action="certs.", until=clock.now())) == 700
    assert len(await _all(database, clock, action="certs.", since=clock.now() + dt.timedelta(milliseconds=49))) == 1


async def test_every_search_is_an_event_with_who_what_and_why(database, keystore, clock, log) -> None:
    clock.advance(minutes=1)
    await search(database, clock, AUDITOR, Query(object="certificate:7", limit=5), "complaint 12")
    found = (await _all(database, clock, actor="the-auditor"))[0]
    assert (found.action, found.outcome) == ("keys.evidence.search", "done")
    assert found.body["details"] == {"query": {"object": "certificate:7"}, "purpose": "complaint 12", "found": 1}
    for role in (None, Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.APPROVER):
        with pytest.raises(AuditorsOnly):
            await search(database, clock, Actor(ActorKind.PERSON, "somebody", roles=frozenset({role} if role else ())), Query(), "curious")
    assert [one.outcome for one in await _all(database, clock, actor="somebody")] == ["refused"] * 4


@pytest.mark.parametrize("asked", [{"after": "x"}, {"after": "1.zz"}, {"after": "9" * 40 + "." + "0" * 32}, {"limit": 0}, {"limit": 201}])
async def test_a_malformed_question_is_refused(database, clock, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        await search(database, clock, AUDITOR, Query(**asked), "why")


async def test_searches_read_an_index_and_not_the_table(database, keystore, clock, log) -> None:
    """At the size of a real trail: the planner is told that sequential reading is not wanted, and must have another way."""
    async with database.session() as session:
        connection = await session.connection()
        for way in ("seqscan", "bitmapscan"):
            await connection.exec_driver_sql(f"SET enable_{way} = off")
        for condition in ("actor_id = 'a'", "object = 'o'", "occurred_at >= now()"):
            statement = f"EXPLAIN SELECT * FROM keys.audit_events WHERE {condition} ORDER BY occurred_at DESC, id DESC LIMIT 50"
            plan = "\n".join((await connection.exec_driver_sql(statement)).scalars())
            assert "Index Scan" in plan, plan
            assert "Sort" not in plan, plan
    await sequence_all(database, keystore, clock)
