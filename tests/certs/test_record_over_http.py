"""``record`` of POST /api/v1/verify over HTTP: what is known here of a file by its octets, whichever version somebody has."""

import dataclasses
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from httpx2 import ASGITransport, AsyncClient
from redis.asyncio import Redis
from starlette.applications import Starlette

from api.routes import verify_file
from certs.archiving import Archived
from certs.issuance import approve
from certs.library import Library, file_of
from keys.pki.authority import trust_bundle
from keys.rotation import ensure_signing_keys
from seal.reachable import PUBLIC
from seal.upgrades import keep_up
from tests.certs.test_archiving import upgrading
from tests.stamped import certificate_page


@pytest.fixture
async def http(city: Any, redis_url: str, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    trust = tmp_path / "trust.pem"
    async with city.issuing.database.session() as session:
        trust.write_text(await trust_bundle(session))
    app = Starlette(routes=verify_file.routes)
    issuing, redis = city.issuing, Redis.from_url(redis_url)
    await ensure_signing_keys(issuing.database, issuing.keystore, issuing.clock)  # a status list is signed with one
    app.state.house = SimpleNamespace(
        base_url=issuing.base_url,
        redis=redis,
        settings=SimpleNamespace(trust_file=trust, reachable=PUBLIC),
        clock=issuing.clock,
        database=issuing.database,
        keystore=issuing.keystore,
    )
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client
    await redis.aclose()


async def told(http: AsyncClient, file: bytes) -> Any:
    answer = await http.post("/api/v1/verify", content=file)
    assert answer.status_code == 200
    return answer.json()


async def test_every_version_of_an_issued_file_names_its_record_and_the_newest(city: Any, http: AsyncClient) -> None:
    issuing = dataclasses.replace(city.issuing, archived=Archived(None))
    issued = await approve(issuing, city.client, city.approval(), "a")
    library = Library(issuing.database, issuing.clock, issuing.blobs, issuing.personal)
    first = await file_of(library, city.client, issued.id, "核验")
    await keep_up(upgrading(issuing))
    second = await file_of(library, city.client, issued.id, "核验")
    newest = hashlib.sha256(second).hexdigest()
    for file, level in ((first, "PAdES-B-B"), (second, "PAdES-B-LTA")):
        answer = await told(http, file)
        assert answer["indication"] == "TOTAL_PASSED"
        assert answer["record"] == {
            "kind": "certificate", "identifier": issued.identifier, "status": "in_force", "story": None, "level": level,
            "sha256": hashlib.sha256(file).hexdigest(), "newest_sha256": newest, "superseded": file is first,
        }  # fmt: skip

    for other in (first + b"\n", second[:-1], certificate_page()):  # a changed file, and one of others
        assert (await told(http, other))["record"] is None
