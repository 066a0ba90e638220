"""The story, told over HTTP by the people and systems it is about:

log in → be known at the second portal → prove who you are → an approval waits → an approver stamps it → two more are issued
unattended → anyone verifies → the log is whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pyotp
from rich.console import Console

from api.demo import city
from api.demo.browser import Browser, UnexpectedPage
from api.wiring import House
from keys.base.actor import Role
from keys.base.clock import civil_date
from keys.base.errors import FujieError
from keys.base.tls import web_trust
from keys.evidence.audit import digest
from keys.evidence.log import sequence_all
from keys.evidence.verify import verify_log


class StoryBroken(FujieError):
    """A step did not end as it must; the demonstration is not written."""

    code = "STORY_BROKEN"
    public = ("演示流程未能走完。", "The story of the demonstration did not reach its end.")


@dataclass(frozen=True, slots=True)
class Story:
    """What every step needs: where, with whose passwords, and where to print."""

    house: House
    accounts: Sequence[Mapping[str, str]]
    clients: Sequence[Mapping[str, Any]]
    console: Console

    def account(self, role: Role) -> Mapping[str, str]:
        return next(account for account in self.accounts if account["role"] == role)

    def client(self, name: str) -> Mapping[str, Any]:
        return next(client for client in self.clients if client["name"] == name)

    def say(self, number: int, zh: str, en: str, result: str) -> None:
        self.console.print(f"  [bold]{number}[/] {zh} {en}  [green]✓[/] {result}", highlight=False)


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise StoryBroken(what)


async def tell(
    house: House, accounts: Sequence[Mapping[str, str]], clients: Sequence[Mapping[str, Any]], console: Console
) -> dict[str, str]:
    """Play every step; the certificate of the story as ``demo.json`` names it. Raises StoryBroken."""
    story = Story(house, accounts, clients, console)
    try:
        return await _play(story)
    except (httpx2.HTTPError, UnexpectedPage, KeyError) as error:
        raise StoryBroken(f"{type(error).__name__}: {error}") from error


async def _play(story: Story) -> dict[str, str]:
    base_url = story.house.base_url
    async with Browser(base_url) as citizen:
        await log_in_at_a_portal(story, citizen)
        await be_known_at_the_second(story, citizen)
        await prove_who_you_are(story, citizen)
    async with httpx2.AsyncClient(base_url=base_url, timeout=120, trust_env=False, verify=web_trust()) as systems:
        sewage, food, proof = city.story_approvals(civil_date(story.house.clock.now()))
        waiting = await an_approval_waits(story, systems, food)
        async with Browser(base_url) as approver:
            await an_approver_stamps(story, approver, waiting)
        await others_are_issued_unattended(story, systems, [sewage, proof])
        certificate = await fetch_the_certificate(story, systems, waiting)
        await anyone_verifies(story, systems, certificate)
    await the_log_is_whole(story)
    return certificate


async def _consent(citizen: Browser) -> httpx2.Response:
    """Allow the portal, unless an earlier telling of the story already did: consent is remembered."""
    page = citizen.page
    if page is not None and page.url.path != "/consent":
        return page
    return await citizen.submit("/consent", decision="allow")


async def log_in_at_a_portal(story: Story, citizen: Browser) -> None:
    """OpenID Connect: the portal sends the browser to us, we ask who it is and what they allow, and send it back."""
    account = story.account(Role.CITIZEN)
    await citizen.visit("/demo/water/login")
    await citizen.log_in(account["username"], account["password"])
    page = await _consent(citizen)
    _expect(page.status_code == 200 and page.url.path == "/demo/water", "the water portal did not get its person back")
    story.say(1, "登录自来水门户", "log in at the water portal", story.house.base_url + "/demo/water")


async def be_known_at_the_second(story: Story, citizen: Browser) -> None:
    """Single sign-on: no password is asked; consent is, once, because this portal has not been allowed yet."""
    await citizen.visit("/demo/market/login")
    page = await _consent(citizen)
    _expect(page.status_code == 200 and page.url.path == "/demo/market", "the market portal does not know the person")
    story.say(2, "市场门户已认识本人，无需再登录", "known at the market portal without a password", story.house.base_url + "/demo/market")


async def prove_who_you_are(story: Story, citizen: Browser) -> None:
    """The citizen binds their number on their own page; the population registry agrees."""
    one = next(one for one in city.ACCOUNTS if one.role is Role.CITIZEN)
    page = await citizen.visit("/account")
    if "/account/real-name" in page.text:
        page = await citizen.submit("/account/real-name", name=one.name, code=one.number, code_type="111")
    _expect(page.status_code == 200 and one.number not in page.text, "the real-name check failed")
    story.say(3, "实名核验", "real-name check", "level 2: 姓名与号码一致 name and number agree")


async def _token(story: Story, systems: httpx2.AsyncClient, name: str, scope: str) -> dict[str, str]:
    client = story.client(name)
    answer = await systems.post(
        "/oauth/token",
        data={"grant_type": "client_credentials", "scope": scope},
        auth=(quote(client["client_id"]), quote(client["client_secret"])),
    )
    _expect(answer.status_code == 200, f"no token for {name}")
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def _approve(story: Story, systems: httpx2.AsyncClient, name: str, approval: Mapping[str, object], status: int) -> dict[str, Any]:
    key = {"Idempotency-Key": f"story-{digest(str(approval['approval_number']))}"}
    headers = await _token(story, systems, name, "certificates:issue") | key
    answer = await systems.post("/api/v1/approvals", json=dict(approval), headers=headers)
    _expect(answer.status_code == status, f"{approval['approval_number']}: {answer.status_code} {answer.text[:300]}")
    issued: dict[str, Any] = answer.json()
    return issued


async def an_approval_waits(story: Story, systems: httpx2.AsyncClient, approval: Mapping[str, object]) -> dict[str, Any]:
    """A service window brings a decided approval; it may not use the seal by itself, so the document waits."""
    waiting = await _approve(story, systems, "window", approval, 202)
    story.say(4, "窗口提交审批结果，待盖章", "an approval awaits its stamp", str(waiting["identifier"]))
    return waiting


async def an_approver_stamps(story: Story, approver: Browser, waiting: Mapping[str, Any]) -> None:
    """The approver logs in with two factors, sees the picture and the rules, and stamps exactly that document."""
    account = story.account(Role.APPROVER)
    await approver.visit(f"/approve/{waiting['id']}")
    otp = pyotp.TOTP(account["totp_secret"]).at(story.house.clock.now())
    await approver.log_in(account["username"], account["password"], otp)
    page = await approver.submit(f"/approve/{waiting['id']}")
    _expect(page.status_code == 200, "the approver could not stamp")
    story.say(5, "审批人双因素登录并用印", "an approver stamps it", story.house.base_url + f"/approve/{waiting['id']}")


async def others_are_issued_unattended(story: Story, systems: httpx2.AsyncClient, approvals: Sequence[Mapping[str, object]]) -> None:
    """The approval platform holds a grant of its own for unattended use."""
    for approval in approvals:
        issued = await _approve(story, systems, "approvals", approval, 201)
        story.say(
            6,
            "审批平台自动用印签发",
            "issued unattended",
            f"{approval['approval_number']}  {story.house.base_url}/v/{issued['verification_code']}",
        )


async def fetch_the_certificate(story: Story, systems: httpx2.AsyncClient, issued: Mapping[str, Any]) -> dict[str, str]:
    """The issuing system fetches the file, saying why; it is put beside ``demo.json``."""
    headers = await _token(story, systems, "window", "certificates:read") | {"Purpose": quote("演示：交付持证主体")}
    answer = await systems.get(f"/api/v1/certificates/{issued['id']}/file", headers=headers)
    _expect(answer.status_code == 200 and answer.content.startswith(b"%PDF"), f"no file: {answer.status_code}")
    path = story.house.settings.home / "certificate.pdf"
    _write(path, answer.content)
    story.say(7, "取得证照文件", "the certificate's file", str(path))
    return {
        "id": str(issued["id"]),
        "identifier": str(issued["identifier"]),
        "verification_code": str(issued["verification_code"]),
        "verify_url": f"{story.house.base_url}/v/{issued['verification_code']}",
        "pdf": str(path),
    }


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


async def anyone_verifies(story: Story, systems: httpx2.AsyncClient, certificate: Mapping[str, str]) -> None:
    """By the code that the QR holds, and by the file itself; nobody logs in for that."""
    page = await systems.get(certificate["verify_url"], headers={"Accept": "text/html"})
    _expect('data-status="in_force"' in page.text, "the page behind the QR code does not say in force")
    verdict = await systems.post("/api/v1/verify", content=Path(certificate["pdf"]).read_bytes())  # noqa: ASYNC240
    indication = verdict.json()["indication"]
    _expect(indication == "TOTAL_PASSED", f"the file's verdict is {indication}: {verdict.text[:2000]}")
    story.say(8, "扫码核验：在有效期内", "the record is genuine and in force", certificate["verify_url"])
    story.say(8, "文件核验", "the file's signatures", indication)


async def the_log_is_whole(story: Story) -> None:
    house = story.house
    await sequence_all(house.database, house.keystore, house.clock)
    report = await verify_log(house.database)
    _expect(report.whole, f"the audit log is not whole: {report.problems}")
    story.say(9, "审计日志完整", "the audit log is whole", f"{report.entries} entries, root {report.root.hex()[:16]}…")
