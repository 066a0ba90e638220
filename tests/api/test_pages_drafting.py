"""Templates in a browser and over HTTP: a shipped one to begin from, the pages with sample words, faults with their lines."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.routes.templates import DraftBody, list_templates, preview_template, read_template
from api.wiring import House
from certs.forms import templates
from keys.base.actor import SYSTEM, Role
from keys.base.errors import NotFound
from tests.api.test_pages_seals import member
from tests.certs.catalogue_people import MARKET, SYSADMIN
from tests.pages_house import data_codes, open_test_house

PAGE = "/catalogue/templates"


@pytest.fixture
async def house(database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path) -> AsyncIterator[House]:
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened


async def test_a_draft_is_seen_while_it_is_written(house: House) -> None:
    writer = await member(house, "writer1", Role.SYSTEM_ADMIN, MARKET)
    shown = await writer.get(f"{PAGE}?from=general_landscape")
    assert 'toml("draft.toml")' in shown.replace("&#34;", '"')
    draft = await read_template("general_landscape", SYSADMIN)
    seen = await writer.client.post(PAGE, data={**draft, "words": "许可事项：危险货物运输\ntitle_zh: 道路运输许可证"})
    assert (seen.status_code, seen.text.count('data-preview="pages"')) == (200, 1)
    assert "data:" in seen.headers["content-security-policy"]
    png = base64.b64decode(seen.text.split("data:image/png;base64,")[1].split('"')[0])
    assert png.startswith(b"\x89PNG")
    broken = await writer.client.post(PAGE, data={**draft, "source": draft["source"].replace("data.fields", "data.fild"), "words": ""})
    assert 'data-preview="faults"' in broken.text
    assert "draft.typ:" in broken.text
    assert data_codes((await writer.client.post(PAGE, data={"form": "", "source": ""})).text)
    assert (await writer.client.get(f"{PAGE}?from=nothing")).status_code == 404
    for role in (Role.WINDOW_CLERK, Role.AUDITOR):
        stranger = await member(house, f"stranger{role.value[:4]}", role, MARKET)
        assert (await stranger.client.get(PAGE)).status_code == 403
        assert (await stranger.client.post(PAGE, data=draft)).status_code == 403


async def test_templates_over_http_name_those_that_serve_any_type() -> None:
    listed = {one["name"]: one for one in (await list_templates(SYSTEM))["items"]}
    assert set(listed) == set(templates())
    assert listed["general_portrait"]["type"] is None
    assert (await read_template(listed["business_licence"]["type"], SYSTEM)) == (await read_template("business_licence", SYSTEM))
    with pytest.raises(NotFound):
        await read_template("nothing", SYSTEM)
    answer = await preview_template(DraftBody(form="x = = 2", source="x"), SYSTEM)
    assert b'"faults":[{"file":"draft.toml","line":1' in answer.body
