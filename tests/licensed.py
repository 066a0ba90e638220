"""A licensed authority of somebody else: ``openssl ca`` in a folder, its revocation list behind a plain HTTP server."""

import http.server
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asn1crypto import pem

from keys.trust.certificates import read_bundle

DISTID = "distid:1234567812345678"
CONFIGURATION = """
[ca]
default_ca = here
[here]
database = index.txt
rand_serial = yes
crlnumber = crlnumber
certificate = ca.pem
private_key = ca.key
new_certs_dir = .
default_days = 700
default_crl_days = 10
policy = any
unique_subject = no
email_in_dn = no
crl_extensions = list
[any]
countryName = optional
localityName = optional
organizationName = optional
organizationIdentifier = optional
commonName = supplied
[list]
authorityKeyIdentifier = keyid
[signer]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,nonRepudiation
extendedKeyUsage = 1.3.6.1.5.5.7.3.36,emailProtection
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[responder]
extendedKeyUsage = OCSPSigning
keyUsage = digitalSignature
"""


@dataclass
class Licensed:
    """``sm``: an SM2 authority. ``base`` is where its list is served."""

    folder: Path
    base: str
    name: str = "Licensed Root"
    sm: bool = False

    def establish(self) -> "Licensed":
        self.folder.mkdir(parents=True, exist_ok=True)
        at = f"crlDistributionPoints = URI:{self.list_url}\n"
        (self.folder / "ca.cnf").write_text(CONFIGURATION.replace("[responder]", at + "[responder]"))
        (self.folder / "index.txt").touch()
        (self.folder / "crlnumber").write_text("01\n")
        key = ("-newkey", "sm2") if self.sm else ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        constraints = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        words = (*key, "-nodes", "-keyout", "ca.key", "-subj", f"/CN={self.name}")
        self.run("req", "-x509", *words, "-days", "900", "-out", "ca.pem", *constraints, *self.signing("req"))
        self.publish()
        return self

    @property
    def list_url(self) -> str:
        return f"{self.base}/{self.folder.name}/ca.crl"

    @property
    def root(self) -> bytes:
        return read_bundle((self.folder / "ca.pem").read_bytes())[0]

    def signing(self, command: str) -> tuple[str, ...]:
        if not self.sm:
            return ("-sha256",) if command == "req" else ("-md", "sha256")
        return (*(("-sm3",) if command == "req" else ("-md", "sm3")), "-sigopt", DISTID)

    def run(self, *words: str) -> str:
        done = subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def certify(self, request: bytes, name: str = "ours", extensions: str = "signer", days: int = 700) -> bytes:
        """PEM of a certificate for the request (PKCS #10, DER)."""
        (self.folder / f"{name}.csr").write_bytes(pem.armor("CERTIFICATE REQUEST", request))
        distid = ("-vfyopt", DISTID) if self.sm else ()
        words = ("-in", f"{name}.csr", "-out", f"{name}.pem", "-notext", "-preserveDN", "-days", str(days), "-extensions", extensions)
        self.run("ca", "-batch", "-config", "ca.cnf", *words, *distid, *self.signing("ca"))
        return (self.folder / f"{name}.pem").read_bytes()

    def publish(self, *revoked: str, seconds: int | None = None) -> None:
        """A new list, with these certificates on it; ``seconds``: how long it lasts."""
        for name in revoked:
            self.run("ca", "-config", "ca.cnf", "-revoke", f"{name}.pem", *self.signing("ca"))
        lasting = ("-crlsec", str(seconds)) if seconds else ()
        self.run("ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem", *lasting, *self.signing("ca"))
        (self.folder / "ca.crl").write_bytes(pem.unarmor((self.folder / "crl.pem").read_bytes())[2])


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address under which the folder is served."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def responding(licensed: Licensed, port: int) -> Iterator[None]:
    """``openssl ocsp`` answering with the authority's own key, for ten hours each, about what it has issued and revoked by now."""
    words = ("-port", str(port), "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "ca.key", "-nmin", "600")
    process = subprocess.Popen(
        ["openssl", "ocsp", *words], cwd=licensed.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:  # a connection that asks nothing would keep it from everybody else
        if "waiting" in line:
            break
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
