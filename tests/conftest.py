"""Fixtures every test stands on: a real PostgreSQL, a real Valkey, a key store, a clock that is told the time."""

import asyncio
import datetime as dt
import gc
import json
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import asyncpg
import boto3
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import TextClause, event
from sqlalchemy.orm import ORMExecuteState

from api.embedded import Addresses, embedded_servers
from api.migrations import upgrade
from api.workers import ProcessWorkers
from keys.base.db import Database, ReadingSession
from keys.base.ids import new_code
from keys.base.object_store import S3Address
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import establish
from keys.rotation import ensure_signing_keys
from tests.forked import forked_command
from tests.running import City, free_port

TESTS = Path(__file__).parent
MIGRATED, ESTABLISHED, SIGNING = "template_fujie", "template_pki", "template_signing"
LONGEST_FIRST = ("journeys", "attacks", "outsiders", "docs", "benchmarks", "keys", "api")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """No garbage collector while the files of tests are read: all of it stays, and it need not be walked through again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The folders of long files first: what is handed out last is short, so both test processes end together.

    What is marked ``long`` is ``make test-long``'s (docs/decisions/0128), and is not even counted without it.
    """
    if os.environ.get("FUJIE_LONG") != "1":
        left = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.relative_to(TESTS).parts[0], len(place)))


@event.listens_for(ReadingSession, "do_orm_execute")
def _refuse_what_writes(state: ORMExecuteState) -> None:
    """In the product only what a session would flush is refused; the tests look at every statement, and at locks that would not last."""
    statement = state.statement
    words = statement.text.split() if isinstance(statement, TextClause) else []
    reads = words[0].upper() in ("SELECT", "WITH", "TABLE") if words else state.is_select
    assert reads, f"a session for reading was asked to write: {statement}"
    assert getattr(statement, "_for_update_arg", None) is None, f"a session for reading cannot lock: {statement}"


@pytest.fixture(scope="session")
def servers() -> Iterator[Addresses]:
    """A PostgreSQL and a Valkey of this test process, gone with it."""
    folder = Path(tempfile.mkdtemp(prefix="fujie-test-"))
    try:
        with embedded_servers(folder, durable=False) as addresses:
            asyncio.run(_prepare_template(addresses))
            yield addresses
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _prepare_template(addresses: Addresses) -> None:
    await upgrade(addresses.database_url)
    await _on_server(addresses, f"ALTER DATABASE fujie RENAME TO {MIGRATED}")


@pytest.fixture
def template(request: pytest.FixtureRequest) -> str:
    """The database that a test's own is copied from: fresh from the migrations, unless a folder of tests has one prepared.

    A ``house`` that the test opens finds the keys that sign tokens already made: an RSA key is costly.
    """
    fixtures = set(request.fixturenames)
    chosen: str = request.getfixturevalue("signing_template") if {"house", "clock"} <= fixtures else MIGRATED
    return chosen


@pytest.fixture
async def database_url(servers: Addresses, template: str) -> AsyncIterator[str]:
    """The URL of a database of this test alone."""
    name = f"test_{new_code().lower()}"
    await copy_database(servers, template, name)
    yield servers.database_url.replace("/fujie?", f"/{name}?")
    await _on_server(servers, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def empty_url(servers: Addresses) -> AsyncIterator[str]:
    """The URL of a database without any table."""
    name = f"empty_{new_code().lower()}"
    await _on_server(servers, f"CREATE DATABASE {name}")
    yield servers.database_url.replace("/fujie?", f"/{name}?")
    await _on_server(servers, f"DROP DATABASE {name} WITH (FORCE)")


async def copy_database(servers: Addresses, template: str, name: str) -> str:
    """A copy under another name; its URL."""
    await _on_server(servers, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    return servers.database_url.replace("/fujie?", f"/{name}?")


async def _on_server(servers: Addresses, statement: str) -> None:
    """By the driver alone: an engine of SQLAlchemy for one statement costs as much as the statement."""
    address = servers.database_url.replace("postgresql+asyncpg:", "postgresql:").replace("/fujie?", "/postgres?")
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=10)
    yield database
    await database.close()


@pytest.fixture
def redis_url(servers: Addresses) -> str:
    return servers.redis_url


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One key-encryption key for all tests of this process: databases prepared once open with it."""
    return SoftwareKeyStore.create(tmp_path_factory.mktemp("keys") / "key-encryption-key").path


@pytest.fixture
def keystore(key_file: Path, tmp_path: Path) -> SoftwareKeyStore:
    """A key store of this test alone."""
    own = tmp_path / "key-encryption-key"
    shutil.copy2(key_file, own)
    return SoftwareKeyStore(own)


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


BEGINNING = dt.datetime(2026, 11, 21, 2, 0, tzinfo=dt.UTC)


@pytest.fixture
def clock() -> TestClock:
    return TestClock(BEGINNING)


@pytest.fixture(scope="session")
def pki_template(servers: Addresses, key_file: Path) -> str:
    """A prepared database: the demonstration's authorities are established, at the clock's beginning."""
    asyncio.run(_prepare_pki(servers, key_file))
    return ESTABLISHED


async def _prepare_pki(servers: Addresses, key_file: Path) -> None:
    database = Database(await copy_database(servers, MIGRATED, ESTABLISHED))
    await establish(database, SoftwareKeyStore(key_file), TestClock(BEGINNING), "http://127.0.0.1:8000")
    await database.close()


@pytest.fixture(scope="session")
def signing_template(servers: Addresses, key_file: Path) -> str:
    """A prepared database: the keys that sign tokens are made, at the clock's beginning."""
    asyncio.run(_prepare_signing(servers, key_file))
    return SIGNING


async def _prepare_signing(servers: Addresses, key_file: Path) -> None:
    database = Database(await copy_database(servers, MIGRATED, SIGNING))
    await ensure_signing_keys(database, SoftwareKeyStore(key_file), TestClock(BEGINNING))
    await database.close()


@pytest.fixture(scope="session")
def workers() -> Iterator[ProcessWorkers]:
    pool = ProcessWorkers(processes=1)
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def loaded_fujie(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A program ``fujie`` that is loaded once for all its commands, and forked for each."""
    with forked_command(tmp_path_factory.mktemp("loaded")) as command:
        yield str(command)


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory, loaded_fujie: str) -> Iterator[City]:
    """The demonstration city, made once in an empty home and serving on a port of its own.

    ``FUJIE_TEST_CITY`` (JSON) is what else it is started with: ``make test-on-token`` puts its keys on a token. Subscribers on loopback may
    be told of events.
    """
    more = {"FUJIE_WEBHOOK_NETWORKS": "127.0.0.0/8"} | json.loads(os.environ.get("FUJIE_TEST_CITY", "{}"))
    running = City(tmp_path_factory.mktemp("city") / "home", free_port(), more=more, command=(loaded_fujie,)).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A real S3 server (moto) on loopback, on a port of its own."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_address(s3_endpoint: str) -> S3Address:
    """A bucket of this test alone."""
    name, region = f"test-{new_code().lower()}", "cn-north-1"
    client = boto3.client("s3", endpoint_url=s3_endpoint, aws_access_key_id="test", aws_secret_access_key="secret", region_name=region)
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    return S3Address(name, "fujie", s3_endpoint, region, "test", "secret", retries=1, patience=3)


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
