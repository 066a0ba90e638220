"""The catalogue and "don't ask again" over HTTP and on the command line of a whole house."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pyotp
import pytest
from typer.testing import CliRunner, Result

from api.app import create_app
from api.commands import cert_types, certs, seal_life, trust
from api.wiring import House
from certs.catalogue import definition, shipped_types
from certs.catalogue_files import DIRECTORY
from certs.reads import put_types
from identity.clients import NewClient, create_client
from identity.credentials import enrol_totp
from identity.login_policy import PASSWORD_AND_OTP
from identity.organisations import Organisation, put_organisation
from identity.people import NewAccount, create_account
from keys.base.actor import SYSTEM, Role
from seal.matters import Matter, put_matter
from tests.certs.catalogue_people import CODE, HAWKER, HOUSING, MARKET
from tests.pages_house import PASSWORD, open_test_house
from tests.portal import City

PATH, MATTER = "/api/v1/certificate-types", "000131015000"
SCOPES = ("openid", "profile", "catalogue:manage", "certificates:read")


@dataclass
class Caller:
    browser: httpx2.AsyncClient
    headers: dict[str, str]

    async def send(self, method: str, path: str, body: object = None, key: str = "", **more: Any) -> tuple[int, Any]:
        headers = self.headers | {"Idempotency-Key": key or uuid.uuid4().hex}
        given = more if body is None else {"json": body}
        answer = await self.browser.request(method, path, headers=headers, **given)
        return answer.status_code, answer.json() if "json" in answer.headers["content-type"] else answer.text


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[House]:
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        async with opened.database.begin() as session:
            now = clock.now()
            await put_organisation(session, now, Organisation(MARKET, "示范市市场监督管理局", "990100", "authority"))
            await put_types(session, now, shipped_types())
            await put_matter(session, now, SYSTEM, Matter(MATTER, "食品经营许可", True, MARKET))
        yield opened


async def person(house: House, name: str, role: Role, organisation: str = MARKET) -> Caller:
    async with house.database.begin() as session:
        account = await create_account(
            session, house.clock.now(), NewAccount(name, name, "990100", frozenset({role}), organisation), PASSWORD
        )
    city = City(create_app(house), house.database, house.clock, account)
    client, secret = await city.register(scopes=SCOPES)
    await city.log_in(PASSWORD_AND_OTP)
    await city.consent(client)
    tokens = await city.tokens(client, secret, scope=" ".join(SCOPES))
    return Caller(city.browser, {"Authorization": f"Bearer {tokens['access_token']}"})


async def client_of(house: House, browser: httpx2.AsyncClient, organisation: str) -> Caller:
    new = NewClient(
        name_zh="窗口", name_en="Window", division="990100", organisation=organisation, grant_types=("client_credentials",),
        scopes=("certificates:read",),
    )  # fmt: skip
    async with house.database.begin() as session:
        client, secret = await create_client(session, house.clock.now(), new)
    answer = await browser.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(client.client_id, secret or ""))
    return Caller(browser, {"Authorization": f"Bearer {answer.json()['access_token']}"})


async def test_a_type_from_its_draft_to_its_end(house: House) -> None:
    writer, reviewer = await person(house, "writer", Role.APPROVER), await person(house, "reviewer", Role.SECURITY_ADMIN)
    outside = await client_of(house, writer.browser, HOUSING)
    asked = {"definition": definition(HAWKER), "reason": "新设"}
    status, draft = await writer.send("POST", PATH, asked, "key-1")
    assert (status, draft["status"], draft["version"]) == (201, "draft", 1)
    assert (await writer.send("POST", PATH, asked, "key-1"))[1] == draft
    assert (await writer.send("POST", PATH, asked | {"reason": "又"}, "key-1"))[1]["code"] == "IDEMPOTENCY_KEY_REUSED"
    own = f"{PATH}/{CODE}/versions/1"
    assert (await outside.send("GET", own))[1]["code"] == "CERTIFICATE_TYPE_UNKNOWN", "a draft is nothing to build on"
    assert (await outside.send("POST", PATH, asked))[1]["code"] == "INSUFFICIENT_SCOPE"
    edit = {"definition": definition(HAWKER) | {"max_years": 2}, "digest": draft["digest"]}
    status, draft = await writer.send("PUT", own, edit)
    assert (status, draft["status"]) == (200, "draft")
    assert (await writer.send("PUT", own, edit))[1]["code"] == "CERTIFICATE_TYPE_CHANGED", "what another wrote is not overwritten"
    status, told = await writer.send("PUT", own, edit | {"digest": draft["digest"], "definition": definition(HAWKER) | {"max_years": 0}})
    assert (status, told["code"], told["errors"][0]["field"]) == (422, "CERTIFICATE_TYPE_MALFORMED", "max_years")
    step = {"digest": draft["digest"]}
    assert (await reviewer.send("POST", f"{own}/publish", step))[1]["code"] == "TYPE_MOVE_NOT_ALLOWED"
    assert (await writer.send("POST", f"{own}/submit", step))[1]["status"] == "review"
    assert (await writer.send("POST", f"{own}/publish", step))[1]["code"] == "CATALOGUE_SAME_PERSON"
    assert (await reviewer.send("POST", f"{own}/send_back", step))[1]["code"] == "CATALOGUE_REASON_MISSING"
    assert (await reviewer.send("POST", f"{own}/publish", step))[1]["status"] == "published"
    assert (await outside.send("GET", own))[1]["definition"]["max_years"] == 2
    schema = (await outside.send("GET", f"{own}/schema"))[1]
    assert (schema["$schema"], schema["properties"]["KZ_JYZ"]["x-mask"]) == ("https://json-schema.org/draft/2020-12/schema", "name")
    status, second = await writer.send("POST", f"{PATH}/{CODE}/versions", {"definition": definition(HAWKER) | {"name_zh": "新名"}})
    assert (status, second["version"]) == (201, 2)
    seen = (await reviewer.send("GET", f"{PATH}/{CODE}/versions/2"))[1]
    assert (seen["compared_with"], [one["member"] for one in seen["differences"]]) == (1, ["name_zh", "max_years"])
    assert [one["version"] for one in (await outside.send("GET", f"{PATH}/{CODE}"))[1]["versions"]] == [1]
    assert [one["move"] for one in (await outside.send("GET", f"{PATH}/{CODE}/history"))[1]["items"]] == [
        "write",
        "edit",
        "submit",
        "publish",
    ]
    retire = await reviewer.send("POST", f"{own}/retire", step | {"reason": "改为备案"})
    assert retire[1]["status"] == "retired"
    copied = await writer.send("POST", f"{PATH}/{CODE}/copy", {"code": f"{MARKET}902", "name_zh": "另一种"})
    assert (copied[0], copied[1]["status"]) == (201, "draft")


async def test_lists_directory_and_import(house: House) -> None:
    admin = await person(house, "sysadmin", Role.SYSTEM_ADMIN)
    reviewer = await person(house, "reviewer", Role.SECURITY_ADMIN)
    found = (await admin.send("GET", PATH, params={"q": "许可", "limit": "1"}))[1]
    assert (found["total"], len(found["items"])) == (3, 1)
    more = (await admin.send("GET", PATH, params={"q": "许可", "cursor": found["next_cursor"]}))[1]
    assert len(more["items"]) == 2
    assert (await admin.send("GET", PATH, params={"cursor": "9.x"}))[0] == 422
    table = (
        "code,name_zh,holder_kind\n" + "".join(f"{MARKET}{number},类型{number},legal\n" for number in range(100, 140)) + "bad,坏,legal\n"
    )
    assert (await admin.send("POST", f"{PATH}/import?dry_run=true", content=table.encode("gb18030")))[1]["counts"]["new"] == 40
    report = (await admin.send("POST", f"{PATH}/import?submit=true", content=table.encode("gb18030")))[1]
    assert report["counts"] == {"new": 40, "changed": 0, "unchanged": 0, "refused": 1}
    assert report["rows"][-1]["errors"][0]["field"] == "code"
    waiting = (await admin.send("GET", PATH, params={"being_written": "true", "limit": "200"}))[1]["items"]
    digests = [(await admin.send("GET", f"{PATH}/{one['code']}/versions/1"))[1]["digest"] for one in waiting[:3]]
    items = [{"code": one["code"], "version": 1, "digest": digest} for one, digest in zip(waiting, digests, strict=False)]
    assert (await reviewer.send("POST", f"{PATH}/steps", {"move": "publish", "items": items}))[1]["done"] == 3
    assert (await reviewer.send("POST", f"{PATH}/steps", {"move": "ship", "items": items}))[0] == 422
    status, text = await admin.send("GET", f"{PATH}/directory", params={"format": "csv", "organisation": MARKET})
    assert (status, text.splitlines()[0].lstrip("\ufeff")) == (200, ",".join(DIRECTORY))
    assert len(text.splitlines()) == 1 + 4
    entry = (await admin.send("GET", f"{PATH}/directory", params={"organisation": MARKET}))[1]["items"][0]
    assert entry["CertificateDefineAuthorityName"] == "示范市市场监督管理局"


async def test_dont_ask_again_over_http(house: House) -> None:
    keeper, admin = await person(house, "approver", Role.APPROVER), await person(house, "reviewer", Role.SECURITY_ADMIN)
    window, other = await client_of(house, keeper.browser, MARKET), await client_of(house, keeper.browser, HOUSING)
    path = f"/api/v1/matters/{MATTER}"
    papers = [{"paper": "licence", "name_zh": "营业执照", "types": ["11100000MB0143028R001"]}, {"paper": "plan", "name_zh": "平面图"}]
    assert (await admin.send("PUT", f"{path}/papers", {"papers": papers}))[1]["code"] == "CATALOGUE_FORBIDDEN"
    assert (await keeper.send("PUT", f"{path}/papers", {"papers": papers}))[0] == 200
    assert [one["paper"] for one in (await window.send("GET", f"{path}/papers"))[1]["papers"]] == ["licence", "plan"]
    ask = {"holder_code": "91990100MA1TEXT14M", "code_type": "001", "purpose": "办理食品经营许可"}
    status, told = await window.send("POST", f"{path}/available", ask)
    assert (status, told["required"], told["answered"]) == (200, 2, 0)
    assert [one["available"] for one in told["papers"]] == [False, False]
    assert (await window.send("POST", f"{path}/available", ask | {"purpose": ""}))[1]["code"] == "PURPOSE_REQUIRED"
    refused = [await other.send("POST", f"{path}/available", ask), await window.send("POST", "/api/v1/matters/000/available", ask)]
    assert [one[0] for one in refused] == [404, 404]
    assert len({json.dumps({name: value for name, value in one[1].items() if name != "instance"}) for one in refused}) == 1
    figures = (await window.send("GET", "/api/v1/matters/statistics"))[1]
    assert (figures["papers_required"], figures["papers_answerable"], figures["share"], figures["asked"]) == (2, 1, 0.5, 2)
    assert (await window.send("GET", "/api/v1/matters", params={"q": "食品"}))[1]["items"][0]["code"] == MATTER


async def test_the_catalogue_on_the_command_line(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    for module in (cert_types, certs, seal_life, trust):
        monkeypatch.setattr(module, "with_house", lambda journey: asyncio.run_coroutine_threadsafe(journey(house), loop).result(60))
    async with house.database.begin() as session:
        new = NewAccount("reviewer", "reviewer", "990100", frozenset({Role.SECURITY_ADMIN}), HOUSING)
        account = await create_account(session, house.clock.now(), new, PASSWORD)
        secret = await enrol_totp(session, house.personal, house.clock.now(), account.id)

    async def run(*words: str, code: int = 0, typed: str | None = None) -> list[Any]:
        done: Result = await asyncio.to_thread(CliRunner().invoke, certs.app, list(words), input=typed)
        assert done.exit_code == code, done.output
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(("{", "["))]

    table = tmp_path / "types.csv"
    table.write_text(f"code,name_zh,holder_kind\n{CODE},登记卡,legal\nbad,坏,legal\n", encoding="utf-8")
    assert (await run("type", "import", str(table), "--submit", code=1))[-1] == {"new": 1, "refused": 1}
    typed = f"{PASSWORD}\n{pyotp.TOTP(secret).at(house.clock.now())}\n"
    assert (await run("type", "publish", "--all", "--as", "reviewer", typed=typed))[-1] == {"published": 1, "refused": 0}
    assert [one["name_zh"] for one in await run("type", "list", "登记卡")] == ["登记卡"]
    one = tmp_path / "one.json"
    one.write_text(json.dumps(definition(HAWKER)), encoding="utf-8")
    assert (await run("type", "write", str(one)))[0]["version"] == 2
    assert {row["member"] for row in await run("type", "diff", CODE, "2")} >= {"name_zh", "holder_kind"}
    assert [row["version"] for row in await run("type", "show", CODE)] == [2, 1]
    assert len(await run("type", "show", CODE, "--history")) == 4
    await run("type", "submit", CODE, "2")
    await run("type", "abandon", CODE, "2", "--reason", "不再需要")
    await run("type", "export", "-o", str(tmp_path / "directory.csv"))
    assert len((tmp_path / "directory.csv").read_text(encoding="utf-8-sig").splitlines()) == 1 + len(shipped_types()) + 1
    assert (await run("types"))[0]["code"]
    papers = tmp_path / "papers.csv"
    papers.write_text(f"matter_code,paper_code,name_zh,types\n{MATTER},card,登记卡,{CODE}\n", encoding="utf-8")
    assert (await run("matter", "import", str(papers)))[-1] == {"new": 1}
    assert (await run("matter", "papers", MATTER))[0]["types"] == [CODE]
    assert (await run("matter", "statistics"))[0]["papers_answerable"] == 1
