"""``fujie trust`` and ``fujie authority`` on a running city, as administrators at their terminals use them: each command once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from asn1crypto import pem

from keys.trust.certificates import fingerprint
from keys.trust.documents import verify_list
from seal.trust_files import read_trust
from tests.forked import Terminal, terminal
from tests.licensed import Licensed, served
from tests.one_time_codes import OneTimeCodes
from tests.running import ROOT, City, environment

REASON = ("--reason", "agreement no. 7")
PASSWORD = "two halves of one tally 2026"
# Six administrators in one process: every command takes a code of its own, and a person has two in half a minute.
MAKE = """
import json
from api.commands.house import with_house
from identity.credentials import enrol_totp
from identity.people import NewAccount, create_account
from keys.base.actor import Role

async def journey(house):
    made = []
    async with house.database.begin() as session:
        for number in range(6):
            new = NewAccount(f"trust.admin.{number}", "安全管理员", "990100", roles=frozenset({Role.SECURITY_ADMIN}))
            account = await create_account(session, house.clock.now(), new, PASSWORD)
            made.append([new.username, await enrol_totp(session, house.personal, house.clock.now(), account.id)])
    return made

print(json.dumps(with_house(journey)))
"""


class Administrator:
    """A person with a password and an authenticator; no code is used twice."""

    def __init__(self, terminal: Terminal, username: str, secret: str) -> None:
        self.terminal, self.username, self.codes = terminal, username, OneTimeCodes(secret)

    def run(self, *words: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
        return self.terminal.run(*words, "--as", self.username, told=f"{password}\n{self.codes.next()}\n")

    def told(self, *words: str) -> dict[str, object]:
        """What a command prints that succeeds."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def at(city: City, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with terminal(city, tmp_path_factory.mktemp("terminal")) as opened:
        yield opened


@pytest.fixture(scope="module")
def people(city: City, at: Terminal) -> list[Administrator]:
    home = environment(city.home, city.port, **city.more)
    script = f"PASSWORD = {PASSWORD!r}\n{MAKE}"
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=home, cwd=ROOT, timeout=120, check=False)
    assert made.returncode == 0, made.stderr
    return [Administrator(at, username, secret) for username, secret in json.loads(made.stdout)]


def get(city: City, path: str, **headers: str) -> httpx2.Response:
    return httpx2.get(city.base_url + path, headers=headers, trust_env=False, timeout=60)


@pytest.fixture(scope="module")
def licensed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Licensed]:
    folder = tmp_path_factory.mktemp("other")
    with served(folder) as base:
        yield Licensed(folder / "ca", base, "Other City").establish()


@pytest.fixture(scope="module")
def entry(people: list[Administrator], licensed: Licensed) -> dict[str, object]:
    """Proposed by one, approved by another."""
    return trusted(*people[:2], str(licensed.folder / "ca.pem"))


def test_the_served_list(city: City, at: Terminal, entry: dict[str, object], tmp_path: Path) -> None:
    served_list(city, at, str(entry["sha256"]), tmp_path)


def test_a_certificate_is_bought(
    at: Terminal, people: list[Administrator], entry: dict[str, object], licensed: Licensed, tmp_path: Path
) -> None:
    assert entry["status"] == "active"
    bought(at, people[2], licensed, tmp_path)


def test_rules_for_its_seals(at: Terminal, people: list[Administrator], entry: dict[str, object], tmp_path: Path) -> None:
    """Agreed by two, written to a file that a verifier without the service takes."""
    words = ("seal", "rules", "propose", str(entry["sha256"]), "--tolerate", "utc-time", "--tolerate", "property-info", *REASON)
    proposed = people[5].told(*words)
    assert (proposed["status"], proposed["authority"]) == ("proposed", entry["sha256"])
    assert people[4].told("seal", "rules", "approve", str(proposed["id"]), *REASON)["status"] == "active"
    (listed,) = (json.loads(line) for line in at.run("seal", "rules", "list", "--status", "active").stdout.splitlines())
    assert listed["rules"]["tolerances"] == ["property-info", "utc-time"]
    written = tmp_path / "rules.json"
    assert at.run("seal", "rules", "export", "-o", str(written)).returncode == 0
    assert "OUTPUT_EXISTS" in at.run("seal", "rules", "export", "-o", str(written)).stderr
    (rules,) = read_trust([written.read_bytes()]).rules
    assert rules.authority.hex() == entry["sha256"]


def test_suspended_resumed_withdrawn_and_taken_from_a_list(
    city: City, at: Terminal, people: list[Administrator], entry: dict[str, object], tmp_path: Path
) -> None:
    ident = str(entry["id"])
    assert people[3].told("trust", "suspend", ident, *REASON)["status"] == "suspended"
    assert people[4].told("trust", "resume", ident, *REASON)["status"] == "active"
    assert people[3].told("trust", "withdraw", ident, *REASON)["status"] == "withdrawn"
    shown = json.loads(at.run("trust", "show", ident).stdout)
    assert [one["move"] for one in shown["history"]] == ["propose", "approve", "activate", "suspend", "resume", "withdraw"]
    own = tmp_path / "own.json"
    assert at.run("trust", "export", "-o", str(own)).returncode == 0
    signed = verify_list(own.read_bytes())
    assert [one.history[-1].status for one in signed.list.authorities if not one.own] == ["withdrawn"]
    makers = next(one for one in signed.list.authorities if one.own and "seal-maker" in one.uses)
    chosen = ("--only", fingerprint(makers.certificate).hex(), "--root", city.demo["trust"], "--use", "seal-maker")
    imported = people[5].told("trust", "import", str(own), *chosen, *REASON)
    assert (imported["status"], imported["uses"]) == ("proposed", ["seal-maker"])


def trusted(first: Administrator, second: Administrator, root: str) -> dict[str, object]:
    words = ("trust", "propose", root, "--use", "seal-signer", "--use", "document-signer", "--division", "990000", *REASON)
    wrong = first.run(*words, password="not the password")
    assert (wrong.returncode, "BAD_CREDENTIALS" in wrong.stderr) == (1, True)
    proposed = first.told(*words)
    assert (proposed["status"], proposed["legal_effect"]) == ("proposed", False)
    return second.told("trust", "approve", str(proposed["id"]), *REASON)


def served_list(city: City, at: Terminal, sha256: str, folder: Path) -> None:
    answer = get(city, "/pki/trust-list")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fujie-trust-list+json")
    signed = verify_list(answer.content).list
    assert sha256 in [fingerprint(one.certificate).hex() for one in signed.authorities]
    assert get(city, "/pki/trust-list", **{"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert get(city, f"/pki/trust-list/{signed.version}").content == answer.content
    for unknown in ("999999", "x", "-1"):
        assert get(city, f"/pki/trust-list/{unknown}").status_code == 404
    file = folder / "list.json"
    file.write_bytes(answer.content)
    told = at.run("trust", "verify", str(file), "--root", city.demo["trust"])
    assert told.returncode == 0, told.stderr
    # The certificate of the demonstration, judged by nothing but the signed list.
    judged = city.fujie("verify", city.demo["certificate"]["pdf"], "--trust", str(file), "--json")
    assert judged.returncode == 0, judged.stdout
    names = {check["name"] for signature in json.loads(judged.stdout)["signatures"] for check in signature["checks"]}
    assert {"OUT_OF_SCOPE", "LEGAL_EFFECT"} <= names


def bought(at: Terminal, administrator: Administrator, licensed: Licensed, folder: Path) -> None:
    """A request goes out, ``openssl ca`` certifies it, the certificate comes in, its authority's list is fetched."""
    out = folder / "out.csr"
    subject = ("--common-name", "某某局审批专用章", "--organisation", "某某局", "--division", "990100")
    asked = administrator.run("authority", "request", "bought", "--profile", "document-signer", *subject, "-o", str(out))
    assert asked.returncode == 0, asked.stderr
    certificate = licensed.certify(pem.unarmor(out.read_bytes())[2], "bought")
    (folder / "in.pem").write_bytes(certificate)
    taken = administrator.told("authority", "accept", "bought", str(folder / "in.pem"))
    assert (taken["name"], taken["chain"]) == ("bought", ["Other City"])
    refreshed = at.run("authority", "refresh")
    assert (refreshed.returncode, json.loads(refreshed.stdout)["failed"]) == (0, {}), refreshed.stderr


def test_the_page_says_in_plain_words_what_has_no_legal_effect(city: City) -> None:
    data = Path(city.demo["certificate"]["pdf"]).read_bytes()
    for language, words in (("zh-CN", "演示用途，无法律效力"), ("en", "A demonstration, without legal effect")):
        answer = httpx2.post(
            f"{city.base_url}/verify",
            files={"file": ("c.pdf", data, "application/pdf")},
            headers={"Accept-Language": language, "Origin": city.base_url},
            trust_env=False,
            timeout=60,
        )
        assert answer.status_code == 200, answer.text[:500]
        assert words in answer.text
