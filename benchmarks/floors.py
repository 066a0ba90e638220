"""P-256 signatures: the key store beside what OpenSSL itself reaches (``openssl speed``). SM2 has a figure of its own."""

import re
import shutil
import subprocess

from benchmarks.bench import Bench
from benchmarks.measure import Contender, take_turns
from benchmarks.rows import PER_SECOND, Row
from keys.custody.store import Purpose

COUNT = 500
_ECDSA = re.compile(r"^\+F4:\d+:256:([\d.]+):([\d.]+)", re.M)


def figure(bench: Bench) -> list[Row]:
    """Operations per CPU second."""
    sample = bench.sample
    keystore, message = sample.keystore, b"m" * 200
    sign = Contender(lambda _: keystore.sign(sample.material.signer_key, message, Purpose.SEALS), count=COUNT)
    cost = take_turns({"sign P-256": sign}, bench.rounds)["sign P-256"]
    floor = openssl_speed()
    note = "" if floor else "not installed: apt-get install openssl"
    return [Row("sign P-256", 1000 / cost.total, "openssl speed", floor, PER_SECOND, note)]


def openssl_speed() -> float | None:
    """Signatures a second, or nothing where there is no OpenSSL."""
    program = shutil.which("openssl")
    if program is None:
        return None
    done = subprocess.run([program, "speed", "-seconds", "1", "-mr", "ecdsap256"], capture_output=True, text=True, check=False)
    found = _ECDSA.search(done.stdout)
    return float(found[1]) if found else None
