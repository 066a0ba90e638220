"""Auditors' API and the log's own addresses over the whole application."""

import base64
import contextlib
from collections.abc import AsyncIterator

import httpx2
import pytest

from api.app import create_app
from api.evidence import Evidence, observe
from keys.base.actor import Role
from keys.evidence.log import sequence_all
from keys.evidence.notes import Note, VerifierKey, open_checkpoint
from keys.evidence.proofs import Proof
from keys.evidence.witness import establish_witness
from keys.pki.authority import establish
from tests.pages_house import ISSUER, PASSWORD, add_person, add_second_factor, field_value, open_test_house

PURPOSE = {"Purpose": "%E6%8A%95%E8%AF%89"}


@pytest.fixture
async def house(database, redis_url, keystore, clock, workers, tmp_path):  # type: ignore[no-untyped-def]
    await establish(database, keystore, clock, ISSUER)
    await establish_witness(database, keystore, clock, "witness.test")
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened


@contextlib.asynccontextmanager
async def _client(house, role: Role) -> AsyncIterator[httpx2.AsyncClient]:  # type: ignore[no-untyped-def]
    """Logged in, with the second factor where it is due."""
    account = await add_person(house, role.value, roles=frozenset({role}))
    totp = await add_second_factor(house, account)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=create_app(house)), base_url=ISSUER) as client:
        due = await client.post("/login", data={"username": role.value, "password": PASSWORD, "next": "/account"})
        await client.post("/login", data={"otp": totp.at(house.clock.now()), "next": field_value(due.text, "next")})
        yield client


async def test_an_auditor_searches_pages_and_takes_a_proof(house) -> None:  # type: ignore[no-untyped-def]
    async with _client(house, Role.AUDITOR) as client:
        await sequence_all(house.database, house.keystore, house.clock)
        assert (await client.get("/api/v1/audit/events")).json()["code"] == "PURPOSE_REQUIRED"
        first = (await client.get("/api/v1/audit/events?limit=2", headers=PURPOSE)).json()
        assert len(first["events"]) == 2
        second = (await client.get("/api/v1/audit/events", params={"limit": 2, "after": first["next"]}, headers=PURPOSE)).json()
        assert {one["id"] for one in first["events"]}.isdisjoint(one["id"] for one in second["events"])
        placed = next(one for one in second["events"] + first["events"] if one["position"] is not None)
        answer = await client.get(f"/api/v1/audit/events/{placed['id']}/proof")
        proof = Proof.parse(answer.text)
        proof.check(house.log_key)
        assert proof.index == placed["position"]
        searches = (await client.get("/api/v1/audit/events?action=keys.evidence.search", headers=PURPOSE)).json()["events"]
        assert {one["event"]["details"]["purpose"] for one in searches} == {"投诉"}
        for wrong in ("limit=0", "limit=999", "after=x", "since=yesterday", "outcome=perhaps"):
            assert (await client.get(f"/api/v1/audit/events?{wrong}", headers=PURPOSE)).status_code == 422, wrong


async def test_nobody_else_searches(house) -> None:  # type: ignore[no-untyped-def]
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=create_app(house)), base_url=ISSUER) as stranger:
        assert (await stranger.get("/api/v1/audit/events", headers=PURPOSE)).status_code == 401
    async with _client(house, Role.SYSTEM_ADMIN) as client:
        answer = await client.get("/api/v1/audit/events", headers=PURPOSE)
        assert (answer.status_code, answer.json()["code"]) == (403, "AUDITORS_ONLY")
        proof = await client.get("/api/v1/audit/events/0190a5b0-0000-7000-8000-000000000000/proof")
        assert (proof.status_code, proof.json()["code"]) == (403, "AUDITORS_ONLY")


async def test_the_log_is_anchored_and_says_how_it_stands(house) -> None:  # type: ignore[no-untyped-def]
    evidence = Evidence(house)
    await add_person(house, "somebody")
    await evidence.sequence()
    await evidence.anchor()
    await evidence.reread()
    state = await observe(house)
    assert state.well
    assert state.anchored > 0
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=create_app(house)), base_url=ISSUER) as client:
        (one,) = (await client.get("/log/anchors")).json()["anchors"]
        note = (await client.get(one["checkpoint"])).text
        assert open_checkpoint(note, house.log_key).size == one["size"] == state.anchored
        token = await client.get(one["token"])
        assert (token.headers["content-type"], token.content[:1]) == ("application/timestamp-token", b"\x30")
        assert (await client.get("/log/anchors/999999/token")).status_code == 404
        assert (await client.get("/log/cosigned-checkpoint")).status_code == 404
        keys = dict(line.split(" ") for line in (await client.get("/log/keys")).text.splitlines())
        assert keys["log"] == str(house.log_key)
        assert VerifierKey.parse(keys["witness"]).kind.timed
        assert (await client.get("/readyz")).json()["log"] == "ok"
        assert "fujie_log_halted 0.0" in (await client.get("/metrics")).text
        assert len(base64.b64decode(Note.parse((await client.get("/log/checkpoint")).text).text.split("\n")[2])) == 32
