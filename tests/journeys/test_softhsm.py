"""The whole product with its keys on a PKCS #11 token (SoftHSM): the story, the token's going away and return, what is left without it."""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from api.demo import city as demonstration
from api.wiring import _running_addresses
from keys.custody.store import Algorithm
from keys.custody.wrapping import REFERENCE, UNDER_TOKEN
from tests.journeys import test_story as story
from tests.running import PROGRAM, City, free_port
from tests.softhsm import Hsm, Token

pytestmark = pytest.mark.long

AWAY_SECONDS = 2.0


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    return Hsm(tmp_path_factory.mktemp("softhsm") / "hsm").prepare().token("fujie")


@pytest.fixture(scope="module")
def city(token: Token, tmp_path_factory: pytest.TempPathFactory, loaded_fujie: str) -> Iterator[City]:
    """A demonstration city whose keys are on the token."""
    running = City(tmp_path_factory.mktemp("on-token") / "home", free_port(), more=token.settings, command=(loaded_fujie,)).start()
    yield running
    running.stop()


@pytest.fixture
def http(city: City) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=city.base_url, trust_env=False, timeout=60) as client:
        yield client


# The story itself, step for step, on this city.
test_each_step_was_printed_with_its_result = story.test_each_step_was_printed_with_its_result
test_the_demonstration_file_names_what_others_rely_on = story.test_the_demonstration_file_names_what_others_rely_on
test_the_certificate_passes_our_own_verdict_and_other_readers = story.test_the_certificate_passes_our_own_verdict_and_other_readers
test_a_reader_that_is_given_our_root_trusts_the_signer = story.test_a_reader_that_is_given_our_root_trusts_the_signer
test_the_printed_code_leads_to_a_page_that_says_valid = story.test_the_printed_code_leads_to_a_page_that_says_valid
test_every_shared_approval_becomes_a_certificate_of_its_own_issuer = (
    story.test_every_shared_approval_becomes_a_certificate_of_its_own_issuer
)
test_the_log_is_whole_and_named_by_its_key = story.test_the_log_is_whole_and_named_by_its_key


class Client:
    """Asks a running city, and remembers the slowest answer."""

    def __init__(self, city: City, http: httpx2.Client) -> None:
        self._http = http
        self._headers = city.token("approvals", "certificates:issue certificates:read")
        self.slowest = 0.0

    def issue(self, number: str) -> httpx2.Response:
        approval = demonstration.approvals()[0] | {"approval_number": number}
        began = time.monotonic()
        answer = self._http.post("/api/v1/approvals", json=approval, headers=self._headers | {"Idempotency-Key": number})
        self.slowest = max(self.slowest, time.monotonic() - began)
        return answer

    def ready(self) -> tuple[int, dict[str, Any]]:
        began = time.monotonic()
        answer = self._http.get("/readyz")
        self.slowest = max(self.slowest, time.monotonic() - began)
        return answer.status_code, answer.json()

    def issue_again(self, number: str, seconds: float = 5.0) -> httpx2.Response:
        """Repeated while it says 503: each worker process sees by itself, some half a second later, that the token is back."""
        deadline = time.monotonic() + seconds
        while (answer := self.issue(number)).status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.2)
        return answer

    def wait_until_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.ready()[0] != 200:
            assert time.monotonic() < deadline, "it did not come back"
            time.sleep(0.05)


def test_without_the_token_503_within_two_seconds_and_with_it_healthy_again(city: City, http: httpx2.Client, token: Token) -> None:
    client, processes = Client(city, http), sorted(city.children())
    assert client.issue("hsm-0").status_code == 201
    client.slowest = 0.0
    for turn in range(2):
        token.remove()
        status, said = client.ready()
        assert (status, said["ready"], said["keys"], said["database"]) == (503, False, False, True)
        refused = client.issue(f"hsm-{turn + 1}")
        assert (refused.status_code, refused.json()["code"]) == (503, "KEY_STORE_UNAVAILABLE"), refused.text
        assert refused.headers["Retry-After"] == "2"
        assert http.get("/healthz").status_code == 200
        assert client.slowest < AWAY_SECONDS
        time.sleep(1.5)  # so that the sequencer, too, meets a token that is away
        token.put_back()
        client.wait_until_ready(5)
        issued = client.issue_again(f"hsm-{turn + 1}")
        assert issued.status_code == 201, issued.text
        record = http.get(f"/api/v1/verify/{issued.json()['verification_code']}").json()
        assert record["status"] == "in_force"
    assert sorted(city.children()) == processes, "nothing was restarted"
    story.test_the_log_is_whole_and_named_by_its_key(city)


def test_the_service_answers_others_while_the_token_is_away(city: City, http: httpx2.Client, token: Token) -> None:
    """Requests that need keys fail by themselves: what needs none is not held up."""
    client, stop, slowest = Client(city, http), threading.Event(), [0.0]

    def watch() -> None:
        with httpx2.Client(base_url=city.base_url, trust_env=False, timeout=60) as other:
            while not stop.is_set():
                began = time.monotonic()
                assert other.get("/healthz").status_code == 200
                slowest[0] = max(slowest[0], time.monotonic() - began)
                time.sleep(0.02)

    watching = threading.Thread(target=watch)
    watching.start()
    token.remove()
    for turn in range(10):
        assert client.issue(f"held-up-{turn}").status_code == 503
    token.put_back()
    client.wait_until_ready(5)
    stop.set()
    watching.join()
    assert slowest[0] < AWAY_SECONDS


async def test_no_private_key_is_in_the_database_or_in_the_home(city: City) -> None:
    """Keys on the token leave a reference; SM2's are wrapped under a key of the token; there is no key-encryption key."""
    url = _running_addresses(city.home).database_url.replace("postgresql+asyncpg", "postgresql")
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT algorithm, wrapped FROM keys.stored_keys")
    finally:
        await connection.close()
    assert {row["algorithm"] for row in rows} >= {"EC_P256", "SM2", "AES_256_GCM", "HMAC_SHA256"}
    for row in rows:
        if row["algorithm"] in {Algorithm.SM2, Algorithm.SM4, Algorithm.HMAC_SM3}:
            assert row["wrapped"].startswith(UNDER_TOKEN)
        else:
            assert row["wrapped"] == REFERENCE
    assert not (city.home / "secrets" / "key-encryption-key").exists()
    private = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY|\x02\x01\x01\x04\x20.{32}\xa0", re.DOTALL)  # PEM; ECPrivateKey, RFC 5915
    for path in city.home.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert not private.search(path.read_bytes()), path


def test_the_doctor_sees_the_token(city: City, token: Token) -> None:
    said = replace(city, command=PROGRAM).fujie("doctor")
    assert "ok    keys: token 'fujie' (SoftHSM" in said.stdout
    token.remove()
    said = city.fujie("doctor")
    token.put_back()
    assert said.returncode == 1
    assert "WRONG keys: KEY_STORE_UNAVAILABLE" in said.stdout
    assert "Traceback" not in said.stdout + said.stderr


def test_a_home_made_on_a_token_starts_with_nothing_else(city: City, token: Token) -> None:
    """Last, because it stops the city: no token, no service; the software store does not step in; the token brings all back."""
    assert city.stop() == 0
    token.remove()
    refused = replace(city, command=PROGRAM).fujie("serve")
    assert (refused.returncode, "KEY_STORE_UNAVAILABLE" in refused.stderr) == (1, True), refused.stderr
    software = City(city.home, city.port).fujie("serve")
    assert (software.returncode, "KEY_OF_ANOTHER_STORE" in software.stderr) == (1, True), software.stderr
    for said in (refused, software):
        assert "Traceback" not in said.stderr
    token.put_back()
    city.start()
    with httpx2.Client(base_url=city.base_url, trust_env=False, timeout=60) as client:
        assert Client(city, client).issue("after-all").status_code == 201
    assert Path(city.demo["certificate"]["pdf"]).is_file()
