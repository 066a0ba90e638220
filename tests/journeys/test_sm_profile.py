"""国密: the whole story under ``FUJIE_CRYPTO=sm``, what its keys are, and that a home keeps its family of algorithms."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from keys.base.clock import SystemClock
from keys.base.db import Database
from keys.custody.store import Algorithm
from keys.installation import SuiteMismatch, keep_suite
from keys.suites import SUITES, Crypto
from tests.running import City, free_port

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def sm_city(tmp_path_factory: pytest.TempPathFactory, loaded_fujie: str) -> Iterator[City]:
    city = City(tmp_path_factory.mktemp("sm") / "home", free_port(), more={"FUJIE_CRYPTO": "sm"}, command=(loaded_fujie,)).start()
    yield city
    city.stop()


def _query(city: City, statement: str) -> list[tuple[str, ...]]:
    """Rows of the running city's own database."""
    url = json.loads((city.home / "run" / "addresses.json").read_text())["database_url"]

    async def ask() -> list[tuple[str, ...]]:
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            rows = [tuple(row) for row in await connection.execute(text(statement))]
        await engine.dispose()
        return rows

    return asyncio.run(ask())


def test_the_story_passes(sm_city: City) -> None:
    assert "✓ TOTAL_PASSED" in sm_city.output
    verdict = sm_city.fujie("verify", sm_city.demo["certificate"]["pdf"], "--json")
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    answer = json.loads(verdict.stdout)
    assert answer["indication"] == "TOTAL_PASSED"
    checks = {check["name"]: check["outcome"] for signature in answer["signatures"] for check in signature["checks"]}
    assert checks["STAMP_SIGNATURE"] == checks["SIGNATURE"] == "PASSED", "the SM2 stamp and the signature that every reader knows"


def test_the_keys_are_of_the_chinese_family(sm_city: City) -> None:
    keys = _query(
        sm_city,
        "SELECT role, algorithm FROM identity.personal_data_keys JOIN keys.stored_keys ON id = key_id"
        " UNION SELECT 'log', algorithm FROM keys.stored_keys WHERE purpose = 'log' ORDER BY 1",
    )
    assert keys == [("data", "SM4_GCM"), ("index", "HMAC_SM3"), ("log", "SM2")]
    assert _query(sm_city, "SELECT crypto FROM keys.installation") == [("sm",)]


def test_what_portals_verify_stays_what_portals_know(sm_city: City) -> None:
    published = httpx2.get(f"{sm_city.base_url}/oauth/jwks", trust_env=False).json()["keys"]
    assert {key["alg"] for key in published} == {"ES256", "RS256"}


def test_the_log_is_whole_under_its_sm2_key(sm_city: City) -> None:
    result = sm_city.fujie("audit", "verify")
    assert result.returncode == 0, result.stdout + result.stderr
    note = httpx2.get(f"{sm_city.base_url}/log/checkpoint", trust_env=False).text
    assert note.splitlines()[0] == sm_city.demo["log_vkey"].split("+")[0]


def test_a_rotation_stays_in_the_family(sm_city: City) -> None:
    done = sm_city.fujie("keys", "rotate", "--purpose", "personal-data")
    assert done.returncode == 0, done.stderr
    listed = [json.loads(line) for line in sm_city.fujie("keys", "list").stdout.splitlines()]
    data = [(row["algorithm"], row["state"]) for row in listed if row["kind"] == "personal-data"]
    assert data == [("SM4_GCM", "sealing"), ("SM4_GCM", "next")]


def test_another_family_is_refused(sm_city: City) -> None:
    refused = City(sm_city.home, sm_city.port, more={"FUJIE_CRYPTO": "intl"}).fujie("keys", "list")
    assert refused.returncode == 1
    assert "CRYPTO_SUITE_MISMATCH" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_unknown_family_is_named(tmp_path: Path) -> None:
    refused = City(tmp_path / "home", free_port(), more={"FUJIE_CRYPTO": "gost"}).fujie("keys", "list")
    assert refused.returncode == 2
    assert "FUJIE_CRYPTO" in refused.stderr


async def test_the_first_start_decides_even_among_several(database: Database) -> None:
    found = await asyncio.gather(*(keep_suite(database, SystemClock(), Crypto.SM) for _ in range(4)))
    assert set(found) == {SUITES[Crypto.SM]}
    with pytest.raises(SuiteMismatch):
        await keep_suite(database, SystemClock(), Crypto.INTL)
    assert SUITES[Crypto.SM].cipher is Algorithm.SM4
