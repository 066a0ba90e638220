"""A city and its province over real mutual TLS, with two databases: what they tell each other, and what they refuse."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.embedded import Addresses
from certs.federation import Level
from certs.federation_feed import told_of
from keys.base.db import Database
from keys.base.ids import new_code
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import establish
from tests.certs.catalogue_people import MARKET
from tests.certs.instances import CITY, PROVINCE, PROVINCE_OFFICE, Instance, make_instance
from tests.certs.sharing_people import LICENCE
from tests.conftest import BEGINNING, MIGRATED, TestClock, copy_database

PROVINCIAL = "template_province"


@pytest.fixture(scope="session")
def province_template(servers: Addresses, key_file: Path) -> str:
    """The province's own hierarchy: another root, other authorities."""
    asyncio.run(_prepare(servers, key_file))
    return PROVINCIAL


async def _prepare(servers: Addresses, key_file: Path) -> None:
    database = Database(await copy_database(servers, MIGRATED, PROVINCIAL))
    await establish(database, SoftwareKeyStore(key_file), TestClock(BEGINNING), "http://127.0.0.1:8001")
    await database.close()


@pytest.fixture
def template(pki_template: str) -> str:
    return pki_template


@pytest.fixture
async def city(database: Database, keystore: SoftwareKeyStore, clock: TestClock, tmp_path: Path) -> AsyncIterator[Instance]:
    one = await make_instance(database, keystore, clock, tmp_path / "city", "127.0.0.1")
    await one.stage.furnish()
    await one.introduce("示范市", (CITY,), MARKET)
    yield one
    one.listening.close()


@pytest.fixture
async def province(
    servers: Addresses, province_template: str, keystore: SoftwareKeyStore, clock: TestClock, tmp_path: Path
) -> AsyncIterator[Instance]:
    database = Database(await copy_database(servers, province_template, f"test_{new_code().lower()}"), pool_size=3)
    one = await make_instance(database, keystore, clock, tmp_path / "province", "localhost")
    await one.stage.furnish()
    await one.introduce("示范省", (PROVINCE,), PROVINCE_OFFICE)
    yield one
    one.listening.close()
    await database.close()


@pytest.fixture
async def paired(city: Instance, province: Instance) -> None:
    await city.register(province, Level.UPPER)
    await province.register(city, Level.LOWER)


async def test_statuses_spread(paired: None, city: Instance, province: Instance) -> None:
    held = await city.stage.hold(LICENCE, issuer=MARKET)
    async with city.listen():
        await asyncio.sleep(0)
        turn = await province.turn()
        assert turn.problem is None, turn
        turn = await province.turn()
    async with province.database.session() as session:
        told = await told_of(session, str(held))
    assert told, turn
