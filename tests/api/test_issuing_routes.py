"""Checks and previews, applications for several certificates, merged items and the rules, over HTTP in a whole house."""

import asyncio
import io
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from sqlalchemy import text
from typer.testing import CliRunner, Result

from api.app import create_app
from api.commands import certs, issuing
from api.wiring import House
from certs import applications
from certs.carrying import carry_through
from certs.issuance import approve
from certs.reads import grant_issuing
from certs.sweeping import sweep
from identity.clients import NewClient, create_client
from keys.base.actor import Role
from seal.grants import Grant, grant_use
from tests.api.test_catalogue_routes import Caller, person
from tests.certs.catalogue_people import HOUSING, MARKET
from tests.certs.conftest import APPROVALS_CLIENT, CITY, YEAR, approval, approvals
from tests.certs.test_issuing import Plug, audit_trail
from tests.furnished import Furnished, open_furnished
from tests.pages_house import NUMBER, keeper_of

SEWAGE, LICENCE = f"{HOUSING}001", "11100000MB0143028R001"
PERSON = "990100195409041017"
LICENCE_FIELDS = {
    "名称": "示范市白鹤建材有限公司", "类型": "有限责任公司", "法定代表人": "钱晓明", "住所": "示范区白鹤大街128号", "经营范围": "建材销售",
}  # fmt: skip


@pytest.fixture
def template(furnished: Furnished) -> str:
    return furnished.template


@pytest.fixture
async def house(
    furnished: Furnished, database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path
) -> AsyncIterator[House]:
    async with open_furnished(furnished, database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened


@dataclass
class System(Caller):
    """A department's system; ``send`` makes a key of its own unless it is given one."""


async def system(house: House, seals: dict[str, str], organisation: str = CITY, *, unattended: bool = True) -> System:
    """A client of the organisation that may issue for the demonstration's three issuers."""
    now, scopes = house.clock.now(), ("certificates:issue", "certificates:read")
    new = NewClient(
        name_zh="审批系统", name_en="Approvals", division="990100", organisation=organisation, grant_types=("client_credentials",),
        scopes=scopes,
    )  # fmt: skip
    async with house.database.begin() as session:
        client, secret = await create_client(session, now, new)
        for one in approvals() if organisation == CITY else ():
            await grant_issuing(session, now, client.client_id, one["issuer"], "test")
            if unattended:
                grant = Grant(seals[one["issuer"]], "client", client.client_id, one["matter_code"], None, now, now + YEAR, True)
                await grant_use(session, now, keeper_of(one["issuer"]), grant)
    browser = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=create_app(house)), base_url=house.base_url)
    data = {"grant_type": "client_credentials", "scope": " ".join(scopes)}
    answer = await browser.post("/oauth/token", data=data, auth=(client.client_id, secret or ""))
    return System(browser, {"Authorization": f"Bearer {answer.json()['access_token']}"})


def failed(answer: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["code"] for one in answer["checks"] if one["outcome"] == "FAILED"}


async def test_every_check_answers_by_itself_and_takes_no_number(house: House, furnished: Furnished) -> None:
    caller, good = await system(house, furnished.seals), approvals()[2]
    status, said = await caller.send("POST", "/api/v1/approvals/check", good)
    assert (status, said["passes"], said["unattended"], len(said["checks"])) == (200, True, True, 13)
    assert {one["outcome"] for one in said["checks"]} == {"PASSED"}
    wrong = good | {
        "matter_code": "000131015000", "valid_to": "2026-11-20",
        "holders": [{"name": "卫思远", "code": "990100198701171023", "code_type": "111"}],
    }  # fmt: skip
    status, said = await caller.send("POST", "/api/v1/approvals/check", wrong)
    assert (status, said["passes"]) == (200, False)
    assert failed(said) == {"SEAL": "MATTER_OF_OTHER_ORGANISATION", "CONTENT": "INVALID_INPUT", "HOLDERS": "HOLDER_NOT_FOUND"}
    unknown = {one["name"] for one in said["checks"] if one["outcome"] == "UNKNOWN"}
    assert unknown == {"PRINT"}, "what rests on a failed check is not asked"
    status, said = await caller.send("POST", "/api/v1/approvals/check", good | {"certificate_type": "x", "seal": "x", "issuer": "x"})
    assert failed(said) == {"TYPE": "UNKNOWN_CERTIFICATE_TYPE", "ISSUER": "UNKNOWN_ISSUER"}
    status, said = await caller.send("POST", "/api/v1/approvals/check", good | {"approval_number": f"证{NUMBER}号"})
    assert (failed(said), NUMBER in json.dumps(said)) == ({"SHAPE": "INVALID_INPUT"}, False)
    assert PERSON not in json.dumps(said)
    rare = good | {"fields": good["fields"] | {"坐落": "示范市\U000323af路6号"}}
    status, said = await caller.send("POST", "/api/v1/approvals/check", rare)
    assert (said["passes"], said["checks"][-1]["outcome"], said["checks"][-1]["code"]) == (True, "NOTICE", "GLYPH_MISSING")
    issued = await caller.send("POST", "/api/v1/approvals", good)
    assert issued[0] == 201, issued
    other = good | {"holders": good["holders"][:1]}
    status, said = await caller.send("POST", "/api/v1/approvals/check", other)
    assert failed(said) == {"NUMBER": "NUMBER_TAKEN"}
    async with house.database.session() as session:
        taken = await session.execute(text("SELECT count(*) FROM certs.certificates"))
        assert taken.scalar_one() == 1, "a check takes no number"
    trail = await audit_trail(house.database, "certs.issue.check")
    assert [outcome for outcome, _ in trail] == ["done", "refused", "refused", "refused", "done", "refused"]


async def test_a_preview_is_a_picture_nobody_takes_for_a_certificate(house: House, furnished: Furnished) -> None:
    caller, good = await system(house, furnished.seals), approvals()[1]
    answer = await caller.browser.post("/api/v1/approvals/preview", json=good, headers=caller.headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    picture = Image.open(io.BytesIO(answer.content)).convert("RGB")
    octets = picture.tobytes()
    reddish = sum(red > green + 40 and red > blue + 40 for red, green, blue in zip(octets[::3], octets[1::3], octets[2::3], strict=True))
    assert reddish > 2000, "written over in red"
    wrong = await caller.browser.post("/api/v1/approvals/preview", json=good | {"fields": {}}, headers=caller.headers)
    assert (wrong.status_code, failed(wrong.json())) == (422, {"CONTENT": "INVALID_INPUT"})
    reader = await caller.browser.post("/api/v1/approvals/preview", json=good)
    assert reader.status_code == 401


def application(*numbers: int, **changes: Any) -> dict[str, Any]:
    return {"application_number": "一件事2026-0001", "title": "开餐饮店一件事", "items": [approvals()[n] for n in numbers]} | changes


async def test_one_application_leads_to_several_certificates(house: House, furnished: Furnished) -> None:
    caller = await system(house, furnished.seals)
    status, said = await caller.send("POST", "/api/v1/applications", application(0, 1, 2), "one")
    assert (status, said["settled"]) == (201, True)
    assert [(one["status"], one["number"], one["code"]) for one in said["items"]] == [
        ("issued", one["approval_number"], None) for one in approvals()
    ]
    for one in said["items"]:
        assert (await caller.send("GET", f"/api/v1/verify/{one['verification_code']}"))[1]["status"] == "in_force"
    assert await caller.send("POST", "/api/v1/applications", application(0, 1, 2), "one") == (201, said)
    status, other = await caller.send("POST", "/api/v1/applications", application(0, 1), "one")
    assert (status, other["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert await caller.send("GET", f"/api/v1/applications/{said['id']}") == (200, said)
    assert [one["id"] for one in (await caller.send("GET", "/api/v1/applications"))[1]["items"]] == [said["id"]]
    stranger = await system(house, furnished.seals, MARKET)
    assert (await stranger.send("GET", f"/api/v1/applications/{said['id']}"))[0] == 404
    assert (await stranger.send("GET", "/api/v1/applications"))[1] == {"items": [], "next_cursor": None}
    assert (await caller.send("GET", "/api/v1/applications/x"))[0] == 404


async def test_all_of_an_application_is_accepted_or_nothing(house: House, furnished: Furnished) -> None:
    caller = await system(house, furnished.seals)
    bad = approvals()[2] | {"holders": [{"name": "卫思远", "code": "990100198701171023", "code_type": "111"}]}
    status, said = await caller.send("POST", "/api/v1/applications", application(items=[approvals()[0], bad, bad | {"seal": "x"}]))
    assert (status, said["code"]) == (422, "APPLICATION_REFUSED")
    assert [(one["item"], one["code"]) for one in said["errors"]] == [(1, "HOLDER_NOT_FOUND"), (2, "UNKNOWN_SEAL")]
    same = approvals()[2] | {"holders": approvals()[2]["holders"][:1]}
    status, said = await caller.send("POST", "/api/v1/applications", application(items=[approvals()[2], same]))
    assert (status, said["code"], said["errors"][0]["code"]) == (422, "APPLICATION_REFUSED", "NUMBER_TAKEN"), "between its own, too"
    for wrong in (application(), application(0, title=f"办证 {NUMBER}"), application(0, application_number=" "), application(0, more=1)):
        status, said = await caller.send("POST", "/api/v1/applications", wrong)
        assert (status, said["code"], NUMBER in json.dumps(said)) == (422, "INVALID_INPUT", False)
    async with house.database.session() as session:
        for table in ("certificates", "applications", "idempotency"):
            assert (await session.execute(text(f"SELECT count(*) FROM certs.{table}"))).scalar_one() == 0, table
    assert {code for _, code in await audit_trail(house.database, "certs.application")} == {"APPLICATION_REFUSED", "INVALID_INPUT"}


async def test_an_application_survives_a_kill_and_a_failure_of_one_holds_up_no_other(
    house: House, furnished: Furnished, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, seen = await system(house, furnished.seals), []

    async def second_dies(issuing: Any, reserved: Any) -> Any:
        seen.append(reserved)
        if len(seen) == 2:
            raise Plug
        return await carry_through(issuing, reserved)

    with monkeypatch.context() as patch:
        patch.setattr(applications, "carry_through", second_dies)
        with pytest.raises(Plug):
            await caller.send("POST", "/api/v1/applications", application(0, 1, 2), "one")
    status, said = await caller.send("POST", "/api/v1/applications", application(0, 1, 2), "one")
    assert (status, [one["status"] for one in said["items"]]) == (202, ["issued", "reserved", "reserved"])
    clock.advance(seconds=20)
    assert await sweep(house.issuing) == 2
    status, said = await caller.send("POST", "/api/v1/applications", application(0, 1, 2), "one")
    assert (status, [one["status"] for one in said["items"]]) == (201, ["issued"] * 3)
    crowded = {name: (value + "热食类食品制售；" * 62)[:500] for name, value in approvals()[1]["fields"].items()}
    long = approvals()[1] | {"approval_number": "JY2", "fields": crowded}
    items = [approvals()[0] | {"approval_number": "新1"}, long, approvals()[2] | {"approval_number": "新2"}]
    status, said = await caller.send("POST", "/api/v1/applications", application(items=items), "two")
    assert [(one["status"], one["code"]) for one in said["items"]] == [("issued", None), ("void", "FIELDS_TOO_LONG"), ("issued", None)], (
        said
    )


async def test_rules_numbers_and_merged_items_over_http(house: House, furnished: Furnished) -> None:
    city = await system(house, furnished.seals)
    admin = await person(house, "admin", Role.SYSTEM_ADMIN, CITY)
    types = "/api/v1/certificate-types"
    rule = {"pattern": "示排许字〔{year}〕第{serial:4}号", "in_force": "one_per_issuer"}
    status, said = await admin.send("PUT", f"{types}/{SEWAGE}/issuing-rules", rule)
    assert (status, said["pattern"], said["in_force"], said["yearly"]) == (200, rule["pattern"], "one_per_issuer", True)
    assert (await admin.send("PUT", f"{types}/{SEWAGE}/issuing-rules", {"pattern": "{serial:4}"}))[1]["code"] == "ISSUING_RULE_MALFORMED"
    assert (await city.send("PUT", f"{types}/{SEWAGE}/issuing-rules", rule))[1]["code"] == "INSUFFICIENT_SCOPE"
    unnumbered = {name: value for name, value in approvals()[0].items() if name != "approval_number"}
    status, before = await city.send("POST", "/api/v1/approvals", unnumbered)
    assert status == 201, before
    status, again = await city.send("POST", "/api/v1/approvals", unnumbered)
    assert (status, again["code"], again["identifier"]) == (409, "CERTIFICATE_IN_FORCE", before["identifier"])
    series = {"type": SEWAGE, "issuer": HOUSING, "year": 2026, "last": 1, "used": 1, "gaps": []}
    assert (await city.send("GET", f"{types}/{SEWAGE}/numbers"))[1] == {"items": [series]}
    assert (await city.send("GET", f"{types}/{SEWAGE}/numbers?issuer={HOUSING}&year=2026"))[1] == series
    assert (await city.send("GET", f"{types}/{SEWAGE}/numbers?issuer={HOUSING}&year=1999"))[0] == 404
    merge = {"claim_days": 10, "basis": "示范市“多证合一”整合目录"}
    assert (await admin.send("PUT", f"{types}/{LICENCE}/merge-rules/{SEWAGE}", merge))[0] == 200
    assert len((await city.send("GET", f"{types}/{LICENCE}/merge-rules"))[1]["items"]) == 1
    licence = approvals()[1] | {
        "certificate_type": LICENCE, "approval_number": "91990100MA1TEXT14M", "fields": LICENCE_FIELDS, "valid_to": None,
        "holders": approvals()[0]["holders"], "absorbs": [{"type": SEWAGE, "certificate": before["id"]}],
    }  # fmt: skip
    status, issued = await city.send("POST", "/api/v1/approvals", licence)
    assert status == 201, issued
    old = (await city.send("GET", before["links"]["self"]))[1]
    assert (old["status"], old["successor"]) == ("cancelled", issued["identifier"])
    housing = await system(house, furnished.seals, HOUSING)
    (item,) = (await housing.send("GET", "/api/v1/merged-items?state=open"))[1]["items"]
    assert (item["absorbed"], item["licence"]["identifier"], item["state"]) == (before["identifier"], issued["identifier"], "open")
    assert (await city.send("POST", f"/api/v1/merged-items/{item['id']}/claim", {}))[0] == 404
    status, claimed = await housing.send("POST", f"/api/v1/merged-items/{item['id']}/claim", {"note": "已接收"})
    assert (status, claimed["state"], claimed["note"]) == (200, "claimed", "已接收")
    assert (await housing.send("POST", f"/api/v1/merged-items/{item['id']}/claim", {}))[1]["code"] == "MERGED_ITEM_CLAIMED"
    assert (await housing.send("POST", f"/api/v1/merged-items/{uuid.uuid4()}/claim", {}))[0] == 404
    for dropped in (f"{types}/{LICENCE}/merge-rules/{SEWAGE}", f"{types}/{SEWAGE}/issuing-rules"):
        assert (await admin.browser.delete(dropped, headers=admin.headers)).status_code == 204
    document = (await city.browser.get("/api/openapi.json")).json()
    assert {"/api/v1/applications", "/api/v1/approvals/check", "/api/v1/merged-items"} <= set(document["paths"])


async def test_the_rules_on_the_command_line(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(issuing, "with_house", lambda journey: asyncio.run_coroutine_threadsafe(journey(house), loop).result(60))

    async def run(*words: str, code: int = 0) -> list[Any]:
        done: Result = await asyncio.to_thread(CliRunner().invoke, certs.app, list(words))
        assert done.exit_code == code, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    assert (await run("number", "rule", SEWAGE, "--pattern", "排{year}-{serial:3}", "--in-force", "one"))[0]["in_force"] == "one"
    assert [one["pattern"] for one in await run("number", "rules", SEWAGE)] == ["排{year}-{serial:3}"]
    await approve(house.issuing, APPROVALS_CLIENT, approval(0, approval_number="排2026-003"), "three")
    assert [one["last"] for one in await run("number", "series", SEWAGE)] == [3]
    assert (await run("number", "gaps", SEWAGE, "2026", "--issuer", HOUSING))[0]["gaps"][0]["last"] == 2
    assert (await run("number", "drop", SEWAGE))[0]["dropped"]
    assert (await run("merge", "rule", LICENCE, SEWAGE, "--days", "9", "--basis", "整合目录"))[0]["claim_days"] == 9
    assert len(await run("merge", "rules", LICENCE)) == 1
    assert (await run("merge", "drop", LICENCE, SEWAGE))[0]["dropped"]
    before = len(await run("entrust", "list"))
    assert (await run("entrust", "give", CITY, MARKET))[0]["issuer"] == MARKET
    assert len(await run("entrust", "list")) == before + 1
    assert (await run("entrust", "end", CITY, MARKET))[0]["ended"]
    assert len(await audit_trail(house.database, "certs.entrust")) == 1
