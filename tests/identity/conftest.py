"""People, registries and journeys of a small demonstration city."""

import csv
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from identity import people
from identity.credentials import enrol_totp
from identity.login import LogIn
from identity.people import Account, NewAccount
from identity.personal_data import PersonalData, open_personal_data
from identity.realname import RealName, with_registry
from identity.realname_sources import load_legal_persons, load_population
from keys.base.actor import Role
from keys.base.db import Database
from keys.custody.store import KeyStore

PASSWORD = "correct horse battery"
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
PEOPLE = [
    {"id_number": "990100197003131003", "name": "钱晓明", "mobile": "19900000000"},
    {"id_number": "990100195409041017", "name": "卫思远", "mobile": "19900000001"},
    {"id_number": "11010519491231002X", "name": "阿卜杜拉·买买提", "mobile": ""},
    {"id_number": "810000199003077778", "name": "陈大文", "mobile": ""},
]
ORGANISATIONS = [
    {"uscc": "91990100MA1TEXT14M", "name": "示范市白鹤建材有限公司"},
    {"uscc": "N2990102MF0000080C", "name": "示范区新春村股份经济合作社"},
    {"uscc": "91350211M0000XUF46", "name": "校验位有误的公司"},
    {"uscc": "52990102MJ0000077Q", "name": "已注销的中心", "status": "cancelled"},
]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator["Redis"]:
    client = Redis.from_url(redis_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
async def personal(database: Database, keystore: KeyStore, clock: Any) -> PersonalData:
    return await open_personal_data(database, keystore, clock)


@pytest.fixture
def login(database: Database, redis: "Redis", clock: Any, personal: PersonalData) -> LogIn:
    return LogIn(database, redis, clock, personal)


@pytest.fixture
async def citizen(database: Database, clock: Any) -> Account:
    async with database.begin() as session:
        return await people.create_account(session, clock.now(), NewAccount("citizen", "钱先生", "990100"), PASSWORD)


@pytest.fixture
async def approver(database: Database, clock: Any, personal: PersonalData) -> Account:
    new = NewAccount("approver", "审批员", "990100", frozenset({Role.APPROVER}), "11990100MB0000027F")
    async with database.begin() as session:
        account = await people.create_account(session, clock.now(), new, PASSWORD)
        await enrol_totp(session, personal, clock.now(), account.id, TOTP_SECRET)
        return await people.require_account(session, account.id)


@pytest.fixture
async def realname(database: Database, redis: "Redis", clock: Any, personal: PersonalData) -> RealName:
    async with database.begin() as session:
        await load_population(session, clock.now(), personal, PEOPLE)
        await load_legal_persons(session, clock.now(), personal, ORGANISATIONS)
    return with_registry(database, redis, clock, personal)


@pytest.fixture
def registry_rows() -> list[dict[str, str]]:
    with (Path(__file__).parents[2] / "api" / "demo" / "data" / "population.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
