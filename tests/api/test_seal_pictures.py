"""``POST /api/v1/seals/preview`` over the whole application: who may look, what comes back, what is refused."""

import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from sqlalchemy import text

from api.app import create_app
from api.openapi import document
from api.wiring import House
from identity.login_policy import PASSWORD_AND_OTP
from keys.base.actor import Role
from keys.pki.authority import establish
from tests.pages_house import ISSUER, add_person, open_test_house
from tests.portal import City
from tests.seal.test_impressions import png, svg

PATH = "/api/v1/seals/preview"
SCOPES = ("openid", "profile", "seals:manage")
BODY = {"kind": "approval", "organisation_name": "示范市住房和城乡建设局"}


@pytest.fixture
async def keeper(
    database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path
) -> AsyncIterator[tuple[House, httpx2.AsyncClient, dict[str, str]]]:
    await establish(database, keystore, clock, ISSUER)
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as house:
        account = await add_person(house, "keeper", roles=frozenset({Role.SEAL_KEEPER}))
        city = City(create_app(house), house.database, house.clock, account)
        client, secret = await city.register(scopes=SCOPES)
        await city.log_in(PASSWORD_AND_OTP)
        await city.consent(client)
        tokens = await city.tokens(client, secret, scope=" ".join(SCOPES))
        yield house, city.browser, {"Authorization": f"Bearer {tokens['access_token']}"}


def impression(content: bytes, media_type: str, **changes: object) -> dict[str, object]:
    return {"content": base64.b64encode(content).decode(), "media_type": media_type, "width_mm": 42, "height_mm": 42} | changes


async def test_a_keeper_looks_before_ordering(keeper):
    house, browser, headers = keeper
    drawn = await browser.post(PATH, json=BODY, headers=headers)
    assert (drawn.status_code, drawn.headers["content-type"].split(";")[0]) == (200, "image/svg+xml")
    assert drawn.headers["content-security-policy"] == "default-src 'none'"
    assert drawn.content.startswith(b"<svg ")
    look = {"shape": "square", "upper": "张小凡", "width_mm": 20, "star": False, "relief": "sunk", "colour": "blue"}
    small = await browser.post(PATH, json=BODY | {"kind": "personal_name", "look": look}, headers=headers | {"Accept": "image/png"})
    assert small.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(small.content)).size == (237, 237)
    scanned = await browser.post(PATH, json=BODY | {"impression": impression(png(1400, 1400), "image/png")}, headers=headers)
    assert scanned.status_code == 200
    refusals = [
        (BODY | {"kind": "statutory", "organisation_name": "示范市人民政府"}, "SEAL_EMBLEM_NEEDS_IMPRESSION"),
        (BODY | {"kind": "emblem"}, "INVALID_INPUT"),
        (BODY | {"look": {"width_mm": "42"}}, "INVALID_INPUT"),
        (BODY | {"look": {"shape": "star"}}, "SEAL_SHAPE_UNSUITABLE"),
        (BODY | {"organisation_name": "市"}, "SEAL_TEXT_UNSUITABLE"),
        (BODY | {"organisation_name": "示范\U0003134a局"}, "GLYPH_MISSING"),
        (BODY | {"impression": impression(svg("<script/>"), "image/svg+xml")}, "IMPRESSION_SVG_SCRIPT"),
        (BODY | {"impression": impression(b"", "image/png")}, "IMPRESSION_TYPE_UNKNOWN"),
        (BODY | {"impression": impression(b"\0" * (5 << 20) + b"\0", "image/png")}, "IMPRESSION_TOO_LARGE"),
        (BODY | {"impression": impression(b"\0" * (7 << 20), "image/png")}, "TOO_LARGE"),
    ]
    for body, code in refusals:
        refused = await browser.post(PATH, json=body, headers=headers)
        assert (refused.json()["code"], refused.headers["content-type"]) == (code, "application/problem+json")
    assert (await browser.post(PATH, json=BODY)).status_code == 401
    async with house.database.session() as session:
        assert await session.scalar(text("SELECT (SELECT count(*) FROM seal.seals) + (SELECT count(*) FROM seal.impressions)")) == 0

    described = document(create_app(house), ISSUER)["paths"][PATH]["post"]
    assert {"image/svg+xml", "image/png"} <= set(described["responses"]["200"]["content"])
