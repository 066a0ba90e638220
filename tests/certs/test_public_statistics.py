"""Figures without persons, and the button for other sites."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.app import create_app
from certs.issuance import approve
from certs.lifecycle import Status
from certs.public_statistics import coarse, rounded
from tests.certs.conftest import City
from tests.pages_house import open_test_house


@pytest.mark.parametrize(("count", "told"), [(0, 0), (1, None), (9, None), (10, 10), (19, 10), (20, 20), (2_000_003, 2_000_000)])
def test_no_exact_figure_is_told(count: int, told: int | None) -> None:
    assert rounded(count) == told


def test_statuses_are_three_columns_and_one_certificate_more_changes_nothing() -> None:
    counts = [
        ("A", "甲", Status.VALID, 57),
        ("A", "甲", Status.REVOKED, 6),
        ("A", "甲", Status.CANCELLED, 5),
        ("B", "乙", Status.VALID, 99),
    ]
    first, second = coarse(counts)
    assert (first.code, first.in_force, first.suspended, first.ended) == ("B", 90, 0, 0)
    assert (second.in_force, second.suspended, second.ended) == (50, 0, 10)
    assert coarse([*counts[:-1], ("B", "乙", Status.VALID, 98)]) == (first, second)


async def test_pages_and_json_tell_the_same_and_the_button_says_where_it_leads(
    city: City, redis_url: str, workers: Any, keystore: Any, clock: Any, tmp_path: Path
) -> None:
    approval = city.approval()
    await approve(city.issuing, city.client, approval, "key-1")
    async with open_test_house(city.issuing.database, redis_url, keystore, clock, workers, tmp_path) as house:
        transport = httpx2.ASGITransport(create_app(house), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=house.base_url) as client:
            answer = await client.get("/api/v1/statistics")
            (figures,) = answer.json()["types"]
            assert (figures["type"], figures["in_force"], figures["ended"]) == (approval.certificate_type, None, 0)
            assert answer.headers["access-control-allow-origin"] == "*"
            for language, words in (("en", "under 10"), ("zh", "不足 10")):
                assert words in (await client.get(f"/verify/statistics?lang={language}")).text
            button = await client.get("/verify/button.js")
            assert f'const HOME = "{house.base_url}";' in button.text
            assert button.headers["cross-origin-resource-policy"] == "cross-origin"
            assert button.headers["content-security-policy"] == "default-src 'none'"
            assert f"{house.base_url}/verify/button.js" in (await client.get("/verify/embed")).text
