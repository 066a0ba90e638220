"""Verifying at every level: our own profile and PDFs of others, in this process, in the sandbox, and known by their hash.

Each file is judged once, so that no answer about its own signatures is at hand; chains and lists are those of one city, as in life.
"""

import asyncio
import datetime as dt
import hashlib
import resource
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.measure import MOST, Contender, Cost, Turns, take_turns
from benchmarks.parts import against
from benchmarks.peers import pyhanko
from benchmarks.peers.installing import NotInstalled, java
from benchmarks.peers.program import program
from benchmarks.raised import Raised, raise_levels
from benchmarks.rows import Row
from benchmarks.verify_served import known_rows, sandbox_rows
from keys.base.clock import SystemClock
from keys.custody import sm2
from keys.custody.sm2 import sm3
from keys.custody.store import Purpose
from keys.custody.verifying import ECDSA_WITH_SHA256, algorithm_identifier, verify_signature
from seal.levels import look
from seal.trust import Trust
from seal.verdict import Indication
from seal.verification import verify

PDFBOX, PDFSIG, PYHANKO = "PDFBox 2 + BouncyCastle", "pdfsig (poppler)", "pyHanko"
FLOOR = "SM3 and SHA-256 of the file, one SM2 and one P-256 verified"
COUNT, PEER_COUNT = 10, 4
OTHERS = "PDF of others"
LEVELS = {"B-B": "aim: 1.5 ms", "B-T": "with a time stamp", "B-LTA": "with two time stamps and OCSP answers", OTHERS: ""}
NOTES = {
    PYHANKO: "the same files: PAdES, paths and CRLs only; ours also judges the SM2 stamp, the seal and its maker; aim: 8 times faster",
    PDFSIG: "a process for each file, start included; neither path nor revocation; aim: 8 times faster",
}
NOTES_OTHERS = {
    PYHANKO: "PAdES alone; ours reads with pyHanko too, judges chains and what changed by itself; no aim is set",
    PDFSIG: "a process for each file, start included; neither path nor revocation; no aim is set",
}


def figure(bench: Bench) -> list[Row]:
    files = asyncio.run(raise_levels(bench.instance, bench.sample, COUNT * (bench.rounds + 1)))
    now = SystemClock().now()
    by_level = dict(zip(LEVELS, (files.b_b, files.b_t, files.b_lta, files.plain), strict=True))
    ours: dict[str, Turns] = {name: Contender(_each(pdfs, bench.sample.trust, now), count=COUNT) for name, pdfs in by_level.items()}
    theirs: dict[str, Turns] = {
        _peer(PYHANKO, name): Contender(_pyhanko(bench, pdfs, now), count=PEER_COUNT) for name, pdfs in by_level.items()
    }
    started = {_peer(PDFSIG, name): pdfsig(name, pdfs[0]) for name, pdfs in by_level.items()}
    costs, missing = against(ours | theirs | {FLOOR: Contender(_floor(bench, files))}, {PDFBOX: pdfbox, **started}, bench)
    peers = {peer: costs[_peer(peer, "B-B")].total for peer in (PYHANKO, PDFSIG) if _peer(peer, "B-B") in costs}
    guarded = {name: by_level[name][0] for name in ("B-B", OTHERS)}
    return [*_levels(costs, missing), *known_rows(bench, files.b_b[1], now, peers), *sandbox_rows(bench, guarded, now, peers)]


def _peer(peer: str, level: str) -> str:
    return f"{peer}, {level}"


def _levels(costs: dict[str, Cost], missing: dict[str, str]) -> list[Row]:
    own = costs["B-B"].total
    rows = [Row("verify B-B", own, FLOOR, costs[FLOOR].total, note=f"what no implementation can do without; {LEVELS['B-B']}")]
    rows.append(Row("verify B-B", own, PDFBOX, costs[PDFBOX].total if PDFBOX in costs else None, note=missing.get(PDFBOX, "warmed-up JVM")))
    for level, what in LEVELS.items():
        notes = NOTES_OTHERS if level == OTHERS else NOTES
        for peer, note in notes.items():
            cost = costs.get(_peer(peer, level))
            said = "; ".join(part for part in (what, note) if part) if cost else missing[_peer(peer, level)]
            rows.append(Row(f"verify {level}", costs[level].total, peer, cost.total if cost else None, note=said))
    return rows


def measure(pdf: bytes, trust: Trust, at: dt.datetime, rounds: int, count: int = 20) -> Cost:
    """In this process."""
    return take_turns({"ours": Contender(judging(verify, pdf, trust, at), count=count)}, rounds, warm_up=3)["ours"]


def judging(judge: Callable[..., object], pdf: bytes, trust: Trust, at: dt.datetime) -> Callable[[int], None]:
    def once(_: int) -> None:
        verdict = judge(pdf, trust, at)
        assert verdict.indication is Indication.TOTAL_PASSED, verdict  # type: ignore[attr-defined]

    return once


def _each(pdfs: Sequence[bytes], trust: Trust, at: dt.datetime) -> Callable[[int], None]:
    """Another file each time; those of the warm-up are the last."""

    def once(number: int) -> None:
        verdict = verify(pdfs[(number // MOST - 1) * COUNT + number % MOST], trust, at)
        assert verdict.indication is Indication.TOTAL_PASSED, verdict

    return once


def _floor(bench: Bench, files: Raised) -> Callable[[int], object]:
    """Each octet hashed with both digests, both signatures verified, and nothing else."""
    sample, pdf, message = bench.sample, files.b_b[0], b"m" * 200
    place = look(pdf).last
    covered = pdf[: place.start] + pdf[place.end :]
    keys = sample.material.sm_key, sample.material.signer_key
    sm, p256 = ((key.public, sample.keystore.sign(key, message, Purpose.SEALS)) for key in keys)
    algorithm = algorithm_identifier(ECDSA_WITH_SHA256)

    def once(_: int) -> None:
        sm3(covered), hashlib.sha256(covered).digest()
        assert sm2.verify(sm[0], message, sm[1])
        assert verify_signature(p256[0], algorithm, message, p256[1])

    return once


def _pyhanko(bench: Bench, pdfs: Sequence[bytes], at: dt.datetime) -> Callable[[int], object]:
    judge = pyhanko.judging(list(bench.sample.trust.certificates), [], at)
    return lambda number: judge(pdfs[number % COUNT])


def pdfbox(bench: Bench) -> AbstractContextManager[Turns]:
    path, root = bench.folder / "stamped.pdf", bench.folder / "fujie-root.der"
    path.write_bytes(bench.sample.stamped)
    root.write_bytes(bench.sample.material.signer_chain[-1])
    return program([*java().command, "verify", str(path), str(root), "200", "30"], bench.folder)


def pdfsig(name: str, pdf: bytes) -> Callable[[Bench], AbstractContextManager[Turns]]:
    """A process of its own for each file."""

    def start(bench: Bench) -> AbstractContextManager[Turns]:
        found, path = shutil.which("pdfsig"), bench.folder / f"pdfsig-{name}.pdf"
        if found is None:
            raise NotInstalled("not installed: apt-get install poppler-utils")
        path.write_bytes(pdf)
        return nullcontext(Contender(lambda _: _ask(found, path), _children, count=5))

    return start


def _ask(program: str, path: Path) -> None:
    done = subprocess.run([program, "-nocert", str(path)], capture_output=True, check=False)
    if b"Signature is Valid" not in done.stdout:
        raise NotInstalled("this pdfsig does not accept the file")


def _children() -> Mapping[str, float]:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"children": used.ru_utime + used.ru_stime}
