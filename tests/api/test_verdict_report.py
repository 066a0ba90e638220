"""The report on paper: what stands in it, what never does, and that it is a PDF/A whatever the names in the file are."""

import datetime as dt
import hashlib
import json
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.commands import verify as command
from api.verdict_report import ReportJob, report_data, report_pdf
from keys.base.errors import FujieError
from seal.appearance import SealDesign, draw
from seal.verdict import Kind, SealReport, SignatureVerdict, Verdict, conclude, failed, open_question, passed, summed_up, unreadable
from tests.api.test_verify_route import client, world
from tests.conftest import require_command
from tests.stamped import certificate_page

__all__ = ["client", "world"]

NOW = dt.datetime(2026, 11, 22, 5, 0, tzinfo=dt.UTC)
NUMBER = "11010519491231002X"
CODE = "99010000000001"
SEAL = SealReport(CODE, "示范市住建局行政审批专用章", 5, "制章者", NOW, NOW, 42, 42, NOW)
GOOD = (passed("FORMAT"), passed("COVERAGE"), passed("DATA_HASH"), passed("STAMP_SIGNATURE"))
BAD = (passed("FORMAT"), failed("COVERAGE", "x"), open_question("REVOCATION", "y", "TRY_LATER"))


def signature(checks=GOOD, signer="示范市住建局") -> SignatureVerdict:
    indication, sub = conclude(checks)
    return SignatureVerdict("Seal1", checks, signer, NOW, "PAdES-B-B", SEAL, indication, sub)


def job(verdict: Verdict, file="许可证.pdf", pictures=None) -> ReportJob:
    return ReportJob(file, "ab" * 32, NOW, verdict, pictures or {})


def words(pdf: bytes, tmp_path) -> str:
    file = tmp_path / "report.pdf"
    file.write_bytes(pdf)
    return subprocess.run(
        [require_command("pdftotext", "poppler-utils"), "-layout", file, "-"], check=True, capture_output=True, timeout=60
    ).stdout.decode()


def test_it_says_what_was_judged_and_never_a_number(tmp_path):
    certificate = {"ZZMC": "许可证", "CZZTDM": NUMBER, "CZZTDMLXDM": "111"}
    verdict = summed_up(Kind.PDF, (signature(signer=f"张三 {NUMBER}"),), certificate)
    svg = draw(SealDesign("示范市住建局")).svg.decode()
    pdf = report_pdf(job(verdict, f"{NUMBER}.pdf", {CODE: svg}))
    assert b"pdfaid" in pdf
    told = words(pdf, tmp_path)
    for wanted in (
        "验证通过",
        "Genuine: every check passed",
        "ab" * 16,
        "2026-11-22 13:00:00",
        "PAdES-B-B",
        CODE,
        "内容未被改动",
        "许可证",
    ):
        assert wanted in told
    assert NUMBER not in told
    assert NUMBER.encode() not in pdf
    assert "110***********002X" in told


def test_a_failure_is_told_in_plain_words_and_shows_no_seal(tmp_path):
    verdict = summed_up(Kind.PDF, (signature(BAD),))
    assert report_data(job(verdict))["signatures"][0]["picture"] == ""
    told = words(report_pdf(job(verdict, pictures={CODE: draw(SealDesign("示范市")).svg.decode()})), tmp_path)
    assert "用印之后有人在文件中添加了内容" in told
    assert "Something was added to this document after it was sealed" in told


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=400), st.text(max_size=60))
def test_any_name_can_be_printed(file, signer):
    verdict = summed_up(Kind.PDF, (signature(BAD, signer),), {"ZZMC": signer})
    assert report_pdf(job(verdict, file)).startswith(b"%PDF")


@pytest.mark.parametrize("content", [b"", b"no document at all"])
def test_the_command_writes_one_new_file(tmp_path, content, monkeypatch, capsys):
    source, report = tmp_path / "a.pdf", tmp_path / "report.pdf"
    source.write_bytes(content)
    monkeypatch.setattr(command, "judge_path", lambda *_: unreadable(Kind.PDF, "x"))
    with pytest.raises(SystemExit) as ended:
        command.verify([source], report=report, trust=None)
    assert ended.value.code == 3
    assert report.read_bytes().startswith(b"%PDF")
    with pytest.raises(FujieError) as refused:
        command.verify([source], report=report, trust=None)
    assert refused.value.code
    assert source.read_bytes() == content


async def test_whoever_accepts_a_pdf_gets_the_report(client, world, workers, tmp_path):
    client._transport.app.state.house.workers = workers
    page = certificate_page(json.dumps({"ZZMC": "证", "CZZT": ["钱守礼"], "CZZTDM": [NUMBER], "CZZTDMLXDM": ["111"]}))
    sealed = world.stamped(page)
    answer = await client.post("/api/v1/verify", content=sealed, headers={"Accept": "application/pdf"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    told = words(answer.content, tmp_path)
    assert hashlib.sha256(sealed).hexdigest()[:32] in told
    assert NUMBER not in told
    assert "110***********002X" in told
    assert "验证通过" in told
