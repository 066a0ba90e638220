"""The pages over a real house: database, Valkey, keys and clock of the test; one browser in front of them."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from api.problems import install
from api.routes.oidc import routes as oidc_routes
from api.settings import Settings
from api.wiring import House
from api.workers import ProcessWorkers
from certs.blobs import FolderBlobStore
from certs.issuance import Issuing
from identity.credentials import enrol_totp
from identity.people import Account, NewAccount, create_account
from identity.personal_data import open_personal_data
from identity.realname_sources import load_population
from keys.base.actor import Role
from keys.base.db import Database
from keys.evidence.log import establish_log
from keys.jwks import ensure_signing_keys

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
    issuing = Issuing(
        database=database, keystore=keystore, clock=clock, workers=workers, blobs=blobs, personal=personal, base_url=issuer
    )
    async with database.begin() as session:
        await load_population(session, clock.now(), personal, [{"id_number": NUMBER, "name": NAME, "mobile": "19900000000"}])
    try:
        yield House(settings, database, redis, keystore, clock, workers, personal, blobs, issuing, log_key, issuer)
    finally:
        await redis.aclose()


def make_app(house: House) -> Any:
    app = Starlette(routes=[*oidc_routes, *page_routes, *portal_routes])
    app.state.house = house
    app.state.error_page = error_page
    install(app)  # type: ignore[arg-type]
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
