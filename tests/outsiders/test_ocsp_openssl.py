"""Status as outsiders ask for it: openssl, GnuTLS and BouncyCastle against our lists and our running responder."""

import asyncio
import base64
import socket
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from fastapi import FastAPI

from api import problems
from api.routes import ocsp, pki
from keys.base.clock import SystemClock
from keys.custody.store import Algorithm, Purpose
from keys.pki.authority import authority_certificate, establish
from keys.pki.issuing import IssuedCertificate, Subject, issue
from keys.pki.reads import certificate_ends
from keys.pki.status import revoke, suspend
from tests.conftest import require_command

SUBJECT = Subject("测试证书", "某某市水务局", "11990100MB0000001X", "990100")
JAVA = Path(__file__).parent / "java" / "StatusReader.java"
JARS = [Path("/usr/share/java") / name for name in ("bcprov.jar", "bcpkix.jar", "bcutil.jar")]


def pem(kind: str, *ders: bytes) -> bytes:
    blocks = (f"-----BEGIN {kind}-----\n{base64.encodebytes(der).decode()}-----END {kind}-----\n" for der in ders)
    return "".join(blocks).encode()


@dataclass
class Responder:
    """Our service on a port, a folder for the outsiders' files, and what they do there."""

    url: str
    database: object
    keystore: object
    folder: Path
    files: int = 0

    async def run(self, *words: str | bytes, check: bool = False) -> str:
        """Both streams of a program; ``bytes`` become files."""
        arguments = [self.file(word) if isinstance(word, bytes) else word for word in words]
        process = await asyncio.create_subprocess_exec(
            *arguments, cwd=self.folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        text = output.decode(errors="replace")
        assert not check or process.returncode == 0, text
        return text

    def file(self, content: bytes) -> str:
        self.files += 1
        path = self.folder / f"file-{self.files}"
        path.write_bytes(content)
        return str(path)

    async def certify(self, authority: str = "seal", profile: str = "document-signer") -> IssuedCertificate:
        algorithm = Algorithm.SM2 if profile.endswith("-sm") else Algorithm.P256
        public = self.keystore.generate(algorithm, Purpose.SEALS).public
        async with self.database.begin() as session:
            return await issue(
                session, self.keystore, SystemClock().now(), authority=authority, profile=profile, subject=SUBJECT, public_key=public
            )

    async def fetch(self, url: str) -> bytes:
        await self.run(require_command("curl", "curl"), "-s", "-f", "-o", "fetched", url, check=True)
        return (self.folder / "fetched").read_bytes()


@pytest.fixture
async def responder(database, keystore, tmp_path):
    """The service on its own port; certificates name that port."""
    clock = SystemClock()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        await establish(database, keystore, clock, url)
        app = FastAPI(openapi_url=None, routes=[*ocsp.routes, *pki.routes], exception_handlers=problems.HANDLERS)
        app.state.house = SimpleNamespace(database=database, keystore=keystore, clock=clock)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
        serving = asyncio.create_task(server.serve([listening]))
        try:
            yield Responder(url, database, keystore, tmp_path)
        finally:
            server.should_exit = True
            await serving


async def withdraw(responder: Responder, serial: int, reason: str = "key_compromise") -> None:
    async with responder.database.begin() as session:
        await revoke(session, SystemClock().now(), serial, reason)


async def openssl_ocsp(responder: Responder, issued: IssuedCertificate, *more: str) -> str:
    issuer, leaf, trust = (pem("CERTIFICATE", *ders) for ders in ([issued.chain[0]], [issued.certificate], issued.chain))
    words = ("openssl", "ocsp", "-issuer", issuer, *more, "-cert", leaf, "-url", f"{responder.url}/pki/ocsp", "-CAfile", trust)
    return await responder.run(*words)


async def test_openssl_ocsp(responder):
    """Good, revoked, on hold and unknown; with a nonce and without; SHA-1 and SHA-256."""
    require_command("openssl", "openssl")
    good, gone, held = [await responder.certify() for _ in range(3)]
    await withdraw(responder, gone.serial)
    async with responder.database.begin() as session:
        await suspend(session, SystemClock().now(), held.serial)
    for more in (("-nonce",), ("-no_nonce",), ("-sha256", "-nonce")):
        seen = await openssl_ocsp(responder, good, *more)
        assert "Response verify OK" in seen
        assert ": good" in seen
        assert "WARNING" not in seen
    seen = await openssl_ocsp(responder, gone)
    assert "Response verify OK" in seen
    assert ": revoked" in seen
    assert "Reason: keyCompromise" in seen
    assert "Reason: certificateHold" in await openssl_ocsp(responder, held)
    seen = await openssl_ocsp(responder, good, "-serial", "0x1234")
    assert "0x1234: unknown" in seen


async def test_openssl_refuses_what_another_authority_signed(responder):
    """The answer of the documents' responder proves nothing about a certificate of the seals' authority."""
    require_command("openssl", "openssl")
    ours, theirs = await responder.certify("seal"), await responder.certify("documents")
    root = pem("CERTIFICATE", ours.chain[-1])
    await responder.run(
        *("openssl", "ocsp", "-issuer", pem("CERTIFICATE", theirs.chain[0]), "-cert", pem("CERTIFICATE", theirs.certificate)),
        *("-url", f"{responder.url}/pki/ocsp", "-respout", "answer", "-CAfile", pem("CERTIFICATE", *theirs.chain)),
        check=True,
    )
    seen = await responder.run(
        *("openssl", "ocsp", "-issuer", pem("CERTIFICATE", ours.chain[0]), "-cert", pem("CERTIFICATE", ours.certificate)),
        *("-respin", "answer", "-CAfile", root, "-no_nonce"),
    )
    assert ": good" not in seen


async def test_openssl_checks_whole_chains_by_lists(responder):
    """``-crl_check_all`` with the lists that the certificates themselves name, a partitioned one among them."""
    require_command("openssl", "openssl")
    good, gone = [await responder.certify("persons", "person-sign-in") for _ in range(2)]
    await withdraw(responder, gone.serial)
    for issued, word in ((good, "OK"), (gone, "certificate revoked")):
        text = await responder.run("openssl", "x509", "-noout", "-text", "-in", pem("CERTIFICATE", issued.certificate), check=True)
        urls = [line.strip()[4:] for line in text.splitlines() if line.strip().startswith("URI:") and line.endswith(".crl")]
        assert len(urls) == 1
        assert "/pki/persons/" in urls[0]
        lists = [await responder.fetch(url) for url in (urls[0], f"{responder.url}/pki/root.crl")]
        shown = await responder.run("openssl", "crl", "-inform", "DER", "-noout", "-text", "-in", lists[0], check=True)
        assert "Issuing Distribution Point: critical" in shown
        trust = pem("CERTIFICATE", *issued.chain)
        for listed in lists:
            assert "verify OK" in await responder.run("openssl", "crl", "-inform", "DER", "-noout", "-in", listed, "-CAfile", trust)
        words = ("openssl", "verify", "-crl_check", "-crl_check_all", "-CAfile", trust, "-CRLfile", pem("X509 CRL", *lists))
        assert word in await responder.run(*words, pem("CERTIFICATE", issued.certificate))


async def test_a_list_of_another_partition_does_not_do(responder):
    require_command("openssl", "openssl")
    issued = await responder.certify("persons", "person-sign-in")
    other = (issued.serial + 1) % 64 + 1
    lists = [await responder.fetch(f"{responder.url}/pki/{name}.crl") for name in (f"persons/{other}", "root")]
    words = ("openssl", "verify", "-crl_check", "-crl_check_all", "-CAfile", pem("CERTIFICATE", *issued.chain))
    seen = await responder.run(*words, "-CRLfile", pem("X509 CRL", *lists), pem("CERTIFICATE", issued.certificate))
    assert "different crl scope" in seen.lower()


async def test_gnutls(responder):
    """certtool checks the lists, ocsptool the answers."""
    certtool, ocsptool = require_command("certtool", "gnutls-bin"), require_command("ocsptool", "gnutls-bin")
    good, gone = [await responder.certify() for _ in range(2)]
    await withdraw(responder, gone.serial, "superseded")
    issuer = pem("CERTIFICATE", good.chain[0])
    crl = await responder.fetch(f"{responder.url}/pki/seal.crl")
    seen = await responder.run(certtool, "--verify-crl", "--load-ca-certificate", issuer, "--infile", pem("X509 CRL", crl), check=True)
    assert "Verified" in seen
    for issued, word in ((good, "good"), (gone, "revoked")):
        leaf = pem("CERTIFICATE", issued.certificate)
        words = (f"--ask={responder.url}/pki/ocsp", "--nonce", "--load-cert", leaf, "--load-issuer", issuer, "--load-trust", issuer)
        seen = await responder.run(ocsptool, *words)
        assert f"Certificate Status: {word}" in seen
        assert "Verifying OCSP Response: Success" in seen


async def test_bouncy_castle(responder):
    """P-256 and SM2: the list's signature, the answer's, the delegation, the nonce, the status."""
    java = require_command("java", "default-jdk-headless")
    if not all(jar.exists() for jar in JARS):
        pytest.skip("needs BouncyCastle: apt-get install libbcpkix-java libbcprov-java")
    words: list[str | bytes] = []
    for authority, profile in (("seal", "document-signer"), ("seal-sm", "seal-signer-sm")):
        issued = await responder.certify(authority, profile)
        await withdraw(responder, issued.serial)
        words += [issued.chain[0], issued.certificate, await responder.fetch(f"{responder.url}/pki/{authority}.crl")]
    output = await responder.run(java, "-cp", ":".join(map(str, JARS)), str(JAVA), f"{responder.url}/pki/ocsp", *words, check=True)
    lists = ["signature true", "issuer true", "entries 1"]
    answers = ["signature true", "delegated true", "nonce a nonce of this test", "asked true", "status revoked"]
    assert [line for line in output.splitlines() if not line.startswith(("WARNING", "Note"))] == (lists + answers) * 2


async def test_openssl_verifies_the_sm2_answer_by_its_octets(responder):
    """``openssl ocsp`` takes no signer id for SM2, so the signature is checked over the answer's own octets."""
    openssl = require_command("openssl", "openssl")
    issued = await responder.certify("seal-sm", "seal-signer-sm")
    seen = await openssl_ocsp(responder, issued, "-respout", "answer", "-noverify")
    assert ": good" in seen
    shown = await responder.run(openssl, "ocsp", "-respin", "answer", "-resp_text", "-noverify", check=True)
    assert "SM2-with-SM3" in shown


async def test_the_chain_above_is_answered_for_too(responder):
    """``openssl ocsp`` about the authority's own certificate, asked of its root."""
    require_command("openssl", "openssl")
    async with responder.database.session() as session:
        own, root = await authority_certificate(session, "seal"), await authority_certificate(session, "root")
    issued = IssuedCertificate(own, (root,), certificate_ends(own).serial)
    seen = await openssl_ocsp(responder, issued)
    assert "Response verify OK" in seen
    assert ": good" in seen
