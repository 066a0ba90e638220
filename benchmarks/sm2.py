"""SM2 signatures per CPU second, ours and ``openssl speed sm2`` in turn, so that a busy neighbour slows both.

``openssl speed`` counts the CPU time of its own process; ours is that of this one. Both sign and verify a short message whole:
Z, SM3 and the signature.
"""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.bench import Bench
from benchmarks.rows import PER_SECOND, Row
from keys.custody import sm2
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose

AIM = 0.9
_SPEED = re.compile(r"^\+F7:\d+:256:CurveSM2:([\d.]+):([\d.]+)", re.M)
_MESSAGE = b"m" * 20
_BATCH = 20


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: ours and OpenSSL's, operations per CPU second; no OpenSSL with SM2: None."""

    ours: float
    theirs: float | None


def figure(bench: Bench) -> list[Row]:
    return rows(measure(bench.rounds))


def rows(measured: dict[str, list[Pair]]) -> list[Row]:
    """The median of each; the note says the median of the rounds' own ratios."""
    made = []
    for name, pairs in measured.items():
        theirs = [pair.theirs for pair in pairs if pair.theirs]
        ratios = [pair.ours / pair.theirs for pair in pairs if pair.theirs]
        note = (
            f"ours reaches {median(ratios):.2f} of it (aim: {AIM})" if ratios else "not installed: apt-get install openssl (3.0 or newer)"
        )
        made.append(Row(name, median(pair.ours for pair in pairs), "openssl speed", median(theirs) if theirs else None, PER_SECOND, note))
    return made


def measure(rounds: int, seconds: int = 1) -> dict[str, list[Pair]]:
    """``seconds`` of CPU for each operation and contender, ``rounds`` times in turn."""
    with tempfile.TemporaryDirectory(prefix="fujie-bench-") as folder:
        keystore = SoftwareKeyStore.create(Path(folder) / "kek")
        key = keystore.generate(Algorithm.SM2, Purpose.SEALS)
        signature = keystore.sign(key, _MESSAGE, Purpose.SEALS)

        def verify() -> None:
            assert sm2.verify(key.public, _MESSAGE, signature)

        measured: dict[str, list[Pair]] = {"sign SM2": [], "verify SM2": []}
        for _ in range(rounds):
            theirs = openssl_speed(seconds)
            ours = (rate(lambda: keystore.sign(key, _MESSAGE, Purpose.SEALS), seconds), rate(verify, seconds))
            for name, our, their in zip(measured, ours, theirs, strict=True):
                measured[name].append(Pair(our, their))
    return measured


def rate(operation: Callable[[], object], seconds: float) -> float:
    """Operations per second of this process's CPU time."""
    operation()
    began, done = time.process_time(), 0
    while (spent := time.process_time() - began) < seconds:
        for _ in range(_BATCH):
            operation()
        done += _BATCH
    return done / spent


def openssl_speed(seconds: int) -> tuple[float | None, float | None]:
    """Signatures and verifications per CPU second; nothing where there is no OpenSSL that knows SM2."""
    program = shutil.which("openssl")
    if program is None:
        return None, None
    done = subprocess.run([program, "speed", "-seconds", str(seconds), "-mr", "sm2"], capture_output=True, text=True, check=False)
    found = _SPEED.search(done.stdout)
    return (float(found[1]), float(found[2])) if found else (None, None)
