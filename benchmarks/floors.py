"""Signatures: the key store beside what OpenSSL itself reaches (``openssl speed``)."""

import re
import shutil
import subprocess

from benchmarks.bench import Bench
from benchmarks.measure import Contender, take_turns
from benchmarks.rows import PER_SECOND, Row
from keys.custody import sm2
from keys.custody.store import Purpose

COUNT = 500
_ECDSA, _SM2 = re.compile(r"^\+F4:\d+:256:([\d.]+):([\d.]+)", re.M), re.compile(r"^\+F7:\d+:256:CurveSM2:([\d.]+):([\d.]+)", re.M)


def figure(bench: Bench) -> list[Row]:
    """Operations per CPU second."""
    sample = bench.sample
    keystore, material, message = sample.keystore, sample.material, b"m" * 200
    signature = keystore.sign(material.sm_key, message, Purpose.SEALS)

    def verify_sm2(_: int) -> None:
        assert sm2.verify(material.sm_key.public, message, signature)

    costs = take_turns(
        {
            "sign P-256": Contender(lambda _: keystore.sign(material.signer_key, message, Purpose.SEALS), count=COUNT),
            "sign SM2": Contender(lambda _: keystore.sign(material.sm_key, message, Purpose.SEALS), count=COUNT),
            "verify SM2": Contender(verify_sm2, count=COUNT),
        },
        bench.rounds,
    )
    floors = openssl_speed()
    note = "" if floors else "not installed: apt-get install openssl (3.0 or newer)"
    return [Row(name, 1000 / cost.total, "openssl speed", floors.get(name), PER_SECOND, note) for name, cost in costs.items()]


def openssl_speed() -> dict[str, float]:
    """Operations a second, or nothing where there is no OpenSSL that knows SM2."""
    program = shutil.which("openssl")
    if program is None:
        return {}
    done = subprocess.run([program, "speed", "-seconds", "1", "-mr", "ecdsap256", "sm2"], capture_output=True, text=True, check=False)
    ecdsa, sm = _ECDSA.search(done.stdout), _SM2.search(done.stdout)
    if ecdsa is None or sm is None:
        return {}
    return {"sign P-256": float(ecdsa[1]), "sign SM2": float(sm[1]), "verify SM2": float(sm[2])}
