"""The pages over a real house: database, Valkey, keys and clock of the test; one browser in front of them."""

import datetime as dt
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pyotp
from redis.asyncio import Redis
from starlette.applications import Starlette

from api.demo.portals import routes as portal_routes
from api.pages import error_page
from api.pages import routes as page_routes
from api.problems import HANDLERS
from api.routes.oidc import routes as oidc_routes
from api.settings import Settings
from api.trusted_time import trusted_time
from api.wiring import House
from api.workers import ProcessWorkers
from certs.approvals import Outcome
from certs.issuance import Issuing, approve
from identity.credentials import enrol_totp
from identity.people import Account, NewAccount, create_account, set_identity
from identity.personal_data import open_personal_data
from identity.realname_sources import load_population
from keys.base.actor import Actor, ActorKind, Role
from keys.base.blobs import FolderBlobStore
from keys.base.db import Database
from keys.evidence.log import establish_log
from keys.pki.authority import trust_bundle
from keys.rotation import ensure_signing_keys
from seal.grants import Grant, grant_use
from tests.certs.conftest import APPROVALS_CLIENT, ATTENDED_CLIENT, approval, approvals, build_city

ISSUER = "http://127.0.0.1:8000"
PASSWORD = "two halves of one tally 2026"
NUMBER = "990100197003131003"
NAME = "钱晓明"


@asynccontextmanager
async def open_test_house(
    database: Database, redis_url: str, keystore: Any, clock: Any, workers: ProcessWorkers, home: Path, issuer: str = ISSUER
) -> AsyncIterator[House]:
    settings = Settings(home=home, base_url=issuer, demo=True)
    redis: Redis = Redis.from_url(redis_url)
    await redis.flushdb()
    personal = await open_personal_data(database, keystore, clock)
    await ensure_signing_keys(database, keystore, clock)
    log_key = await establish_log(database, keystore, clock, "log.test")
    blobs = FolderBlobStore(home / "blobs")
    time = trusted_time(settings, database, keystore, clock)
    issuing = Issuing(
        database=database, keystore=keystore, clock=clock, workers=workers, blobs=blobs, personal=personal, base_url=issuer, gate=clock
    )
    async with database.begin() as session:
        await load_population(session, clock.now(), personal, [{"id_number": NUMBER, "name": NAME, "mobile": "19900000000"}])
    try:
        yield House(settings, database, redis, keystore, clock, workers, personal, blobs, issuing, log_key, issuer, time)
    finally:
        await redis.aclose()


def make_app(house: House) -> Any:
    app = Starlette(routes=[*oidc_routes, *page_routes, *portal_routes], exception_handlers=HANDLERS)
    app.state.house = house
    app.state.error_page = error_page
    return app


async def add_person(house: House, username: str, name: str = NAME, roles: frozenset[Role] = frozenset({Role.CITIZEN})) -> Account:
    new = NewAccount(username=username, display_name=name, division="990100", roles=roles)
    async with house.database.begin() as session:
        return await create_account(session, house.clock.now(), new, PASSWORD)


async def add_second_factor(house: House, account: Account) -> pyotp.TOTP:
    async with house.database.begin() as session:
        secret = await enrol_totp(session, house.personal, house.clock.now(), account.id)
    return pyotp.TOTP(secret)


def browser(app: Any, language: str = "en", issuer: str = ISSUER) -> httpx2.AsyncClient:
    """A client that keeps cookies and, like a browser, follows nothing unless it is told to."""
    headers = {"Accept": "text/html", "Accept-Language": language}
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=issuer, headers=headers)


def data_codes(html: str) -> list[str]:
    """The stable codes a page carries."""
    return re.findall(r'data-code="([A-Z_]+)"', html)


def field_value(html: str, name: str) -> str | None:
    """What an input of that name holds; None where there is no such input or it is empty."""
    found = re.search(rf'<input[^>]*name="{name}"[^>]*>', html)
    value = re.search(r'value="([^"]*)"', found.group()) if found else None
    return unescape(value.group(1)) if value else None


async def log_in_at(client: httpx2.AsyncClient, username: str, next_: str = "/account") -> httpx2.Response:
    return await client.post("/login", data={"username": username, "password": PASSWORD, "next": next_})


@dataclass(frozen=True)
class Approver:
    """An approver of one issuer, with a grant on its seal."""

    account: Account
    totp: pyotp.TOTP

    async def log_in(self, house: House, client: httpx2.AsyncClient) -> None:
        due = await log_in_at(client, self.account.username)
        done = await client.post("/login", data={"otp": self.totp.at(house.clock.now()), "next": field_value(due.text, "next") or ""})
        assert done.status_code == 303, due.text


async def furnish(house: House) -> dict[str, str]:
    """The demonstration's organisations, matters, types and approval seals (issuer → seal code), and the trust list."""
    seals = await build_city(house.database, house.keystore, house.clock, house.personal)
    async with house.database.session() as session:
        house.settings.trust_file.write_text(await trust_bundle(session))
    return seals


async def add_approver(house: House, seals: dict[str, str], number: int = 0, *, granted: bool = True) -> Approver:
    """An approver of the issuer of the demonstration's approval of that number."""
    asked, now = approvals()[number], house.clock.now()
    new = NewAccount(f"approver{number}{granted}".lower(), "审批员", "990100", frozenset({Role.APPROVER}), asked["issuer"])
    async with house.database.begin() as session:
        account = await create_account(session, now, new, PASSWORD)
        await set_identity(session, now, account.id, name="审批员", level=2)
        if granted:
            grant = Grant(seals[asked["issuer"]], "person", str(account.id), asked["matter_code"], None, now, now + dt.timedelta(days=90))
            await grant_use(session, now, keeper_of(asked["issuer"]), grant)
    return Approver(account, await add_second_factor(house, account))


def keeper_of(organisation: str) -> Actor:
    return Actor(ActorKind.PERSON, "keeper", "Keeper", organisation, "990100", frozenset({Role.SEAL_KEEPER}), assurance=2, authenticator=2)


async def send_approval(house: House, number: int = 0, *, unattended: bool = False, **changes: Any) -> Outcome:
    """The demonstration's approval of that number, as its business system sends it."""
    client = APPROVALS_CLIENT if unattended else ATTENDED_CLIENT
    return await approve(house.issuing, client, approval(number, **changes), f"key-{number}")
