"""A changed file given to the service: the JSON names the page, and people are shown it beside the sealed one, in both languages."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from httpx2 import ASGITransport, AsyncClient
from starlette.applications import Starlette

from api.pages import verify as pages
from api.routes import verify_file
from keys.base.db import Database
from keys.custody.store import KeyStore
from tests.api.test_verify_route import House, Settings, world
from tests.attacks.forged_cases import overlay, updated
from tests.conftest import TestClock
from tests.stamped import World, pem

__all__ = ["world"]


@dataclass
class OfPages(Settings):
    demo: bool = False


@pytest.fixture
async def client(world: World, clock: TestClock, database: Database, keystore: KeyStore, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    trust = tmp_path / "trust.pem"
    trust.write_bytes(pem("CERTIFICATE", world["root"].certificate) + pem("CERTIFICATE", world["root-sm"].certificate))
    app = Starlette(routes=[*verify_file.routes, *pages.routes])
    app.state.house = House(OfPages(trust), clock, database, keystore)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_a_changed_page_is_named_and_shown(client: AsyncClient, world: World) -> None:
    changed = updated(world.stamped(), overlay)
    answer = await client.post("/api/v1/verify", content=changed)
    document = answer.json()
    assert (document["indication"], document["changed_pages"]) == ("TOTAL_FAILED", [1])
    for language, sentence in (
        ("en", "This document was changed after it was sealed: page 1"),
        ("zh-CN", "文件在用印后被改动：第 1 页"),
    ):
        page = await client.post("/verify", files={"file": ("a.pdf", changed)}, headers={"Accept-Language": language})
        assert page.status_code == 200
        assert sentence in page.text
        assert page.text.count('src="data:image/png;base64,') == 2
        assert "img-src 'self' data:" in page.headers["content-security-policy"]
