"""Stock in a browser: an approver imports a file, reads what is odd, takes the report, has it checked again; others see nothing."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api.importing import ingestion_of
from api.wiring import House
from certs.import_jobs import work_imports
from certs.import_rechecks import work_rechecks
from keys.base.actor import Role
from tests.api.test_pages_seals import member
from tests.certs.test_import_jobs import plain
from tests.furnished import Furnished, open_furnished
from tests.pages_house import data_codes

BUREAU = "11990100MB0000027F"
PAGE = "/imports"


@pytest.fixture
def template(furnished: Furnished) -> str:
    return furnished.template


@pytest.fixture
async def house(
    furnished: Furnished, database: Any, redis_url: str, keystore: Any, clock: Any, workers: Any, tmp_path: Path
) -> AsyncIterator[House]:
    async with open_furnished(furnished, database, redis_url, keystore, clock, workers, tmp_path) as opened:
        yield opened


async def test_an_approver_imports_and_reads_what_is_odd(house: House) -> None:
    approver = await member(house, "stock", Role.APPROVER, BUREAU)
    assert "Nothing has been imported yet." in await approver.get(PAGE)
    bare = await approver.client.post(PAGE, data={"grade": "B"})
    assert (bare.status_code, data_codes(bare.text)) == (400, ["IMPORT_EMPTY"])
    picture = await approver.client.post(PAGE, files={"file": ("a.png", b"\x89PNG\r\n\x1a\n")}, data={"grade": "B"})
    assert (picture.status_code, data_codes(picture.text)) == (422, ["IMPORT_UNREADABLE"])

    given = await approver.client.post(PAGE, files={"file": ("存量 2020.csv", plain())}, data={"grade": "B"})
    assert given.status_code == 303, given.text
    address = given.headers["location"]
    waiting = await approver.get(address)
    assert 'data-status="waiting"' in waiting
    assert "Look again" in waiting
    await work_imports(ingestion_of(house))
    done = await approver.get(address)
    assert 'data-status="done"' in done
    assert "A date does not exist or cannot be read." in done
    assert "the report has all" in done
    assert "300 rows" in await approver.get(PAGE)
    report = await approver.client.get(f"{address}/report.xlsx")
    assert report.content.startswith(b"PK\x03\x04")
    assert report.headers["x-content-type-options"] == "nosniff"
    assert (await approver.client.get(f"{address}/report.exe")).status_code == 404

    again = await approver.client.post(f"{address}/recheck")
    assert (again.status_code, again.headers["location"]) == (303, address)
    await work_rechecks(ingestion_of(house))
    checked = await approver.get(address)
    assert "300 records" in checked
    if folder := os.environ.get("SHOWN_PAGES"):
        for name, html in (("imports", await approver.get(PAGE)), ("import", checked), ("waiting", waiting)):
            Path(folder, f"{name}.html").write_text(html)


async def test_a_dry_run_says_that_nothing_was_stored(house: House) -> None:
    approver = await member(house, "dry", Role.APPROVER, BUREAU)
    given = await approver.client.post(PAGE, files={"file": ("stock.csv", plain())}, data={"grade": "C", "dry_run": "1"})
    await work_imports(ingestion_of(house))
    shown = await approver.get(given.headers["location"])
    assert "Judged, nothing stored" in shown
    assert "Check again" not in shown


async def test_others_see_nothing(house: House) -> None:
    approver = await member(house, "mine", Role.APPROVER, BUREAU)
    given = await approver.client.post(PAGE, files={"file": ("stock.csv", plain())}, data={"grade": "C"})
    other = await member(house, "other", Role.APPROVER, "11990100MB00000435")
    assert (await other.client.get(given.headers["location"])).status_code == 404
    assert (await other.client.post(given.headers["location"] + "/recheck")).status_code == 404
    clerk = await member(house, "clerk", Role.WINDOW_CLERK, BUREAU)
    assert (await clerk.client.get(PAGE)).status_code == 403
