"""Authority over seals over HTTP and on the command line, on a house without a demonstration: from a matter to a stamp and its log."""

import asyncio
import hashlib
import uuid
from dataclasses import replace
from types import SimpleNamespace

import httpx2
import orjson
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from api.commands import seal_authority, seal_conditions, seal_life, seals
from api.problems import HANDLERS
from api.routes import seal_authority as routes
from api.routes.seals import manager, reader
from identity.people import NewAccount, actor_of, create_account, set_identity
from keys.base.actor import Role
from seal import permits
from tests.seal.conftest import DIVISION, HOUSING, City, city, stages, template  # noqa: F401 - fixtures

CENTRE = "11990100MB0000027F"


@pytest.fixture
async def house(city):  # noqa: F811
    return SimpleNamespace(database=city.database, clock=city.clock)


async def person(city, name, *roles, organisation=HOUSING):  # noqa: F811
    """An account, and the actor it is after a log-in with two factors."""
    async with city.database.begin() as session:
        account = await create_account(
            session, city.clock.now(), NewAccount(name, name, DIVISION, frozenset(roles), organisation), "correct horse battery 26"
        )
        await set_identity(session, city.clock.now(), account.id, name=name, level=3)
        account = replace(account, identity_level=3)
    return replace(actor_of(account), authenticator=2)


@pytest.fixture
async def call(house):
    app = FastAPI(exception_handlers=HANDLERS)
    app.state.house = house
    app.include_router(routes.router)
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test/api/v1")

    async def send(actor, method, path, body=None, key=None):
        app.dependency_overrides |= {manager: lambda: actor, reader: lambda: actor}
        answer = await client.request(method, path, json=body, headers={"Idempotency-Key": key or uuid.uuid4().hex})
        return answer.status_code, answer.json()

    yield send
    await client.aclose()


@pytest.fixture
async def fujie_seal(house, monkeypatch):
    loop = asyncio.get_running_loop()
    for module in (seals, seal_life, seal_authority, seal_conditions):
        monkeypatch.setattr(module, "with_house", lambda journey: asyncio.run_coroutine_threadsafe(journey(house), loop).result(20))

    async def run(*arguments):
        return await asyncio.to_thread(CliRunner().invoke, seals.app, list(arguments))

    return run


async def test_everything_over_http(city, call):  # noqa: F811
    keeper = await person(city, "keeper", Role.SEAL_KEEPER)
    admin, second = [await person(city, name, Role.SECURITY_ADMIN) for name in ("admin", "second")]
    approver, colleague = [await person(city, name, Role.APPROVER) for name in ("approver", "colleague")]
    clerk = await person(city, "clerk", Role.WINDOW_CLERK, organisation=CENTRE)
    centre = await person(city, "centre", Role.SEAL_KEEPER, organisation=CENTRE)
    assert (await call(keeper, "PUT", "/matters/M-1", {"name": "许可", "is_approval": True, "organisation": HOUSING}))[0] == 200
    taken = {"name": "许可", "is_approval": False, "organisation": CENTRE}
    assert (await call(centre, "PUT", "/matters/M-1", taken))[1]["code"] == "MATTER_FORBIDDEN"
    seal = await city.make()
    span = {"valid_from": "2026-11-21T00:00:00Z", "valid_to": "2027-06-01T00:00:00Z"}
    body = {"grantee_kind": "person", "grantee": "approver", "matter_code": "M-1", "quota_day": 9} | span
    key = uuid.uuid4().hex
    status, given = await call(keeper, "POST", f"/seals/{seal.code}/grants", body, key)
    assert status == 201
    assert await call(keeper, "POST", f"/seals/{seal.code}/grants", body, key) == (201, given)
    assert (await call(keeper, "POST", f"/seals/{seal.code}/grants", body | {"quota_day": 8}, key))[1]["code"] == "SEAL_REQUEST_REUSED"
    assert (await call(approver, "POST", f"/seals/{seal.code}/grants", body))[1]["code"] == "SEAL_GRANT_FORBIDDEN"
    assert (await call(keeper, "POST", f"/seals/{seal.code}/grants", body | {"quota_day": 0}))[0] == 422
    while_away = {"to": "colleague", "valid_from": "2026-11-21T02:00:00Z", "valid_to": "2026-11-25T00:00:00Z"}
    status, handed = await call(approver, "POST", f"/seal-grants/{given['id']}/delegate", while_away)
    assert status == 201, handed
    status, listed = await call(keeper, "GET", f"/seals/{seal.code}/grants")
    assert {one["id"]: one["ancestors"] for one in listed["items"]} == {given["id"]: [], handed["id"]: [given["id"]]}

    why = {"person": "colleague", "matter_code": "M-1", "authenticator": 2}
    status, told = await call(keeper, "POST", f"/seals/{seal.code}/why", why)
    assert (status, told["permitted"], told["code"]) == (200, True, "GRANTED")
    assert (await call(approver, "POST", f"/seals/{seal.code}/why", why))[1]["code"] == "SEAL_AUTHORITY_HIDDEN"
    assert (await call(keeper, "POST", f"/seals/{seal.code}/why", why | {"authenticator": 1}))[1]["code"] == "AUTHENTICATOR_TOO_WEAK"
    permit = await permits.request_permit(city.database, city.clock, city.use(seal, actor=colleague, matter_code="M-1"))
    async with city.database.begin() as session:
        await permits.consume_permit(session, city.clock.now(), permit, city.document)
    status, log = await call(keeper, "GET", f"/seals/{seal.code}/uses")
    (use,) = log["items"]
    assert (use["document_hash"], use["matter_code"]) == (city.document.hex(), "M-1")
    assert (use["actor_id"], use["grant_id"]) == (colleague.id, handed["id"])
    assert (await call(centre, "GET", f"/seals/{seal.code}/uses"))[1]["code"] == "SEAL_AUTHORITY_HIDDEN"

    assert (await call(keeper, "PUT", f"/seals/{seal.code}/requirements", {"approvals": 2}))[0] == 200
    assert (await call(keeper, "PUT", f"/seals/{seal.code}/requirements", {"approvals": 1}))[1]["code"] == "SEAL_AUTHORITY_FORBIDDEN"
    agreed = {"document_hash": city.document.hex(), "requester": clerk.id}
    status, approved = await call(approver, "POST", f"/seals/{seal.code}/approvals", agreed)
    assert status == 201
    assert (await call(approver, "POST", f"/seal-approvals/{approved['id']}/withdraw"))[0] == 200
    assert (await call(admin, "PUT", f"/seals/{seal.code}/requirements", {}))[0] == 200

    place = {"name": "窗口", "organisation": CENTRE, "division": DIVISION, "place": "一层", "networks": ["10.0.0.0/8"]}
    assert (await call(centre, "PUT", "/windows/W-1", place))[0] == 200
    assert (await call(centre, "POST", "/windows/W-1/post", {"name": "clerk"}))[0] == 200
    assert (await call(keeper, "POST", "/windows/W-1/give", {"name": seal.code}))[0] == 200
    for who, people in ((centre, [clerk.id]), (admin, [clerk.id]), (clerk, [clerk.id]), (keeper, []), (approver, [])):
        status, found = await call(who, "GET", "/windows")
        assert [(one["id"], one["seals"], one["people"]) for one in found["items"]] == [("W-1", [seal.code], people)], who.id
    assert (await call(keeper, "POST", f"/seals/{seal.code}/why", why))[1]["code"] == "SEAL_USED_ELSEWHERE"
    for step, name in (("take", seal.code),):
        assert (await call(keeper, "POST", f"/windows/W-1/{step}", {"name": name}))[0] == 200
    assert (await call(keeper, "POST", "/windows/W-1/burn", {"name": "x"}))[0] == 404

    statutory = await city.make(kind="statutory", name="局")
    status, basis = await call(admin, "POST", f"/seals/{statutory.code}/legal-bases", {"matter_code": "M-1", "basis": "条例第十条"})
    assert (await call(admin, "POST", f"/legal-bases/{basis['id']}/confirm"))[1]["code"] == "SEAL_LEGAL_BASIS_NEEDS_ANOTHER"
    assert (await call(second, "POST", f"/legal-bases/{basis['id']}/confirm"))[0] == 200
    assert (await call(keeper, "GET", f"/seals/{statutory.code}/legal-bases"))[1]["items"][0]["confirmed_by"] == second.id

    city.clock.advance(days=345)
    status, due = await call(keeper, "GET", "/seal-grants/reviews")
    assert given["id"] not in {one["id"] for one in due["items"]}, "it ended in June"
    assert (await call(keeper, "GET", f"/seals/{seal.code}/alerts"))[1]["items"] == []
    assert (await call(keeper, "POST", f"/seal-grants/{given['id']}/confirm", {"note": "needed"}))[0] == 200
    assert (await call(keeper, "POST", f"/seal-grants/{given['id']}/withdraw"))[0] == 200
    assert (await call(keeper, "POST", "/seal-grants/nothing/withdraw"))[0] == 404


async def test_everything_on_the_command_line(city, fujie_seal, tmp_path):  # noqa: F811
    await person(city, "approver", Role.APPROVER)
    await person(city, "clerk", Role.WINDOW_CLERK, organisation=CENTRE)
    assert orjson.loads((await fujie_seal("matter", "put", "M-1", "许可", "--organisation", HOUSING, "--approval")).stdout)["is_approval"]
    seal = await city.make()
    given = await fujie_seal(
        "grant", "give", seal.code, "--matter", "M-1", "--person", "approver", "--hours", "mon-sun 08:00-18:00", "--quota-day", "5"
    )
    grant = orjson.loads(given.stdout)["id"]
    unattended = await fujie_seal("grant", "give", seal.code, "--matter", "M-1", "--client", "approvals", "--unattended")
    assert unattended.exit_code == 0
    listed = [orjson.loads(line) for line in (await fujie_seal("grant", "list", seal.code)).stdout.splitlines()]
    assert [(one["grantee_kind"], one["quota_day"]) for one in listed] == [("person", 5), ("client", 10_000)]
    asked = ("why", "--person", "approver", "--seal", seal.code, "--matter", "M-1")
    told = await fujie_seal(*asked, "--authenticator", "2", "--json")
    assert (told.exit_code, orjson.loads(told.stdout)["permitted"]) == (0, True)
    spoken = await fujie_seal(*asked)
    assert (spoken.exit_code, "AUTHENTICATOR_TOO_WEAK" in spoken.stdout) == (1, True)
    assert len(spoken.stdout.splitlines()) == 27
    night = await fujie_seal(*asked, "--authenticator", "2", "--at", "2026-11-21T16:00:00", "--json")
    assert orjson.loads(night.stdout)["code"] == "GRANT_OUTSIDE_HOURS"
    by_client = await fujie_seal("why", "--client", "approvals", "--seal", seal.code, "--matter", "M-1", "--json")
    assert orjson.loads(by_client.stdout)["permitted"]
    window = ("window", "put", "W-1", "窗口", "--organisation", CENTRE, "--division", DIVISION, "--place", "一层")
    for arguments in (window, ("window", "post", "W-1", "clerk"), ("window", "give", "W-1", seal.code)):
        assert (await fujie_seal(*arguments)).exit_code == 0, arguments
    assert orjson.loads((await fujie_seal("window", "list")).stdout)["seals"] == [seal.code]
    assert orjson.loads((await fujie_seal(*asked, "--authenticator", "2", "--json")).stdout)["code"] == "SEAL_USED_ELSEWHERE"
    for arguments in (("window", "take", "W-1", seal.code), ("window", "leave", "W-1", "clerk"), ("window", "close", "W-1")):
        assert (await fujie_seal(*arguments)).exit_code == 0, arguments
    assert (await fujie_seal("require", seal.code, "--approvals", "2")).exit_code == 0
    document = tmp_path / "document.pdf"
    document.write_bytes(b"%PDF")
    assert (await fujie_seal("approval", "list", str(document))).stdout == ""
    digest = hashlib.sha256(b"%PDF").hexdigest()
    assert (
        orjson.loads((await fujie_seal(*asked, "--authenticator", "2", "--document", digest, "--json")).stdout)["code"]
        == "TWO_APPROVERS_NEEDED"
    )
    basis = await fujie_seal("legal-basis", "propose", seal.code, "--matter", "M-1", "--basis", "条例第十条")
    identifier = orjson.loads(basis.stdout)["id"]
    assert orjson.loads((await fujie_seal("legal-basis", "list", seal.code)).stdout)["confirmed_at"] is None
    assert (await fujie_seal("legal-basis", "withdraw", identifier)).exit_code == 0
    assert orjson.loads((await fujie_seal("grant", "confirm", grant)).stdout)["review_due"].startswith("2027-11-22")
    assert (await fujie_seal("grant", "reviews", HOUSING)).stdout == ""
    assert orjson.loads((await fujie_seal("grant", "withdraw", grant)).stdout)["withdrawn"]
    assert (await fujie_seal("uses", seal.code)).stdout == ""
    assert (await fujie_seal("alert", "list", seal.code)).stdout == ""
    assert (await fujie_seal("grant", "give", seal.code, "--matter", "M-1")).exit_code == 2


async def test_a_repeated_change_gets_the_same_answer_and_another_body_none(city, call):  # noqa: F811
    keeper = await person(city, "keeper", Role.SEAL_KEEPER)
    await person(city, "approver", Role.APPROVER)
    seal = await city.make()
    body = {"grantee_kind": "person", "grantee": "approver", "matter_code": city.matter, "valid_to": "2027-06-01T00:00:00Z"}
    made = await call(keeper, "POST", f"/seals/{seal.code}/grants", body, "a")
    assert made[0] == 201
    city.clock.advance(minutes=5)
    assert await call(keeper, "POST", f"/seals/{seal.code}/grants", body, "a") == made, "also where an omitted start is the present moment"
    withdrawn = await call(keeper, "POST", f"/seal-grants/{made[1]['id']}/withdraw", None, "b")
    assert withdrawn[0] == 200
    assert await call(keeper, "POST", f"/seal-grants/{made[1]['id']}/withdraw", None, "b") == withdrawn
    assert (await call(keeper, "POST", f"/seal-grants/{made[1]['id']}/withdraw", None, "c"))[1]["code"] == "SEAL_GRANT_WITHDRAWN"
    agreed, approver = {"document_hash": "ab" * 32, "requester": "clerk"}, await person(city, "second", Role.APPROVER)
    own = await call(approver, "POST", f"/seals/{seal.code}/approvals", agreed, "d")
    assert own[0] == 201
    assert await call(approver, "POST", f"/seals/{seal.code}/approvals", agreed, "d") == own
    status, problem = await call(approver, "POST", f"/seals/{seal.code}/approvals", agreed | {"requester": "another"}, "d")
    assert (status, problem["code"]) == (422, "SEAL_REQUEST_REUSED")
    others = await call(keeper, "POST", f"/seals/{seal.code}/grants", body, "d")
    assert others[0] == 201, "keys are each person's own"
    results = await asyncio.gather(*(call(keeper, "POST", f"/seals/{seal.code}/grants", body, "e") for _ in range(8)))
    given = {answer["id"] for status, answer in results if status == 201}
    assert len(given) == 1
    assert {status for status, _ in results} <= {201, 409}
    refused = {"grantee_kind": "person", "grantee": "nobody", "matter_code": city.matter, "valid_to": "2027-06-01T00:00:00Z"}
    assert (await call(keeper, "POST", f"/seals/{seal.code}/grants", refused, "f"))[0] == 422
    assert (await call(keeper, "POST", f"/seals/{seal.code}/grants", body, "f"))[0] == 201, "a refusal frees the key"
