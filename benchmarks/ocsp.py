"""The status of a certificate: our responder against ``openssl ocsp``, over HTTP, the same questions to both.

Both answer for P-256 with a delegated P-256 responder. Ours asks PostgreSQL at every request, so that a revocation is told at
once; the peer holds a text file of certificates in memory and reads it once.
"""

import contextlib
import datetime as dt
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from benchmarks.bench import Bench
from benchmarks.cpu import Meter, process_seconds
from benchmarks.instance import STORES, free_port
from benchmarks.measure import Contender, Cost, take_turns
from benchmarks.peers.installing import NotInstalled
from benchmarks.rows import Row
from benchmarks.wire import Wire
from keys.base.clock import SystemClock

PEER = "openssl ocsp"
COUNT = 150
IDLE_SECONDS = 3.0
SIGNED, KEPT = "OCSP answer, signed with nonce", "OCSP answer, pre-signed"


@dataclass(frozen=True, slots=True)
class Party:
    """A responder, what it is asked about, and what it burns."""

    url: str
    certificate: x509.Certificate
    issuer: x509.Certificate
    meter: Meter

    def operation(self, *, nonce: bool) -> Callable[[int], None]:
        """One question and its answer, which must be that the certificate is good."""
        parts = urlsplit(self.url)
        wire, path = Wire(f"http://{parts.netloc}"), parts.path or "/"
        builder = ocsp.OCSPRequestBuilder().add_certificate(self.certificate, self.issuer, hashes.SHA1())
        plain = builder.build().public_bytes(Encoding.DER)

        def ask(_: int) -> None:
            fresh = secrets.token_bytes(32)
            asked = builder.add_extension(x509.OCSPNonce(fresh), critical=False).build().public_bytes(Encoding.DER) if nonce else plain
            answer = wire.send("POST", path, headers={"Content-Type": "application/ocsp-request"}, body=asked)
            read = ocsp.load_der_ocsp_response(answer.body)
            assert read.certificate_status is ocsp.OCSPCertStatus.GOOD
            assert not nonce or read.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == fresh

        return ask


def figure(bench: Bench) -> list[Row]:
    material = bench.sample.material
    issued = [x509.load_der_x509_certificate(one) for one in (material.signer_certificate, material.signer_chain[0])]
    ours = Party(f"{bench.instance.base_url}/pki/ocsp", issued[0], issued[1], bench.instance.cpu)
    with contextlib.ExitStack() as stack:
        try:
            parties, missing = {"ours": ours, PEER: stack.enter_context(openssl(bench.folder))}, ""
        except NotInstalled as error:
            parties, missing = {"ours": ours}, str(error)
        signed, kept = (compare(parties, bench.rounds, nonce) for nonce in (True, False))
        idle = idling(ours)
        return [_row(SIGNED, signed, idle, missing), _row(KEPT, kept, idle, missing)]


def idling(party: Party) -> float:
    """CPU milliseconds that the house burns in each second of doing nothing for us: sequencing, stamping, sweeping."""
    before = party.meter()["web"]
    time.sleep(IDLE_SECONDS)
    return (party.meter()["web"] - before) * 1000 / IDLE_SECONDS


def compare(parties: dict[str, Party], rounds: int, nonce: bool) -> dict[str, Cost]:
    contenders = {name: Contender(party.operation(nonce=nonce), party.meter, COUNT) for name, party in parties.items()}
    return take_turns(contenders, rounds, warm_up=10)


def _row(name: str, costs: dict[str, Cost], idle: float, missing: str) -> Row:
    ours, theirs = costs["ours"], costs.get(PEER)
    answering = ours.of("web") - idle * ours.wall / 1000
    note = f"PostgreSQL beside it {ours.of(*STORES):.2f}, asked at every request; the peer signs every answer, from a file in memory"
    return Row(
        name, answering, PEER, None if theirs is None else theirs.total, note=missing or f"{note}; without idling, {idle:.0f} a second"
    )


@contextlib.contextmanager
def openssl(folder: Path) -> Iterator[Party]:
    """The peer over a small authority of its own; raises NotInstalled."""
    program = shutil.which("openssl")
    if program is None:
        raise NotInstalled("not installed: apt-get install openssl")
    home = folder / "openssl-ocsp"
    home.mkdir(exist_ok=True)
    issuer, leaf = _authority(home)
    port = free_port()
    signer = ["-rsigner", "responder.pem", "-rkey", "responder.key"]
    words = [program, "ocsp", "-port", str(port), "-index", "index.txt", "-CA", "ca.pem", *signer, "-nmin", "60"]
    with (home / "log").open("wb") as log, subprocess.Popen(words, cwd=home, stdout=log, stderr=log) as process:
        try:
            _listening(process, home / "log")
            yield Party(f"http://127.0.0.1:{port}/", leaf, issuer, lambda: {"peer": process_seconds(process.pid)})
        finally:
            process.terminate()


def _listening(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        if b"waiting for" in log.read_bytes().lower() or b"accept" in log.read_bytes().lower():
            return
        time.sleep(0.05)
    raise NotInstalled(f"openssl ocsp did not start: {log.read_text(errors='replace')[-200:]}")


def _authority(home: Path) -> tuple[x509.Certificate, x509.Certificate]:
    """A P-256 authority, its responder and one good certificate; the index that openssl reads."""
    now = SystemClock().now()
    key, signer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _certificate("authority", key, "authority", key, now)
    responder = _certificate("responder", signer, "authority", key, now, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]))
    leaf = _certificate("leaf", ec.generate_private_key(ec.SECP256R1()), "authority", key, now)
    (home / "ca.pem").write_bytes(issuer.public_bytes(Encoding.PEM))
    (home / "responder.pem").write_bytes(responder.public_bytes(Encoding.PEM))
    (home / "responder.key").write_bytes(signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (home / "index.txt").write_text(f"V\t{leaf.not_valid_after_utc:%y%m%d%H%M%SZ}\t\t{leaf.serial_number:032X}\tunknown\t/CN=leaf\n")
    return issuer, leaf


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    use: x509.ExtendedKeyUsage | None = None,
) -> x509.Certificate:
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, issuer)]
    builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(key.public_key())
    builder = builder.serial_number(1 << 126 | secrets.randbits(120)).not_valid_before(now).not_valid_after(now + dt.timedelta(days=30))
    builder = builder.add_extension(use, critical=False) if use else builder
    return builder.sign(signer, hashes.SHA256())
