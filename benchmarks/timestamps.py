"""A time stamp: our authority against ``openssl ts -reply``, the same query to both; P-256, SHA-256, certificates in the token.

OpenSSL has no server for time stamps: whoever builds one on it starts this command for each query, and so does the peer here.
Ours is measured over HTTP, where PostgreSQL gives each token an instant of its own, and without both, as what a token costs.
"""

import contextlib
import hashlib
import resource
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.bench import Bench
from benchmarks.cpu import Meter
from benchmarks.instance import STORES
from benchmarks.measure import Contender, Cost, take_turns
from benchmarks.peers.installing import NotInstalled
from benchmarks.rows import Row
from benchmarks.wire import Wire
from keys.base.clock import SystemClock
from keys.custody.store import Algorithm, Purpose
from keys.time.imprints import imprint_of
from keys.time.reading import read_answer, read_token
from keys.time.request import read_request, write_request
from keys.time.token import Promise, Template, granted, write_info

PEER = "openssl ts -reply"
COUNT, PEER_COUNT, IDLE_SECONDS = 200, 10, 3.0
DIGEST = hashlib.sha256(b"a document").digest()
CONFIGURATION = """
[tsa]
default_tsa = theirs
[theirs]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
clock_precision_digits = 3
ess_cert_id_alg = sha256
signer_cert = signer.pem
signer_key = signer.key
certs = root.pem
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical, CA:true
[signer]
extendedKeyUsage = critical, timeStamping
"""


def figure(bench: Bench) -> list[Row]:
    contenders = {
        "served": Contender(served(bench.instance.base_url), bench.instance.cpu, COUNT),
        "made": Contender(made(bench), count=COUNT),
    }
    missing = ""
    try:
        contenders[PEER] = Contender(openssl(bench.folder), children, PEER_COUNT)
    except NotInstalled as error:
        missing = str(error)
    costs = take_turns(contenders, bench.rounds)
    return _rows(costs, idling(bench.instance.cpu), missing)


def _rows(costs: Mapping[str, Cost], idle: float, missing: str) -> list[Row]:
    ours, theirs = costs["served"], costs.get(PEER)
    total = None if theirs is None else theirs.total
    note = f"PostgreSQL beside it {ours.of(*STORES):.2f}; the peer starts a process for each; without idling, {idle:.0f} a second"
    alone = missing or "request read, token signed and written; no database"
    return [
        Row("time stamp, over HTTP", ours.of("web") - idle * ours.wall / 1000, PEER, total, note=missing or note),
        Row("time stamp, in process", costs["made"].total, PEER, total, note=alone),
    ]


def idling(meter: Meter) -> float:
    """CPU milliseconds that the house burns in each second of doing nothing for us."""
    before = meter()["web"]
    time.sleep(IDLE_SECONDS)
    return (meter()["web"] - before) * 1000 / IDLE_SECONDS


def checked(answer: bytes, nonce: int) -> None:
    """A measurement of a refusal would be none."""
    token = read_answer(answer).token
    assert token is not None
    assert read_token(token).info.nonce == nonce


def served(base_url: str) -> Callable[[int], None]:
    wire = Wire(f"http://{urlsplit(base_url).netloc}")

    def ask(_: int) -> None:
        nonce = secrets.randbits(63)
        body = write_request(imprint_of(DIGEST, "sha256"), nonce)
        checked(wire.send("POST", "/pki/tsa", headers={"Content-Type": "application/timestamp-query"}, body=body).body, nonce)

    return ask


def made(bench: Bench) -> Callable[[int], None]:
    """What the authority does between the request and the answer, but for the database."""
    keystore, material, clock, promise = bench.sample.keystore, bench.sample.material, SystemClock(), Promise()
    key = keystore.generate(Algorithm.P256, Purpose.TIME)
    template = Template((material.signer_certificate, material.signer_chain[0]))

    def make(_: int) -> None:
        request = read_request(write_request(imprint_of(DIGEST, "sha256"), secrets.randbits(63)))
        info = write_info(promise, request, secrets.randbits(127), clock.now())
        attributes = template.attributes(info)
        signature = keystore.sign(key, template.signed(attributes), Purpose.TIME)
        granted(template.token(info, attributes, signature, certificates=request.certificates))

    return make


def children() -> Mapping[str, float]:
    """CPU seconds of the processes we started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"peer": used.ru_utime + used.ru_stime}


def openssl(folder: Path) -> Callable[[int], None]:
    """The peer; raises NotInstalled."""
    program = shutil.which("openssl")
    if program is None:
        raise NotInstalled("not installed: apt-get install openssl")
    home = folder / "openssl-ts"
    home.mkdir(exist_ok=True)
    (home / "ts.cnf").write_text(CONFIGURATION)
    (home / "serial").write_text("01")
    make = [program, "req", "-x509", "-config", "ts.cnf", "-nodes", "-days", "30", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    issued = ["-CA", "root.pem", "-CAkey", "root.key"]
    for name, more in (("root", []), ("signer", issued)):
        words = [*make, "-subj", f"/CN={name}", "-extensions", name, "-keyout", f"{name}.key", "-out", f"{name}.pem", *more]
        subprocess.run(words, cwd=home, check=True, capture_output=True)

    def reply(_: int) -> None:
        nonce = secrets.randbits(63)
        (home / "query").write_bytes(write_request(imprint_of(DIGEST, "sha256"), nonce))
        with contextlib.suppress(FileNotFoundError):
            (home / "reply").unlink()
        words = [program, "ts", "-reply", "-config", "ts.cnf", "-queryfile", "query", "-out", "reply"]
        subprocess.run(words, cwd=home, check=True, capture_output=True)
        checked((home / "reply").read_bytes(), nonce)

    return reply
