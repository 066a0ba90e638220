"""Papers held against the record: photographs, edited prints, codes of another certificate, codes pasted onto another paper."""

import io
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pypdfium2
import pytest
import zxingcpp
from PIL import Image

from api import paper_check
from api.app import create_app
from certs.issuance import approve
from certs.offline_signing import offline_text
from certs.rendering import RenderJob, render
from certs.reservation import load_reserved
from certs.sealing import render_job
from tests.certs.conftest import City
from tests.pages_house import open_test_house


@dataclass
class Papers:
    """Two certificates, what was printed of each, and a service to ask. ``offline``: their offline codes."""

    client: httpx2.AsyncClient
    base_url: str
    jobs: list[RenderJob]
    offline: list[str]

    async def ask(self, data: bytes) -> dict[str, Any]:
        answer = await self.client.post("/api/v1/verify", content=data)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def page(self, data: bytes, language: str = "en") -> str:
        answer = await self.client.post(f"/verify?lang={language}", files={"file": ("paper", data)})
        assert answer.status_code == 200
        return answer.text


@pytest.fixture
async def papers(city: City, redis_url: str, workers: Any, keystore: Any, clock: Any, tmp_path: Path) -> AsyncIterator[Papers]:
    database = city.issuing.database
    async with open_test_house(database, redis_url, keystore, clock, workers, tmp_path) as house:
        jobs, codes = [], []
        for number in (0, 1):
            outcome = await approve(city.issuing, city.client, city.approval(number), f"key-{number}")
            async with database.session() as session:
                reserved = await load_reserved(session, outcome.id, uuid.UUID(int=0))
                jobs.append(render_job(reserved))
                codes.append(await offline_text(session, reserved.certificate) or "")
        transport = httpx2.ASGITransport(create_app(house), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=house.base_url) as client:
            yield Papers(client, house.base_url, jobs, codes)


def agreements(answer: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["agreement"] for one in answer["paper"]["fields"]}


def photograph(pdf: bytes) -> bytes:
    """The first page as a telephone sees it: at 150 dpi, askew, in grey."""
    document = pypdfium2.PdfDocument(pdf)
    picture = document[0].render(scale=150 / 72).to_pil().rotate(2.5, expand=True, fillcolor="white").convert("L")
    document.close()
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=70)
    return out.getvalue()


def pasted(*texts: str) -> bytes:
    """A picture of a paper with these codes on it."""
    paper = Image.new("L", (900, 500 * len(texts)), 255)
    for place, text in enumerate(texts):
        symbol = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
        paper.paste(Image.fromarray(zxingcpp.write_barcode_to_image(symbol, scale=5)), (40, 40 + 500 * place))
    out = io.BytesIO()
    paper.save(out, "PNG")
    return out.getvalue()


async def test_an_unsigned_print_of_the_record_agrees_field_by_field(papers: Papers) -> None:
    answer = await papers.ask(render(papers.jobs[0]).pdf)
    assert answer["indication"] == "NO_SIGNATURE"
    assert answer["paper"]["differs"] is False
    told = agreements(answer)
    assert set(told.values()) <= {"same", "not_found"}
    for name, _ in papers.jobs[0].fields:
        assert told[name] == "same", name
    assert told["证照编号"] == told["电子证照标识"] == told["有效期"] == told["持证主体"] == "same"


async def test_an_edited_print_shows_what_was_edited_and_names_stay_covered(papers: Papers) -> None:
    job = papers.jobs[0]
    name, value = next((name, value) for name, value in job.fields if "法定代表人" in name)
    forged = replace(job, fields=tuple((one, "王伪造" if one == name else text) for one, text in job.fields))
    answer = await papers.ask(render(forged).pdf)
    assert answer["paper"]["differs"] is True
    assert {one for one, told in agreements(answer).items() if told == "different"} == {name}
    assert value not in str(answer["paper"]["fields"])
    page = await papers.page(render(forged).pdf)
    assert "The paper says something else than the record" in page
    assert value not in page


async def test_one_more_figure_in_a_number_or_another_year_is_different(papers: Papers) -> None:
    job = papers.jobs[1]
    assert job.valid_to is not None
    forged = replace(job, number=job.number + "9", valid_to=job.valid_to.replace(year=job.valid_to.year + 10))
    told = agreements(await papers.ask(render(forged).pdf))
    assert (told["证照编号"], told["有效期"]) == ("different", "different")


async def test_a_code_pasted_onto_another_paper_is_plain(papers: Papers) -> None:
    mine, other = papers.jobs
    pdf = render(replace(mine, verify_url=other.verify_url)).pdf
    answer = await papers.ask(pdf)
    assert answer["paper"]["differs"] is True
    assert answer["paper"]["record"]["certificate"]["identifier"] == other.identifier
    told = agreements(answer)
    assert told["电子证照标识"] == "different"
    assert "do not accept the paper" in await papers.page(pdf)
    assert "请勿采信" in await papers.page(pdf, "zh")


async def test_codes_of_two_certificates_on_one_paper(papers: Papers) -> None:
    answer = await papers.ask(pasted(papers.jobs[0].verify_url, papers.offline[1]))
    assert (answer["kind"], answer["indication"]) == ("qr", "TOTAL_FAILED")
    assert answer["paper"]["codes_disagree"] is True
    checks = {one["name"]: one["outcome"] for one in answer["signatures"][0]["checks"]}
    assert (checks["CODE_SIGNATURE"], checks["CODE_MATCH"]) == ("PASSED", "FAILED")
    together = await papers.ask(pasted(papers.jobs[1].verify_url, papers.offline[1]))
    assert (together["indication"], together["paper"]["differs"]) == ("TOTAL_PASSED", False)


async def test_a_photograph_leads_to_its_record_and_a_foreign_address_is_named(papers: Papers) -> None:
    answer = await papers.ask(photograph(render(papers.jobs[0]).pdf))
    assert answer["kind"] == "qr"
    assert answer["paper"]["record"]["certificate"]["identifier"] == papers.jobs[0].identifier
    assert answer["paper"]["differs"] is False
    fake = papers.jobs[0].verify_url.replace(papers.base_url, "https://fujie.example.net")
    answer = await papers.ask(pasted(fake))
    assert answer["paper"]["addresses_elsewhere"] == ["fujie.example.net"]
    assert "which is not this service" in await papers.page(pasted(fake))
    unknown = await papers.ask(pasted(f"{papers.base_url}/v/0000000000000000"))
    assert unknown["paper"]["record"]["status"] == "unknown"


async def test_guessing_against_one_record_ends(papers: Papers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper_check, "MOST_COMPARED", 2)
    pdf = render(papers.jobs[0]).pdf
    answers = [(await papers.client.post("/api/v1/verify", content=pdf + b"\n" * number)).status_code for number in range(3)]
    assert answers == [200, 200, 429]
