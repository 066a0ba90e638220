"""Time stamps between us and outsiders: openssl and BouncyCastle read ours, our client reads those of ``openssl ts -reply``."""

import asyncio
import base64
import datetime as dt
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
import uvicorn
from asn1crypto import tsp
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import problems
from api.routes import tsa
from keys.base.clock import SystemClock
from keys.base.db import Database
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import authority_certificate, establish
from keys.time.authority import TimestampAuthority
from keys.time.client import HttpTimestampSource
from keys.time.errors import TimestampInvalid, TimestampUnavailable
from keys.time.imprints import imprint_of
from keys.time.verification import verify_token
from tests.conftest import require_command

JAVA = Path(__file__).parent / "java" / "TimestampReader.java"
JARS = [Path("/usr/share/java") / name for name in ("bcprov.jar", "bcpkix.jar", "bcutil.jar")]
DOCUMENT = "一份证照".encode()
DIGEST = hashlib.sha256(DOCUMENT).digest()
REPLY = "application/timestamp-reply"


def pem(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n"


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
        task = asyncio.create_task(server.serve([listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@dataclass
class Outsider:
    """A folder, and programs that run in it."""

    folder: Path

    async def run(self, *words: str, check: bool = True) -> str:
        process = await asyncio.create_subprocess_exec(
            *words, cwd=self.folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        text = output.decode(errors="replace")
        assert not check or process.returncode == 0, text
        return text


@dataclass
class Ours(Outsider):
    url: str
    authority: TimestampAuthority

    async def post(self, body: bytes) -> httpx2.Response:
        async with httpx2.AsyncClient(trust_env=False) as client:
            return await client.post(f"{self.url}/pki/tsa", content=body, headers={"Content-Type": "application/timestamp-query"})

    async def exchange(self, *query: str) -> Path:
        """A query by openssl and our answer, as files."""
        require_command("openssl", "openssl")
        await self.run("openssl", "ts", "-query", "-data", "document", "-out", "query.tsq", *query)
        answer = await self.post((self.folder / "query.tsq").read_bytes())
        assert (answer.status_code, answer.headers["content-type"]) == (200, REPLY)
        (self.folder / "reply.tsr").write_bytes(answer.content)
        return self.folder / "reply.tsr"


@pytest.fixture
async def ours(database: Database, keystore: SoftwareKeyStore, redis_url: str, tmp_path: Path) -> AsyncIterator[Ours]:
    clock, redis = SystemClock(), Redis.from_url(redis_url)
    await redis.flushdb()
    await establish(database, keystore, clock, "http://127.0.0.1:8000")
    authority = TimestampAuthority(database, keystore, clock)
    async with database.session() as session:
        (tmp_path / "root.pem").write_text(pem(await authority_certificate(session, "root")))
    (tmp_path / "document").write_bytes(DOCUMENT)
    app = Starlette(routes=tsa.routes, exception_handlers=problems.HANDLERS)
    app.state.house = SimpleNamespace(redis=redis, time=SimpleNamespace(authority=authority))
    async with serving(app) as url:
        yield Ours(tmp_path, url, authority)
    await redis.aclose()


async def test_openssl_accepts_our_time_stamps(ours: Ours) -> None:
    """With the root alone: the token brings the certificates between."""
    for hash_ in ("-sha256", "-sha384", "-sha512", "-sm3"):
        await ours.exchange(hash_, "-cert")
        seen = await ours.run("openssl", "ts", "-verify", "-queryfile", "query.tsq", "-in", "reply.tsr", "-CAfile", "root.pem")
        assert "Verification: OK" in seen
    text = await ours.run("openssl", "ts", "-reply", "-in", "reply.tsr", "-text")
    assert "Status: Granted." in text
    assert f"Policy OID: {ours.authority.promise.policy}" in text
    assert "Accuracy: 0x01 seconds" in text
    assert "Ordering: yes" in text
    assert "Hash Algorithm: sm3" in text


async def test_openssl_sees_what_was_changed(ours: Ours) -> None:
    await ours.exchange("-sha256", "-cert")
    (ours.folder / "other").write_bytes(DOCUMENT + b".")
    seen = await ours.run("openssl", "ts", "-verify", "-data", "other", "-in", "reply.tsr", "-CAfile", "root.pem", check=False)
    assert "message imprint mismatch" in seen
    await ours.run("openssl", "ts", "-query", "-data", "document", "-sha256", "-cert", "-out", "query.tsq")
    seen = await ours.run("openssl", "ts", "-verify", "-queryfile", "query.tsq", "-in", "reply.tsr", "-CAfile", "root.pem", check=False)
    assert "nonce mismatch" in seen


async def test_openssl_accepts_a_kept_token(ours: Ours) -> None:
    """A token without the answer around it, as certificates' tokens are handed out."""
    (ours.folder / "document.tst").write_bytes(await ours.authority.stamp(DIGEST))
    seen = await ours.run(
        "openssl", "ts", "-verify", "-data", "document", "-in", "document.tst", "-token_in", "-CAfile", "root.pem"
    )  # fmt: skip
    assert "Verification: OK" in seen


async def test_openssl_reads_our_refusals(ours: Ours) -> None:
    for query, words in (("-sha1", "unrecognized or unsupported algorithm"), ("-sha3-256", "unrecognized or unsupported algorithm")):
        await ours.exchange(query)
        assert words in await ours.run("openssl", "ts", "-reply", "-in", "reply.tsr", "-text")
    await ours.exchange("-sha256", "-tspolicy", "1.2.3.4.5")
    assert "the requested TSA policy is not supported" in await ours.run("openssl", "ts", "-reply", "-in", "reply.tsr", "-text")


async def test_bouncycastle_validates_our_time_stamps(ours: Ours) -> None:
    require_command("java", "default-jdk-headless")
    if not all(jar.exists() for jar in JARS):
        pytest.skip("needs BouncyCastle: apt-get install libbcpkix-java libbcprov-java")
    await ours.exchange("-sha256", "-cert")
    words = ("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", ":".join(map(str, JARS)), str(JAVA), "query.tsq", "reply.tsr")
    seen = await ours.run(*words)
    assert "\nvalid " in f"\n{seen}"
    assert "certificates 2 accuracy 1 ordered true sha256 true" in seen


async def test_what_never_reaches_the_protocol_is_a_problem_document(ours: Ours) -> None:
    large = await ours.post(b"\x30" * 5000)
    assert (large.status_code, large.headers["content-type"], large.json()["code"]) == (413, "application/problem+json", "TOO_LARGE")
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{ours.url}/pki/tsa")).status_code == 405
    assert ours.authority.ledger.tokens == 0


async def test_our_client_asks_our_server(ours: Ours) -> None:
    root = ssl.PEM_cert_to_DER_cert((ours.folder / "root.pem").read_text())
    source = HttpTimestampSource(f"{ours.url}/pki/tsa", [root], SystemClock(), ours.authority.promise.policy)
    found = verify_token(await source.stamp(DIGEST), imprint_of(DIGEST, "sha256"), [root])
    assert abs(found.instant - SystemClock().now()) < dt.timedelta(seconds=5)
    stranger = HttpTimestampSource(f"{ours.url}/pki/tsa", [found.path[0]], SystemClock(), "1.2.3.4")
    with pytest.raises(TimestampUnavailable, match="failure 15"):
        await stranger.stamp(DIGEST)


CONFIGURATION = """
[tsa]
default_tsa = theirs
[theirs]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.2
digests = sha256, sha384, sha512
accuracy = secs:1, millisecs:500, microsecs:100
clock_precision_digits = 3
ordering = no
tsa_name = yes
ess_cert_id_chain = yes
ess_cert_id_alg = sha256
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[web]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = timeStamping, serverAuth
"""
Changed = Callable[[bytes], Awaitable[bytes]]


@dataclass
class Theirs(Outsider):
    """Another authority: ``openssl ts -reply`` behind an HTTP server. ``alter`` changes answers on their way."""

    url: str = ""
    alter: Changed | None = None
    kind: str = "signer"

    async def establish(self, key: tuple[str, ...]) -> None:
        (self.folder / "ts.cnf").write_text(CONFIGURATION)
        (self.folder / "serial").write_text("01")
        new = ("openssl", "req", "-x509", "-config", "ts.cnf", "-nodes", "-days", "30", "-newkey")
        (self.folder / "ts.cnf").write_text(CONFIGURATION + "[req]\ndistinguished_name = dn\n[dn]\n")
        await self.run(*new, *key, "-subj", "/CN=Their root", "-extensions", "root", "-keyout", "root.key", "-out", "theirs.pem")
        for kind in ("signer", "web"):
            issuer = ("-CA", "theirs.pem", "-CAkey", "root.key")
            await self.run(
                *new, *key, "-subj", f"/CN={kind}", "-extensions", kind, "-keyout", f"{kind}.key", "-out", f"{kind}.pem", *issuer
            )

    async def answer(self, request: Request) -> Response:
        (self.folder / "query").write_bytes(await request.body())
        await self.run(
            "openssl", "ts", "-reply", "-config", "ts.cnf", "-queryfile", "query", "-signer", f"{self.kind}.pem",
            "-inkey", f"{self.kind}.key", "-chain", "theirs.pem", "-out", "reply",
        )  # fmt: skip
        octets = (self.folder / "reply").read_bytes()
        return Response(await self.alter(octets) if self.alter else octets, media_type=REPLY)

    @property
    def root(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert((self.folder / "theirs.pem").read_text())

    def source(self, **options: object) -> HttpTimestampSource:
        return HttpTimestampSource(self.url, [self.root], SystemClock(), **options)  # type: ignore[arg-type]


@pytest.fixture
async def theirs(tmp_path: Path) -> AsyncIterator[Theirs]:
    require_command("openssl", "openssl")
    other = Theirs(tmp_path)
    await other.establish(("ec", "-pkeyopt", "ec_paramgen_curve:P-256"))
    async with serving(Starlette(routes=[Route("/tsa", other.answer, methods=["POST"])])) as url:
        other.url = f"{url}/tsa"
        yield other


async def test_our_client_asks_openssl(theirs: Theirs) -> None:
    token = await theirs.source(policy="1.2.3.4.2").stamp(DIGEST)
    found = verify_token(token, imprint_of(DIGEST, "sha256"), [theirs.root])
    assert found.policy == "1.2.3.4.2"
    assert found.accuracy == dt.timedelta(seconds=1, milliseconds=500, microseconds=100)
    assert not found.ordering
    assert found.signer.endswith("signer")
    await theirs.source().stamp(hashlib.sha512(DOCUMENT).digest(), "sha512")


async def test_our_client_asks_openssl_with_an_rsa_key(theirs: Theirs) -> None:
    """Its SignerInfo names the bare key algorithm."""
    await theirs.establish(("rsa:2048",))
    assert verify_token(await theirs.source().stamp(DIGEST), imprint_of(DIGEST, "sha256"), [theirs.root])


async def test_our_client_believes_no_stranger(theirs: Theirs, ours: Ours) -> None:
    source = HttpTimestampSource(theirs.url, [ssl.PEM_cert_to_DER_cert((ours.folder / "root.pem").read_text())], SystemClock())
    with pytest.raises(TimestampInvalid, match="nobody who is trusted"):
        await source.stamp(DIGEST)


async def test_our_client_takes_no_time_from_a_certificate_of_another_use(theirs: Theirs) -> None:
    theirs.kind = "web"
    with pytest.raises((TimestampInvalid, TimestampUnavailable)):
        await theirs.source().stamp(DIGEST)


async def test_our_client_refuses_a_replayed_answer(theirs: Theirs) -> None:
    """The nonce of an earlier request: their answer is genuine, and not to ours."""
    kept: list[bytes] = []

    async def replay(octets: bytes) -> bytes:
        kept.append(octets)
        return kept[0]

    theirs.alter = replay
    await theirs.source().stamp(DIGEST)
    with pytest.raises(TimestampInvalid, match="another request"):
        await theirs.source().stamp(DIGEST)


async def test_our_client_refuses_an_answer_to_something_else(theirs: Theirs) -> None:
    kept: list[bytes] = []

    async def replay(octets: bytes) -> bytes:
        kept.append(octets)
        return kept[0]

    theirs.alter = replay
    await theirs.source().stamp(DIGEST)
    with pytest.raises(TimestampInvalid, match="something else"):
        await theirs.source().stamp(hashlib.sha256(b"another").digest())


async def test_our_client_refuses_another_hour(theirs: Theirs) -> None:
    class Fast:
        def now(self) -> dt.datetime:
            return SystemClock().now() + dt.timedelta(seconds=30)

    with pytest.raises(TimestampInvalid, match="its instant"):
        await HttpTimestampSource(theirs.url, [theirs.root], Fast()).stamp(DIGEST)


async def test_our_client_reports_a_refusal(theirs: Theirs) -> None:
    with pytest.raises(TimestampUnavailable, match="failure 15"):
        await theirs.source(policy="2.9.9").stamp(DIGEST)


async def test_no_flipped_bit_of_a_token_is_believed(theirs: Theirs, ours: Ours) -> None:
    """Every third octet of what is signed or signs; certificates that are only carried along may differ."""
    root = ssl.PEM_cert_to_DER_cert((ours.folder / "root.pem").read_text())
    token, imprint = await ours.authority.stamp(DIGEST), imprint_of(DIGEST, "sha256")
    certificates = tsp.ContentInfo.load(token)["content"]["certificates"].dump()
    start = token.index(certificates[4:])
    places = [place for place in range(0, len(token), 3) if not start <= place < start + len(certificates)]
    for place in places:
        changed = bytearray(token)
        changed[place] ^= 1
        with pytest.raises(TimestampInvalid):
            verify_token(bytes(changed), imprint, [root])


async def test_servers_that_answer_nothing_of_use() -> None:
    """Closed, slow, endless, wrong: each is an error of ours within the time that was given, never a token."""

    async def slow(_: Request) -> Response:
        await asyncio.sleep(5)
        return Response(b"")

    large, gone = Response(b"\x30" * 300_000), Response(b"", 503)
    answers = {"/wrong": Response(b"<html>"), "/large": large, "/gone": gone, "/empty": Response(b"")}
    routes = [Route(path, lambda _, answer=answer: answer, methods=["POST"]) for path, answer in answers.items()]
    async with serving(Starlette(routes=[*routes, Route("/slow", slow, methods=["POST"])])) as url:
        for path, error in {
            "/wrong": TimestampInvalid,
            "/large": TimestampInvalid,
            "/empty": TimestampInvalid,
            "/gone": TimestampUnavailable,
            "/slow": TimestampUnavailable,
        }.items():
            with pytest.raises(error):
                await HttpTimestampSource(url + path, [b""], SystemClock(), seconds=0.5).stamp(DIGEST)
    with pytest.raises(TimestampUnavailable):
        await HttpTimestampSource(url, [b""], SystemClock(), seconds=0.5).stamp(DIGEST)
