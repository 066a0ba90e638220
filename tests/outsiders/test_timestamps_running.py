"""The demonstration city, just started: its certificate's time stamp, checked with nothing but openssl and the city's roots."""

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import httpx2

from tests.conftest import require_command
from tests.running import PROGRAM, City

WAIT_SECONDS = 20.0


def openssl(folder: Path, *words: str) -> str:
    done = subprocess.run([require_command("openssl", "openssl"), "ts", *words], cwd=folder, capture_output=True, text=True, timeout=20)
    return done.stdout + done.stderr


def test_the_citys_certificate_has_a_time_stamp_that_openssl_verifies(city: City, tmp_path: Path) -> None:
    url = f"{city.base_url}/api/v1/certificates/{city.demo['certificate']['id']}/timestamp"
    bearer, deadline = city.token("window", "certificates:read"), time.monotonic() + WAIT_SECONDS
    while (answer := httpx2.get(url, headers=bearer, trust_env=False)).status_code != 200 and time.monotonic() < deadline:
        assert answer.json()["code"] == "TIMESTAMP_PENDING"
        time.sleep(0.2)
    assert answer.headers["content-type"] == "application/vnd.etsi.timestamp-token"
    (tmp_path / "token").write_bytes(answer.content)
    given = ("-verify", "-data", city.demo["certificate"]["pdf"], "-in", "token", "-token_in", "-CAfile", city.demo["trust"])
    assert "Verification: OK" in openssl(tmp_path, *given)
    assert httpx2.get(url, trust_env=False).status_code == 401


def test_the_city_stamps_for_whoever_asks(city: City, tmp_path: Path) -> None:
    (tmp_path / "document").write_bytes(b"anything")
    openssl(tmp_path, "-query", "-data", "document", "-sha256", "-cert", "-out", "query")
    headers = {"Content-Type": "application/timestamp-query"}
    answer = httpx2.post(f"{city.base_url}/pki/tsa", content=(tmp_path / "query").read_bytes(), headers=headers, trust_env=False)
    (tmp_path / "reply").write_bytes(answer.content)
    assert "Verification: OK" in openssl(tmp_path, "-verify", "-queryfile", "query", "-in", "reply", "-CAfile", city.demo["trust"])
    ready = httpx2.get(f"{city.base_url}/readyz", trust_env=False).json()
    assert ready["clock"] == "trusted"
    shown = replace(city, command=PROGRAM).fujie("clock", "show")
    assert (shown.returncode, '"doubt": null' in shown.stdout) == (0, True), shown.stdout + shown.stderr
