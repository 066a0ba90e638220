"""``fujie trust`` and ``fujie authority`` on a running city, as two administrators at two terminals use them."""

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pyotp
import pytest

from keys.trust.certificates import fingerprint
from keys.trust.documents import verify_list
from tests.running import ROOT, City, environment

AUTHORITY = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
REASON = ("--reason", "agreement no. 7")


class Administrator:
    """A person with a password and an authenticator; no code is used twice."""

    def __init__(self, city: City, username: str, password: str, secret: str) -> None:
        self.city, self.username, self.password, self.totp, self.step = city, username, password, pyotp.TOTP(secret), 0

    def code(self) -> str:
        """The next unused code: a step early is accepted, so two a half-minute are to be had."""
        present = int(time.time()) // 30
        self.step = max(self.step + 1, present)
        while self.step > int(time.time()) // 30 + 1:
            time.sleep(0.2)
        return self.totp.generate_otp(self.step)

    def run(self, *words: str, password: str | None = None) -> subprocess.CompletedProcess[str]:
        told = f"{password or self.password}\n{self.code()}\n"
        command = [sys.executable, "-m", "api", *words, "--as", self.username]
        home = environment(self.city.home, self.city.port, **self.city.more)
        return subprocess.run(command, input=told, capture_output=True, text=True, env=home, cwd=ROOT, timeout=120, check=False)


@pytest.fixture(scope="module")
def two(city: City) -> tuple[Administrator, Administrator]:
    first = city.account("security_admin")
    made = city.fujie("user", "create", "second.admin", "二号安全管理员", "--division", "990100", "--role", "security_admin")
    assert made.returncode == 0, made.stderr
    second = json.loads(made.stdout)
    secret = pyotp.parse_uri(second["totp"]).secret
    return (
        Administrator(city, first["username"], first["password"], first["totp_secret"]),
        Administrator(city, second["username"], second["password"], secret),
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other")
    words = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "ca.key",
        "-subj",
        "/CN=Other City",
        "-days",
        "900",
    ]
    subprocess.run(
        ["openssl", "req", "-x509", *words, "-out", "ca.pem", *AUTHORITY], cwd=folder, check=True, capture_output=True, timeout=20
    )
    return folder / "ca.pem"


def test_two_administrators_and_the_served_list(city: City, two: tuple[Administrator, Administrator], root: Path, tmp_path: Path) -> None:
    first, second = two
    wrong = first.run("trust", "propose", str(root), "--use", "seal-signer", *REASON, password="not the password")
    assert (wrong.returncode, "BAD_CREDENTIALS" in wrong.stderr) == (1, True)
    proposed = first.run("trust", "propose", str(root), "--use", "seal-signer", "--division", "990000", *REASON)
    assert proposed.returncode == 0, proposed.stderr
    entry = json.loads(proposed.stdout)
    assert (entry["status"], entry["legal_effect"]) == ("proposed", False)

    approved = second.run("trust", "approve", entry["id"], *REASON)
    assert approved.returncode == 0, approved.stderr
    assert json.loads(approved.stdout)["status"] == "active"

    answer = httpx2.get(f"{city.base_url}/pki/trust-list", trust_env=False, timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fujie-trust-list+json")
    assert entry["sha256"] in json.dumps([one["sha256"] for one in payload(answer.content)["authorities"]])
    again = httpx2.get(f"{city.base_url}/pki/trust-list", headers={"If-None-Match": answer.headers["etag"]}, trust_env=False, timeout=60)
    assert again.status_code == 304
    version = verify_list(answer.content).list.version
    kept = httpx2.get(f"{city.base_url}/pki/trust-list/{version}", trust_env=False, timeout=60)
    assert kept.content == answer.content
    for unknown in ("999999", "x", "-1"):
        assert httpx2.get(f"{city.base_url}/pki/trust-list/{unknown}", trust_env=False, timeout=60).status_code == 404

    file = tmp_path / "list.json"
    file.write_bytes(answer.content)
    told = city.fujie("trust", "verify", str(file), "--root", city.demo["trust"])
    assert told.returncode == 0, told.stderr
    # The certificate of the demonstration, judged by nothing but the signed list.
    judged = city.fujie("verify", city.demo["certificate"]["pdf"], "--trust", str(file), "--json")
    assert judged.returncode == 0, judged.stdout
    names = {check["name"] for signature in json.loads(judged.stdout)["signatures"] for check in signature["checks"]}
    assert {"OUT_OF_SCOPE", "LEGAL_EFFECT"} <= names


def payload(jws: bytes) -> dict[str, list[dict[str, str]]]:
    signed = verify_list(jws).list
    return {"authorities": [{"sha256": fingerprint(one.certificate).hex()} for one in signed.authorities]}
