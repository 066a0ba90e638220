"""The city of the approvals, furnished once for a test process: a prepared database and the home beside it, copied for each test."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from api.embedded import Addresses
from api.wiring import House
from api.workers import ProcessWorkers
from keys.base.db import Database
from keys.base.ids import new_code
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import trust_bundle
from tests.certs.conftest import build_once
from tests.conftest import BEGINNING, TestClock, copy_database
from tests.pages_house import open_test_house


@dataclass(frozen=True)
class Furnished:
    """A database with the organisations, matters, types and seals (code by issuer), and the home that holds its trust list."""

    template: str
    home: Path
    seals: dict[str, str]


@pytest.fixture(scope="session")
def furnished(servers: Addresses, key_file: Path, pki_template: str, workers: ProcessWorkers) -> Furnished:
    """In whichever folders of tests it is asked for, it is furnished once."""
    return _once(servers, key_file, pki_template, workers)


@cache
def _once(servers: Addresses, key_file: Path, pki_template: str, workers: ProcessWorkers) -> Furnished:
    built, name, home = build_once(servers, key_file, pki_template), f"template_{new_code().lower()}", key_file.with_name("furnished")
    home.mkdir()
    asyncio.run(_furnish(servers, key_file, built.template, workers, name, home))
    return Furnished(name, home, built.seals)


async def _furnish(servers: Addresses, key_file: Path, built: str, workers: ProcessWorkers, name: str, home: Path) -> None:
    """What opening a house makes is made here too, at the clock's beginning."""
    database = Database(await copy_database(servers, built, name))
    opened = open_test_house(database, servers.redis_url, SoftwareKeyStore(key_file), TestClock(BEGINNING), workers, home)
    async with opened as house, database.session() as session:
        house.settings.trust_file.write_text(await trust_bundle(session))
    await database.close()


@asynccontextmanager
async def open_furnished(
    furnished: Furnished, database: Database, redis_url: str, keystore: Any, clock: Any, workers: ProcessWorkers, home: Path
) -> AsyncIterator[House]:
    """The house of a test whose database is a copy of the furnished one."""
    shutil.copytree(furnished.home, home, dirs_exist_ok=True)
    async with open_test_house(database, redis_url, keystore, clock, workers, home) as house:
        yield house
