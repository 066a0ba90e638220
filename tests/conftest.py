"""Fixtures every test stands on: a real PostgreSQL, a real Valkey, a key store, a clock that is told the time."""

import asyncio
import datetime as dt
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from api.embedded import Addresses, embedded_servers
from api.migrations import upgrade
from api.workers import ProcessWorkers
from keys.base.db import Database
from keys.base.ids import new_code
from keys.custody.software import SoftwareKeyStore
from tests.running import City, free_port


@pytest.fixture(scope="session")
def servers() -> Iterator[Addresses]:
    """A PostgreSQL and a Valkey of this test process, gone with it."""
    folder = Path(tempfile.mkdtemp(prefix="fujie-test-"))
    try:
        with embedded_servers(folder, durable=False) as addresses:
            asyncio.run(_prepare_template(addresses.database_url))
            yield addresses
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _prepare_template(url: str) -> None:
    await upgrade(url)
    engine = create_async_engine(url.replace("/fujie?", "/postgres?"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text("ALTER DATABASE fujie RENAME TO template_fujie"))
    await engine.dispose()


@pytest.fixture
async def database_url(servers: Addresses) -> AsyncIterator[str]:
    """The URL of a database of this test alone, fresh from the migrations."""
    name = f"test_{new_code().lower()}"
    engine = create_async_engine(servers.database_url.replace("/fujie?", "/postgres?"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template_fujie STRATEGY FILE_COPY"))
    yield servers.database_url.replace("/fujie?", f"/{name}?")
    async with engine.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await engine.dispose()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=10)
    yield database
    await database.close()


@pytest.fixture
def redis_url(servers: Addresses) -> str:
    return servers.redis_url


@pytest.fixture
def keystore(tmp_path: Path) -> SoftwareKeyStore:
    return SoftwareKeyStore.create(tmp_path / "key-encryption-key")


class TestClock:
    """A clock that stands still until it is told to go on."""

    __test__ = False

    def __init__(self, instant: dt.datetime) -> None:
        self.instant = instant

    def now(self) -> dt.datetime:
        return self.instant

    def advance(self, **parts: float) -> dt.datetime:
        self.instant += dt.timedelta(**parts)
        return self.instant


@pytest.fixture
def clock() -> TestClock:
    return TestClock(dt.datetime(2026, 11, 21, 2, 0, tzinfo=dt.UTC))


@pytest.fixture(scope="session")
def workers() -> Iterator[ProcessWorkers]:
    pool = ProcessWorkers(processes=1)
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """The demonstration city, made once in an empty home and serving on a port of its own."""
    running = City(tmp_path_factory.mktemp("city") / "home", free_port()).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def suites() -> Path:
    """The folder of public conformance data, named by ``FUJIE_SUITES`` or beside the project."""
    folder = Path(os.environ.get("FUJIE_SUITES", Path(__file__).parents[2] / "shared" / "data" / "suites"))
    if not folder.is_dir():
        if os.environ.get("FUJIE_REQUIRE_ALL") == "1":
            pytest.fail(f"FUJIE_SUITES: {folder} does not exist")
        pytest.skip("no conformance data: set FUJIE_SUITES")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """With ``FUJIE_REQUIRE_ALL=1`` a skipped test is a failed one: nothing is quietly left out."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("FUJIE_REQUIRE_ALL") == "1":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and FUJIE_REQUIRE_ALL=1 allows none: {report.longrepr}"
    return report


def require_command(name: str, package: str) -> str:
    """The path of an outside program, or a skip that names the Debian package that brings it."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name}: apt-get install {package}")
    return path
