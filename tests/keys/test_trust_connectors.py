"""Revocation data of others, from real servers: lists that openssl made behind a plain HTTP server, and ``openssl ocsp``."""

import datetime as dt
import http.server
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from asn1crypto import pem

from keys.base.db import Database
from keys.base.errors import FujieError
from keys.trust.certificates import read_bundle, read_certificate
from keys.trust.connectors import MAX_ANSWER, REFRESH, ask_ocsp, fetch, next_attempt, refresh
from keys.trust.entries import Use
from keys.trust.lists import read_list
from keys.trust.ocsp import OcspStatus, ocsp_request, read_answer
from keys.trust.proposals import Proposal, approve, propose
from keys.trust.reads import external_crls
from tests.conftest import require_command
from tests.keys.conftest import MovableClock
from tests.keys.test_trust import ANNE, BERT
from tests.running import free_port

CONFIGURATION = """
[ca]
default_ca = here
[here]
database = index.txt
serial = serial
crlnumber = crlnumber
certificate = ca.pem
private_key = ca.key
new_certs_dir = .
default_md = sha256
default_days = 30
default_crl_days = 10
policy = any
[any]
commonName = supplied
[responder]
extendedKeyUsage = OCSPSigning
keyUsage = digitalSignature
"""


@dataclass
class LicensedAuthority:
    """``openssl ca`` in a folder."""

    folder: Path

    def run(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    def key_and_request(self, name: str) -> None:
        self.run(
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-subj",
            f"/CN={name}",
            "-out",
            f"{name}.csr",
        )

    def issue(self, name: str, *more: str) -> bytes:
        self.key_and_request(name)
        self.run("ca", "-batch", "-config", "ca.cnf", "-in", f"{name}.csr", "-out", f"{name}.pem", "-notext", *more)
        return self.certificate(name)

    def certificate(self, name: str) -> bytes:
        return read_bundle((self.folder / f"{name}.pem").read_bytes())[0]

    def revoke(self, name: str) -> None:
        self.run("ca", "-config", "ca.cnf", "-revoke", f"{name}.pem")

    def list(self, *more: str) -> bytes:
        self.run("ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem", *more)
        _, _, der = pem.unarmor((self.folder / "crl.pem").read_bytes())
        (self.folder / "served").mkdir(exist_ok=True)
        (self.folder / "served" / "ca.crl").write_bytes(der)
        return bytes(der)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> LicensedAuthority:
    require_command("openssl", "openssl")
    folder = tmp_path_factory.mktemp("licensed")
    made = LicensedAuthority(folder)
    (folder / "ca.cnf").write_text(CONFIGURATION)
    (folder / "index.txt").touch()
    (folder / "serial").write_text("1000\n")
    (folder / "crlnumber").write_text("01\n")
    constraints = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    words = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-subj", "/CN=Licensed CA")
    made.run("req", *words, "-days", "300", "-out", "ca.pem", *constraints)
    made.issue("good")
    made.issue("bad")
    made.revoke("bad")
    made.issue("responder", "-extfile", "ca.cnf", "-extensions", "responder")
    made.list()
    return made


@pytest.fixture(autouse=True)
def present(clock: MovableClock) -> None:
    clock.instant = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/ca.crl")
            self.end_headers()
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(MAX_ANSWER // 65536 + 16):
                    self.wfile.write(bytes(65536))
            except OSError:
                return
        else:
            super().do_GET()


@pytest.fixture
def served(authority: LicensedAuthority) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(authority.folder / "served")))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def responder(authority: LicensedAuthority) -> Iterator[str]:
    """``openssl ocsp`` as a server, with a delegated responder's certificate."""
    port = free_port()
    words = [
        "openssl",
        "ocsp",
        "-port",
        str(port),
        "-index",
        "index.txt",
        "-CA",
        "ca.pem",
        "-rsigner",
        "responder.pem",
        "-rkey",
        "responder.key",
    ]
    process = subprocess.Popen([*words, "-nmin", "60"], cwd=authority.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    for line in process.stdout:  # a connection that asks nothing would keep it from everybody else
        if "waiting" in line:
            break
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)
    process.stdout.close()


async def trusted(database: Database, clock: MovableClock, authority: LicensedAuthority, url: str) -> None:
    order = Proposal(authority.certificate("ca"), frozenset({Use.DOCUMENT_SIGNER}), crl_urls=(url,), reason="licensed")
    entry = await propose(database, clock, ANNE, order)
    await approve(database, clock, BERT, entry.id, "licence seen")


async def test_a_list_is_fetched_kept_and_renewed_in_time(
    database: Database, clock: MovableClock, authority: LicensedAuthority, served: str
) -> None:
    url = f"{served}/ca.crl"
    await trusted(database, clock, authority, url)
    first = await refresh(database, clock)
    assert (first.kept, first.failed) == (1, {})
    async with database.session() as session:
        assert await external_crls(session) == ((authority.folder / "served" / "ca.crl").read_bytes(),)
    assert (await refresh(database, clock)).kept == 0  # not due
    time.sleep(1.1)  # a list's times are whole seconds
    newer = authority.list()
    clock.advance(seconds=REFRESH.total_seconds())
    assert (await refresh(database, clock)).kept == 1
    async with database.session() as session:
        assert await external_crls(session) == (newer,)


async def test_what_cannot_be_believed_is_not_kept_and_the_old_list_stays(
    database: Database, clock: MovableClock, authority: LicensedAuthority, served: str
) -> None:
    url = f"{served}/ca.crl"
    await trusted(database, clock, authority, url)
    await refresh(database, clock)
    file = authority.folder / "served" / "ca.crl"
    good = file.read_bytes()
    time.sleep(1.1)
    newest = authority.list()
    clock.advance(seconds=REFRESH.total_seconds())
    await refresh(database, clock)
    for content in (newest[:-1] + bytes([newest[-1] ^ 1]), b"nothing", good):  # forged, garbage, replayed
        file.write_bytes(content)
        clock.advance(seconds=REFRESH.total_seconds())
        assert (await refresh(database, clock)).failed == {url: "REVOCATION_ANSWER_REFUSED"}
        async with database.session() as session:
            assert await external_crls(session) == (newest,)
    file.write_bytes(newest)
    clock.advance(minutes=1)
    assert (await refresh(database, clock)).failed == {}


async def test_a_list_that_ended_or_is_of_another_is_refused(authority: LicensedAuthority, clock: MovableClock) -> None:
    issuer, encoded = read_certificate(authority.certificate("ca")), authority.list()
    assert read_list(encoded, [issuer], clock.now()).encoded == encoded
    for issuers, now in (
        ([issuer], clock.now() + dt.timedelta(days=11)),
        ([issuer], clock.now() - dt.timedelta(days=1)),
        ([], clock.now()),
    ):
        with pytest.raises(FujieError) as refused:
            read_list(encoded, issuers, now)
        assert refused.value.code == "REVOCATION_ANSWER_REFUSED"


@pytest.mark.parametrize("path", ["/moved", "/endless", "/missing"])
async def test_no_redirect_is_followed_and_no_answer_is_endless(served: str, path: str) -> None:
    with pytest.raises(FujieError) as refused:
        await fetch(served + path)
    assert refused.value.code == "REVOCATION_SOURCE_UNREACHABLE"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ldap://127.0.0.1/x", "http://127.0.0.1:1/", "http://[", "gopher://x"])
async def test_only_http_addresses_are_asked(url: str) -> None:
    with pytest.raises(FujieError) as refused:
        await fetch(url)
    assert refused.value.code == "REVOCATION_SOURCE_UNREACHABLE"


async def test_openssls_responder_is_believed(authority: LicensedAuthority, responder: str, clock: MovableClock) -> None:
    issuer = authority.certificate("ca")
    good = await ask_ocsp(clock, responder, authority.certificate("good"), issuer)
    assert (good.status, good.fresh) == (OcspStatus.GOOD, True)
    bad = await ask_ocsp(clock, responder, authority.certificate("bad"), issuer)
    assert bad.status is OcspStatus.REVOKED
    assert bad.revoked_at is not None


async def test_answers_that_prove_nothing(authority: LicensedAuthority, responder: str, clock: MovableClock) -> None:
    """A replayed nonce, another certificate, an old answer, a changed octet, another issuer."""
    issuer, good, bad = (read_certificate(authority.certificate(name)) for name in ("ca", "good", "bad"))
    nonce, now = bytes(range(16)), clock.now()
    answer = await fetch(responder, ocsp_request(good, issuer, nonce), "application/ocsp-request")
    assert read_answer(answer, good, issuer, nonce, now).fresh
    changed = answer[:-400] + bytes([answer[-400] ^ 1]) + answer[-399:]
    for encoded, subject, above, told, when in (
        (answer, good, issuer, bytes(16), now),
        (answer, bad, issuer, nonce, now),
        (answer, good, issuer, nonce, now + dt.timedelta(hours=2)),
        (answer, good, good, nonce, now),
        (b"\x30\x03\x0a\x01\x06", good, issuer, nonce, now),
        (b"", good, issuer, nonce, now),
    ):
        with pytest.raises(FujieError) as refused:
            read_answer(encoded, subject, above, told, when)
        assert refused.value.code == "REVOCATION_ANSWER_REFUSED"
    believed = 0
    for place in range(0, len(answer), 11):
        changed = answer[:place] + bytes([answer[place] ^ 1]) + answer[place + 1 :]
        try:
            believed += read_answer(changed, good, issuer, nonce, now).status is not OcspStatus.GOOD
        except FujieError:
            continue
    assert believed == 0, "no flipped bit turns good into anything else"


def test_a_list_is_renewed_well_before_it_ends(clock: MovableClock) -> None:
    now = clock.now()
    for days in (1, 10, 100):
        end = now + dt.timedelta(days=days)
        assert now < next_attempt(now, now, end, failed=False) <= now + (end - now) / 2
    assert next_attempt(now, None, None, failed=True) == now + dt.timedelta(minutes=1)
