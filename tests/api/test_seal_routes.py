"""Seals over HTTP and on the command line of a house that is no demonstration, and what other registries learn and tell over HTTP."""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import orjson
import pyotp
import pytest
import uvicorn
from typer.testing import CliRunner

from api.app import create_app
from api.commands import seal_life, seal_register, seals, trust
from api.wiring import House
from identity.credentials import enrol_totp
from identity.login_policy import PASSWORD_AND_OTP
from identity.organisations import Organisation, put_organisation
from identity.people import NewAccount, create_account, set_identity
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.db import Database
from keys.base.ids import new_code
from keys.pki.authority import establish, trust_bundle
from keys.trust.certificates import read_bundle
from keys.trust.signed import verify_document
from seal.changes import cancel_seal, suspend_seal
from seal.foreign_http import HttpStatus
from seal.foreign_status import ForeignStatusRefused, ForeignStatusUnreachable, ask_others, read_answer, what_is_known
from seal.lifecycle import Status
from seal.making import SealOrder, make_seal
from seal.public_status import TYPE
from seal.reachable import Reachable
from seal.registries import Registry, SealRegistryUnreachable, register
from seal.status_list import SealListOutdated, require_current, verify_status_list
from seal.verdict import Indication, Kind, SealReport, Verdict, judged, passed, summed_up
from seal.verification_registry import ask_registries
from tests.conftest import copy_database
from tests.pages_house import ISSUER, PASSWORD, open_test_house
from tests.portal import City

HOUSING, CENTRE = "11990100MB00000435", "11990100MB0000019L"
PATH = "/api/v1/seals"
SCOPES = ("openid", "profile", "seals:manage")
NAME = "示范市住房和城乡建设局"


@pytest.fixture
def template(pki_template: str) -> str:
    return pki_template


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[House]:
    """Production: nothing was made for it but its authorities."""
    await establish(database, keystore, clock, ISSUER)
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        async with opened.database.begin() as session:
            await put_organisation(session, clock.now(), Organisation(HOUSING, NAME, "990100", "authority"))
        yield replace(opened, settings=opened.settings.model_copy(update={"demo": False}))


class Caller:
    """A portal with a token of a person."""

    def __init__(self, browser: httpx2.AsyncClient, token: str) -> None:
        self.browser, self.headers = browser, {"Authorization": f"Bearer {token}"}

    async def post(self, path: str, body: object, key: str | None = "") -> httpx2.Response:
        given = {} if key is None else {"Idempotency-Key": key or uuid.uuid4().hex}
        return await self.browser.post(PATH + path, json=body, headers=self.headers | given)

    async def get(self, path: str) -> httpx2.Response:
        return await self.browser.get(path, headers=self.headers)


async def caller(house: House, name: str, role: Role, organisation: str) -> Caller:
    async with house.database.begin() as session:
        account = await create_account(
            session, house.clock.now(), NewAccount(name, name, "990100", frozenset({role}), organisation), PASSWORD
        )
        await set_identity(session, house.clock.now(), account.id, name=name, level=2)
    city = City(create_app(house), house.database, house.clock, account)
    client, secret = await city.register(scopes=SCOPES)
    await city.log_in(PASSWORD_AND_OTP)
    await city.consent(client)
    tokens = await city.tokens(client, secret, scope=" ".join(SCOPES))
    return Caller(city.browser, tokens["access_token"])


LOOPBACK = Reachable.read("127.0.0.0/8")


def order(clock: Any, **changes: object) -> dict[str, object]:
    ends = (clock.now() + dt.timedelta(days=365)).isoformat()
    return {"name": f"{NAME}合同专用章", "kind": "contract", "valid_from": clock.now().isoformat(), "valid_to": ends} | changes


async def test_a_seals_life_over_http_in_production(house: House, clock: Any) -> None:
    keeper = await caller(house, "keeper1", Role.SEAL_KEEPER, HOUSING)
    first, second = [await caller(house, name, Role.SECURITY_ADMIN, CENTRE) for name in ("admin1", "admin2")]
    key, asked = uuid.uuid4().hex, order(clock, documents=[{"kind": "application", "sha256": "ab" * 32, "name": "申请表.pdf"}])
    made = await keeper.post("", asked, key)
    assert made.status_code == 201, made.text
    application = made.json()["id"]
    assert (await keeper.post("", asked, key)).json()["id"] == application, "asked again it is the same application"
    assert (await keeper.post("", order(clock, name="另一枚"), key)).json()["code"] == "IDEMPOTENCY_KEY_REUSED"
    for stolen in ({"organisation_name": "示范市公安局"}, {"look": {"upper": "示范市公安局"}}, {"organisation_name": f"{NAME}办公室"}):
        refused = await keeper.post("", order(clock, **stolen))
        assert (refused.status_code, refused.json()["code"]) == (422, "SEAL_NAME_NOT_REGISTERED"), "nobody orders the name of another"
    waiting = (await first.get(f"{PATH}/applications")).json()["items"]
    assert [one["id"] for one in waiting] == [application]
    for who, path, status, told in (
        (keeper, f"/{application}/review", 403, "SEAL_MOVE_FORBIDDEN"),
        (first, f"/{application}/make", 409, "SEAL_MOVE_NOT_ALLOWED"),
        (first, f"/{application}/review", 200, "examined"),
        (first, f"/{application}/review", 403, "SEAL_REVIEWED_TWICE"),
        (second, f"/{application}/review", 200, "reviewed"),
        (second, f"/{application}/make", 200, "made"),
        (second, f"/{application}/file", 200, "filed"),
        (keeper, f"/{application}/activate", 200, "active"),
        (keeper, f"/{application}/suspend", 200, "suspended"),
        (keeper, f"/{application}/resume", 403, "SEAL_MOVE_FORBIDDEN"),
        (second, f"/{application}/resume", 200, "active"),
    ):
        answer = await who.post(path, {"reason": "按规定"} if path.endswith("suspend") else {})
        assert (answer.status_code, answer.json().get("status" if status == 200 else "code")) == (status, told), answer.text
    code = (await keeper.get(f"{PATH}/{application}")).json()["code"]
    stolen = await keeper.post(f"/{code}/change", {"organisation_name": "示范市公安局", "reason_code": "text_changed"})
    assert stolen.json()["code"] == "SEAL_NAME_NOT_REGISTERED"
    changed = await keeper.post(f"/{code}/change", {"name": "新合同专用章", "reason_code": "text_changed"})
    assert (changed.status_code, changed.json()["predecessor"]) == (201, application), changed.text
    history = (await keeper.get(f"{PATH}/{code}/history")).json()["items"]
    assert [one["to"] for one in history] == ["applied", "examined", "reviewed", "made", "filed", "active", "suspended", "active"]
    assert history[0]["documents"][0]["kind_zh"] == "制章申请表"
    notices = (await keeper.get(f"{PATH}/notices")).json()["items"]
    assert [one["kind"] for one in notices][:2] == ["apply", "resume"]
    assert (await keeper.post("/notices/read", {"up_to": notices[0]["id"]}, None)).json() == {"marked": 9}
    statistics = (await keeper.get(f"{PATH}/statistics")).json()["seals"]
    assert {(one["kind"], one["status"], one["seals"]) for one in statistics} == {("contract", "active", 1), ("contract", "applied", 1)}
    assert (await keeper.get(f"{PATH}/{code}/picture.png")).content.startswith(b"\x89PNG")
    assert len((await keeper.get(PATH)).json()["items"]) == 2
    stranger = await caller(house, "keeper2", Role.SEAL_KEEPER, CENTRE)
    assert (await stranger.get(f"{PATH}/{code}")).json()["code"] == "SEAL_NOT_FOUND"
    for body, status, told in (
        ({"reason_code": "nothing"}, 422, "SEAL_REASON_UNSUITABLE"),
        ({"surprise": 1}, 422, "INVALID_INPUT"),
        ({"documents": [{"kind": "x", "sha256": "x", "name": "x"}]}, 422, "SEAL_DOCUMENTS_MALFORMED"),
    ):
        refused = await second.post(f"/{code}/cancel", body)
        assert (refused.status_code, refused.json()["code"]) == (status, told), refused.text
    assert (await second.post(f"/{code}/cancel", {}, None)).json()["code"] == "IDEMPOTENCY_KEY_REQUIRED"
    feed = await second.browser.get("/api/v1/seal-feed", headers=second.headers)
    assert [orjson.loads(line)["status"] for line in feed.text.splitlines()] == ["filed", "active", "suspended", "active"]


async def test_a_seals_life_on_the_command_line_in_production(
    house: House, clock: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where a person is needed they log in at the terminal with both factors; the rest an administrator of the machine may do."""
    house = replace(house, time=replace(house.time, guard=clock))  # whose guard would not believe a clock that jumps
    loop = asyncio.get_running_loop()
    for module in (seals, seal_life, seal_register, trust):
        monkeypatch.setattr(module, "with_house", lambda journey: asyncio.run_coroutine_threadsafe(journey(house), loop).result(60))
    people = {}
    for name, role, organisation in (("keeper", Role.SEAL_KEEPER, HOUSING), *((f"admin{n}", Role.SECURITY_ADMIN, CENTRE) for n in (1, 2))):
        async with house.database.begin() as session:
            account = await create_account(
                session, clock.now(), NewAccount(name, name, "990100", frozenset({role}), organisation), PASSWORD
            )
            people[name] = await enrol_totp(session, house.personal, clock.now(), account.id)

    async def run(*words: str, who: str = "") -> Any:
        otp = pyotp.TOTP(people[who]).at(clock.now()) if who else ""
        arguments = [*words, *(("--as", who) if who else ())]
        done = await asyncio.to_thread(CliRunner().invoke, seals.app, arguments, input=f"{PASSWORD}\n{otp}\n" if who else None)
        clock.advance(seconds=31)
        return done

    def told(done: Any) -> dict[str, Any]:
        assert done.exit_code == 0, (done.output, done.exception)
        found: dict[str, Any] = orjson.loads(done.stdout.strip().splitlines()[-1])
        return found

    paper = tmp_path / "申请表.pdf"
    paper.write_bytes(b"form")
    words = ("apply", f"{NAME}合同专用章", "--kind", "contract", "--to", "2028-01-01", "--document", f"application:{paper}")
    applied = told(await run(*words, who="keeper"))
    application = applied["id"]
    assert (await run("review", application)).exit_code == 2, "a review takes a person"
    assert getattr((await run("review", application, who="keeper")).exception, "code", "") == "SEAL_MOVE_FORBIDDEN"
    assert told(await run("review", application, who="admin1"))["status"] == "examined"
    assert told(await run("review", application, who="admin2"))["status"] == "reviewed"
    code = told(await run("make", application))["code"]
    assert told(await run("file", code))["status"] == "filed"
    assert told(await run("activate", code, who="admin1"))["status"] == "active"
    active_since = clock.now().isoformat()
    clock.advance(hours=1)
    assert told(await run("suspend", code, "--reason", "检查"))["status"] == "suspended"
    assert told(await run("status", code))["status"] == "suspended"
    assert told(await run("status", code, "--at", active_since[:19]))["status"] == "active"
    assert told(await run("statistics"))["seals"][0]["seals"] == 1
    lines = tmp_path / "feed.jsonl"
    assert (await run("feed", "export", "-o", str(lines))).exit_code == 0
    assert [orjson.loads(line)["status"] for line in lines.read_bytes().splitlines()] == ["filed", "active", "suspended"]
    listed = tmp_path / "list.json"
    monkeypatch.setattr(seal_register, "SystemClock", lambda: clock)
    assert (await run("status-list", "-o", str(listed))).exit_code == 0
    assert told(await run("status", code, "--list", str(listed)))["status"] == "suspended"
    assert told(await run("remake", code, "--reason-code", "damaged", who="keeper"))["succession"] == "remake"
    assert told(await run("cancel", code, "--reason", "重制"))["status"] == "cancelled"
    assert told(await run("file-cancellation", code))["status"] == "closed"
    assert told(await run("registry", "add", "北方市", "--division", "110000"))["name"] == "北方市"
    lines.write_bytes(b"nonsense\n")
    assert (await run("feed", "import", str(lines), "--registry", "北方市")).exit_code == 1
    assert (await run("registry", "withdraw", "北方市")).exit_code == 0


# --- two registries ------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """The application on a port of its own, over real HTTP."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@contextlib.asynccontextmanager
async def another_city(servers: Any, pki_template: str, keystore: Any, clock: Any, redis_url: str) -> AsyncIterator[SimpleNamespace]:
    """A second Fujie with a database, seals and an address of its own."""
    database = Database(await copy_database(servers, pki_template, f"other_{new_code().lower()}"))
    person = Actor(ActorKind.PERSON, "keeper", "", HOUSING, "330000", frozenset({Role.SEAL_KEEPER}), assurance=2, authenticator=2)
    admins = [replace(person, id=name, roles=frozenset({Role.SECURITY_ADMIN})) for name in ("one", "two")]
    now = clock.now()
    wanted = SealOrder(f"{NAME}审批章", "approval", HOUSING, NAME, "330100", None, now, now + dt.timedelta(days=365))
    seal = await make_seal(database, keystore, clock, person, wanted, reviewers=(admins[0], admins[1]))
    settings = SimpleNamespace(crypto="default", demo=False, document_megabytes=50)
    redis = SimpleNamespace(pipeline=lambda transaction: _NoPipe())
    city = SimpleNamespace(database=database, keystore=keystore, clock=clock, guard=clock, settings=settings, redis=redis, base_url="")
    async with database.session() as session:
        roots = tuple(read_bundle((await trust_bundle(session)).encode()))
    app = create_app(city)
    async with serving(app) as address:
        city.base_url = address
        yield SimpleNamespace(house=city, seal=seal, keeper=person, admin=admins[1], address=address, roots=roots)
    await database.close()


class _NoPipe:
    async def __aenter__(self) -> None:
        raise OSError("no counter here")

    async def __aexit__(self, *_: object) -> None: ...


def verdict_of(code: str, stamped_at: dt.datetime) -> Verdict:
    """A stamp that holds, of this seal at this time."""
    seal = SealReport(code, "seal", 5, "maker", stamped_at, stamped_at, 42, 42, stamped_at)
    return summed_up(Kind.PDF, [judged("s", [passed("FORMAT")], seal=seal)])


async def test_the_status_of_others_seals_over_http(
    servers: Any, pki_template: str, database: Any, keystore: Any, clock: Any, redis_url: str
) -> None:
    async with another_city(servers, pki_template, keystore, clock, redis_url) as other:
        code, port = other.seal.code, HttpStatus(reachable=LOOPBACK)

        async def judge(stamped_at: dt.datetime) -> tuple[str, str, str]:
            judged_now = await ask_registries(database, clock, port, verdict_of(code, stamped_at))
            last = judged_now.signatures[0].checks[-1]
            return judged_now.indication, last.name, last.detail

        start = clock.now()
        assert (await judge(start))[0] == Indication.TOTAL_PASSED, "nobody is asked who was not registered"
        registry = Registry("南方市", other.address, ("330000",), other.roots)
        with pytest.raises(SealRegistryUnreachable):
            await register(database, clock, SYSTEM, registry)
        await register(database, clock, SYSTEM, registry, LOOPBACK)
        assert (await judge(start))[:2] == ("TOTAL_PASSED", "SEAL_CANCELLED")
        clock.advance(minutes=10)
        await suspend_seal(other.house.database, clock, other.keeper, code, "")
        suspended = clock.advance(minutes=1)
        assert (await judge(start))[0] == "TOTAL_PASSED"
        assert (await judge(suspended))[:2] == ("INDETERMINATE", "SEAL_SUSPENDED"), "the answer that is kept is older than the stamp"
        clock.advance(hours=1)
        await cancel_seal(other.house.database, clock, other.admin, code, "")
        later = clock.advance(hours=2)
        indication, name, detail = await judge(later)
        assert (indication, name) == ("INDETERMINATE", "SEAL_CANCELLED")
        assert "南方市" in detail
        answer = await port.fetch(f"{other.address}{PATH}/{code}/status")
        assert read_answer(answer, registry, code, clock.now()).history[-1].status is Status.CANCELLED
        nobody, elsewhere = replace(registry, roots=()), replace(registry, url="http://127.0.0.1:1")
        for wrong, asked in ((nobody, code), (elsewhere, code), (registry, "33010000000009")):
            with pytest.raises(ForeignStatusRefused):
                read_answer(answer, wrong, asked, clock.now())
        document = orjson.loads(answer)
        for part in ("payload", "signature"):
            text = document[part]
            broken = document | {part: text[:20] + ("A" if text[20] != "A" else "B") + text[21:]}
            with pytest.raises(ForeignStatusRefused):
                read_answer(orjson.dumps(broken), registry, code, clock.now())
        with pytest.raises(ForeignStatusRefused):
            read_answer(answer, registry, code, clock.now() + dt.timedelta(hours=3))
        unknown = read_answer(await port.fetch(f"{other.address}{PATH}/33010099999999/status"), registry, "33010099999999", clock.now())
        assert unknown.known is False
    clock.advance(hours=2)
    await ask_others(database, clock, port, {code: None})
    async with database.session() as session:
        known = await what_is_known(session, code)
    assert known is not None
    assert known.failure == "SEAL_STATUS_UNREACHABLE"
    assert known.history[-1].status is Status.CANCELLED, "what was heard before still stands"


async def test_a_registry_that_misbehaves_is_not_waited_for(clock: Any) -> None:
    judged = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/slow":
            await judged.wait()
        status = 302 if path == "/elsewhere" else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"location", b"/big")]})
        for _ in range(40 if path == "/big" else 1):
            await send({"type": "http.response.body", "body": b"x" * (1 << 16), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with serving(app) as address:
        for path in ("/slow", "/elsewhere", "/big"):
            with pytest.raises(ForeignStatusUnreachable):
                await HttpStatus(1.0, LOOPBACK).fetch(address + path)
        judged.set()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"])
async def test_nothing_within_the_house_is_asked_unless_its_operator_says_so(host: str) -> None:
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"secret"})

    async with serving(app) as address:
        there = f"http://{host}:{address.rpartition(':')[2]}/"
        with pytest.raises(ForeignStatusUnreachable):
            await HttpStatus().fetch(there)
        assert asked == []
        if host == "localhost":
            with_name = HttpStatus(reachable=Reachable.read("127.0.0.0/8,::1/128"))
            assert await with_name.fetch(there.replace("localhost", "127.0.0.1")) == b"secret"


async def test_the_signed_list_answers_without_anybody(house: House, clock: Any) -> None:
    person = Actor(ActorKind.PERSON, "keeper", "", HOUSING, "990100", frozenset({Role.SEAL_KEEPER}), assurance=2, authenticator=2)
    admins = [replace(person, id=name, roles=frozenset({Role.SECURITY_ADMIN})) for name in ("one", "two")]
    now = clock.now()
    wanted = SealOrder(f"{NAME}审批章", "approval", HOUSING, NAME, "990100", None, now, now + dt.timedelta(days=365))
    seal = await make_seal(house.database, house.keystore, clock, person, wanted, reviewers=(admins[0], admins[1]))
    clock.advance(hours=1)
    await suspend_seal(house.database, clock, person, seal.code, "")
    transport = httpx2.ASGITransport(app=create_app(house))
    async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as anybody:
        answer = await anybody.get("/pki/seal-status-list")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fujie-seal-status-list+json")
        again = await anybody.get("/pki/seal-status-list", headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
        listed = verify_status_list(answer.content)
        require_current(listed, clock.now())
        assert listed.step_at(seal.code, now + dt.timedelta(minutes=1)).status is Status.ACTIVE  # type: ignore[union-attr]
        assert listed.step_at(seal.code, clock.now()).status is Status.SUSPENDED  # type: ignore[union-attr]
        assert listed.step_at("99010000000009", clock.now()) is None
        with pytest.raises(SealListOutdated):
            listed.step_at(seal.code, clock.now() + dt.timedelta(seconds=1))
        with pytest.raises(SealListOutdated):
            require_current(listed, clock.now() + dt.timedelta(days=3))
        plain = await anybody.get(f"{PATH}/{seal.code}/status", params={"at": (now + dt.timedelta(minutes=1)).isoformat()})
        assert (plain.json()["status"], plain.json()["invalid_type"]) == ("active", None)
        assert (await anybody.get(f"{PATH}/{seal.code}/status", params={"at": "2999-01-01T00:00:00Z"})).status_code == 422
        assert (await anybody.get(f"{PATH}/99010000000009/status")).json()["code"] == "SEAL_NOT_FOUND"
        signed = await anybody.get(f"{PATH}/{seal.code}/status", headers={"Accept": "application/jose+json"})
        assert orjson.loads(verify_document(TYPE, signed.content).payload)["status"] == "suspended"
        clock.advance(minutes=6)
        await cancel_seal(house.database, clock, admins[0], seal.code, "")
        clock.advance(minutes=6)
        newer = verify_status_list((await anybody.get("/pki/seal-status-list")).content)
        assert (newer.version, newer.seals[seal.code].history[-1].invalid_type) == (2, 1)
