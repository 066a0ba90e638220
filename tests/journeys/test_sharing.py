"""Share by show code, and by consent, over HTTP: a citizen with a browser, a department's system, a stranger at a door.

1. the department asks what the matter needs: yes or no may be told, the record takes the holder's agreement
2. the citizen shows the certificate for that matter; the department's system reads the code once and has record and status
3. the code again is refused by name; the citizen's page says who checked
4. the citizen shows it at a door: a stranger sees name, type and status, once
5. the department asks for the file on the phone; the citizen allows; it is fetched once, and once only
6. the citizen reads in the wallet who had what, and why
"""

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest

from api.demo.browser import Browser
from certs.showing import STEP
from tests.running import City

FOOD, MORTGAGE = "000131015000", "11100000MB03271699022"
NUMBER, NAME = "990100195409041017", "卫思远"
PURPOSE = "受理江畔餐饮的食品经营许可"
CODE = re.compile(r'class="code spoken">([0-9A-Z-]{19})<')


@pytest.fixture
async def http(city: City) -> AsyncIterator[httpx2.AsyncClient]:
    headers = city.token("approvals", "certificates:read")
    async with httpx2.AsyncClient(base_url=city.base_url, trust_env=False, timeout=60, headers=headers) as client:
        yield client


@pytest.fixture
async def citizen(city: City) -> AsyncIterator[Browser]:
    account = city.account("citizen")
    async with Browser(city.base_url) as browser:
        await browser.visit("/login?next=/wallet")
        page = await browser.log_in(account["username"], account["password"])
        assert page.url.path == "/wallet", page.text
        yield browser


async def certificate_of(citizen: Browser) -> str:
    """The mortgage certificate in the wallet: the story issued it."""
    page = await citizen.visit("/wallet")
    for found in dict.fromkeys(re.findall(r'href="/wallet/([0-9a-f-]{36})"', page.text)):
        if "不动产登记证明" in (await citizen.visit(f"/wallet/{found}")).text:
            return str(found)
    raise AssertionError("the citizen holds no mortgage certificate")


async def showing(citizen: Browser, certificate: str, purpose: str) -> tuple[str, str]:
    """The citizen shows it: the page's address and the code on it."""
    await citizen.visit(f"/wallet/{certificate}/show")
    page = await citizen.submit(f"/wallet/{certificate}/show", purpose=purpose)
    assert 0 < int(page.headers["refresh"]) <= STEP / timedelta(seconds=1)
    found = CODE.search(page.text)
    assert found is not None, page.text
    assert "<svg" in page.text
    return page.url.path, found.group(1)


def about(**members: str) -> dict[str, str]:
    return {"matter": FOOD, "purpose": PURPOSE} | members


HOLDER = {"holder_code": NUMBER, "code_type": "111"}


async def test_share_by_show_code(http: httpx2.AsyncClient, citizen: Browser) -> None:
    found = (await http.post("/api/v1/sharing/find", json=about(**HOLDER))).json()
    item = next(one for one in found["items"] if one["type"] == MORTGAGE)
    assert item["holds"] is True
    assert item["wants"]["record"] == {"permitted": False, "reason": "HOLDER_MUST_AGREE"}
    answer = (await http.post("/api/v1/sharing/answer", json=about(type=MORTGAGE, **HOLDER))).json()
    assert answer == {"type": MORTGAGE, "holds": True, "reason": "GRANTED_FOR_MATTER"}
    refused = await http.post("/api/v1/sharing/record", json=about(type=MORTGAGE, **HOLDER))
    assert (refused.status_code, refused.json()["code"], refused.json()["reason"]) == (403, "SHARING_REFUSED", "HOLDER_MUST_AGREE")

    certificate = await certificate_of(citizen)
    page, code = await showing(citizen, certificate, f"matter:{FOOD}")
    record = await http.post("/api/v1/sharing/record", json=about(show_code=code))
    assert record.status_code == 200, record.text
    content = record.json()["certificate"]
    assert (content["id"], content["type"], content["status"]) == (certificate, MORTGAGE, "in_force")
    assert NAME in content["metadata"]["CZZT"]
    assert NUMBER not in record.text
    again = await http.post("/api/v1/sharing/record", json=about(show_code=code))
    assert (again.status_code, again.json()["reason"]) == (403, "AUTHORISATION_USED")
    assert 'data-showing="checked"' in (await citizen.visit(page)).text

    _, code = await showing(citizen, certificate, "entry")
    async with httpx2.AsyncClient(base_url=http.base_url, trust_env=False, timeout=60, headers={"Accept-Language": "en"}) as stranger:
        for _ in range(2):
            assert "Check it now" in (await stranger.get(f"/s/{code.replace('-', '')}")).text, "a link that is fetched ahead does no harm"
        wrong = await http.post("/api/v1/sharing/check", json={"code": code, "purpose": "contract"})
        assert (wrong.status_code, wrong.json()["code"]) == (403, "SHOWN_FOR_OTHER_PURPOSE")
        face = await stranger.post("/check", data={"code": code, "step": "check"})
        assert 'data-status="in_force"' in face.text
        assert NAME in face.text
        assert NUMBER not in face.text
        late = await stranger.post("/check", data={"code": code, "step": "check"})
        assert (late.status_code, 'data-code="SHOWING_OVER"' in late.text) == (409, True)
    wallet = (await citizen.visit(f"/wallet/{certificate}")).text
    assert "核验了您出示的亮证码" in wallet
    assert PURPOSE in wallet


async def test_consent_on_the_phone_once(http: httpx2.AsyncClient, citizen: Browser) -> None:
    certificate = await certificate_of(citizen)
    key = {"Idempotency-Key": "sharing-journey-1"}
    for broken, status, code in (({"purpose": " "}, 400, "PURPOSE_REQUIRED"), ({"holder_code": "123"}, 422, "INVALID_INPUT")):
        told = await http.post("/api/v1/sharing/requests", json=about(type=MORTGAGE, want="file", **(HOLDER | broken)), headers=key)
        assert (told.status_code, told.json()["code"]) == (status, code)
    asked = await http.post("/api/v1/sharing/requests", json=about(type=MORTGAGE, want="file", **HOLDER), headers=key)
    assert (asked.status_code, asked.json()["state"]) == (201, "pending")
    request = asked.json()["id"]
    early = await http.post("/api/v1/sharing/file", json=about(consent=request))
    assert (early.status_code, early.json()["code"]) == (404, "AUTHORISATION_UNKNOWN")
    assert f"/share-requests/{request}" in (await citizen.visit("/wallet")).text
    page = await citizen.visit(f"/share-requests/{request}")
    assert PURPOSE in page.text
    page = await citizen.submit(f"/share-requests/{request}", decision="allow", certificate=certificate)
    assert 'data-state="allowed"' in page.text
    assert (await http.get(f"/api/v1/sharing/requests/{request}")).json()["state"] == "allowed"
    file = await http.post("/api/v1/sharing/file", json=about(consent=request))
    assert file.content.startswith(b"%PDF-")
    replayed = await http.post("/api/v1/sharing/file", json=about(consent=request))
    assert (replayed.status_code, replayed.json()["code"], replayed.json()["reason"]) == (403, "SHARING_REFUSED", "AUTHORISATION_USED")
    assert (await http.get(f"/api/v1/sharing/requests/{request}")).json()["state"] == "used"
    assert PURPOSE in (await citizen.visit(f"/wallet/{certificate}")).text
