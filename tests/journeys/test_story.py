"""The whole story, as a stranger meets it: one command, then everything over HTTP and with other people's tools."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pypdfium2
import pytest
import zxingcpp

from api.demo import city as demonstration
from tests.conftest import require_command
from tests.running import ROOT, City, environment, free_port


@pytest.fixture
def http(city: City) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=city.base_url, trust_env=False, timeout=60) as client:
        yield client


def test_each_step_was_printed_with_its_result(city: City) -> None:
    for step in range(1, 10):
        assert f"  {step} " in city.output
    assert "✓ TOTAL_PASSED" in city.output
    assert city.output.rstrip().endswith(city.base_url)


def test_the_demonstration_file_names_what_others_rely_on(city: City) -> None:
    roles = {account["role"] for account in city.demo["accounts"]}
    assert roles >= {
        "citizen", "legal_representative", "agent", "window_clerk", "approver", "seal_keeper", "system_admin", "security_admin", "auditor",
    }  # fmt: skip
    assert {client["name"] for client in city.demo["clients"]} >= {"portal", "approvals", "verifier"}
    assert city.client("portal")["redirect_uris"] == ["http://127.0.0.1:9999/callback", "http://localhost:9999/callback"]
    assert city.demo["base_url"] == city.base_url
    assert Path(city.demo["trust"]).read_text().count("BEGIN CERTIFICATE") >= 2
    assert city.demo["log_vkey"].count("+") >= 2
    assert (city.home / "demo.json").stat().st_mode & 0o077 == 0


def test_the_certificate_passes_our_own_verdict_and_other_readers(city: City) -> None:
    pdf = city.demo["certificate"]["pdf"]
    verdict = city.fujie("verify", pdf, "--json")
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert json.loads(verdict.stdout)["indication"] == "TOTAL_PASSED"
    signature = subprocess.run([require_command("pdfsig", "poppler-utils"), pdf], capture_output=True, text=True, check=False)
    assert "Signature is Valid." in signature.stdout
    assert "Total document signed" in signature.stdout
    structure = subprocess.run([require_command("qpdf", "qpdf"), "--check", pdf], capture_output=True, text=True, check=False)
    assert structure.returncode == 0, structure.stderr


def test_a_reader_that_is_given_our_root_trusts_the_signer(city: City, tmp_path: Path) -> None:
    certutil = require_command("certutil", "libnss3-tools")
    pem = Path(city.demo["trust"]).read_text()
    (tmp_path / "root.pem").write_text(pem[: pem.index("-----END CERTIFICATE-----") + 26])
    subprocess.run([certutil, "-N", "-d", tmp_path, "--empty-password"], check=True)
    subprocess.run([certutil, "-A", "-d", tmp_path, "-n", "root", "-t", "CT,C,C", "-a", "-i", tmp_path / "root.pem"], check=True)
    pdfsig = require_command("pdfsig", "poppler-utils")
    said = subprocess.run([pdfsig, "-nssdir", tmp_path, city.demo["certificate"]["pdf"]], capture_output=True, text=True, check=False)
    assert "Certificate is Trusted." in said.stdout, said.stdout


def test_the_printed_code_leads_to_a_page_that_says_valid(city: City, http: httpx2.Client) -> None:
    picture = pypdfium2.PdfDocument(city.demo["certificate"]["pdf"])[0].render(scale=200 / 72).to_pil()
    codes = {code.text for code in zxingcpp.read_barcodes(picture)}
    address = city.demo["certificate"]["verify_url"]
    assert codes > {address}
    assert {code.partition(":")[0] for code in codes - {address}} == {"FJ1"}
    page = http.get(address, headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert 'data-status="in_force"' in page.text
    record = http.get(f"/api/v1/verify/{city.demo['certificate']['verification_code']}").json()
    assert record["kind"] == "record"
    assert record["status"] == "in_force"
    assert record["signatures"] == []


def test_a_code_that_does_not_exist_says_so(http: httpx2.Client) -> None:
    assert 'data-status="unknown"' in http.get("/v/0000000000000000", headers={"Accept": "text/html"}).text
    assert http.get("/api/v1/verify/0000000000000000").status_code == 404


def test_every_shared_approval_becomes_a_certificate_of_its_own_issuer(city: City, http: httpx2.Client) -> None:
    headers = city.token("approvals", "certificates:issue certificates:read")
    for approval in demonstration.approvals():
        key = {"Idempotency-Key": f"shared-{approval['certificate_type']}"}
        answer = http.post("/api/v1/approvals", json=approval, headers=headers | key)
        assert answer.status_code == 201, answer.text
        issued = answer.json()
        record = http.get(f"/api/v1/certificates/{issued['id']}", headers=headers).json()
        assert record["metadata"]["ZZBFJGDM"] == approval["issuer"]
        file = http.get(f"/api/v1/certificates/{issued['id']}/file", headers=headers | {"Purpose": quote("归档")})
        verdict = http.post("/api/v1/verify", content=file.content).json()
        assert verdict["indication"] == "TOTAL_PASSED", verdict
        assert http.post("/api/v1/approvals", json=approval, headers=headers | key).json() == issued
        other = http.post("/api/v1/approvals", json=approval | {"approval_number": "another"}, headers=headers | key)
        assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_the_log_is_whole_and_named_by_its_key(city: City) -> None:
    result = city.fujie("audit", "verify")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the log is whole" in result.stdout
    note = httpx2.get(f"{city.base_url}/log/checkpoint", trust_env=False).text
    assert note.splitlines()[0] == city.demo["log_vkey"].split("+")[0]


def test_no_number_stands_in_any_log_or_page_of_the_story(city: City) -> None:
    numbers = [person["id_number"] for person in demonstration.population()]
    assert not any(number in city.output for number in numbers)


def test_a_second_instance_of_the_same_home_is_refused(city: City) -> None:
    command = City(city.home, free_port())
    result = command.fujie("serve")
    assert result.returncode == 1
    assert "HOME_IN_USE" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_busy_port_ends_with_a_clear_word(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = City(tmp_path / "home", taken.getsockname()[1]).fujie("serve")
    assert result.returncode == 1
    assert "PORT_BUSY" in result.stderr
    assert not (tmp_path / "home" / "postgres").exists()


def test_ctrl_c_stops_everything_and_the_next_start_finds_it_all_again(tmp_path: Path) -> None:
    city = City(tmp_path / "home", free_port()).start()
    first = (tmp_path / "home" / "demo.json").read_bytes()
    assert city.children()
    assert city.stop() == 0
    assert city.children() == []
    started = time.monotonic()
    city.start()
    assert time.monotonic() - started < 60
    assert (tmp_path / "home" / "demo.json").read_bytes() == first
    assert "  1 " not in city.output
    page = httpx2.get(city.demo["certificate"]["verify_url"], headers={"Accept": "text/html"}, trust_env=False)
    assert 'data-status="in_force"' in page.text
    assert city.stop() == 0
    assert "Traceback" not in city.output


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "api", "serve"],
        cwd=ROOT,
        env=environment(tmp_path, 1) | {"FUJIE_PORT": "many"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "FUJIE_PORT" in result.stderr
