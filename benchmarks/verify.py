"""Verifying a sealed certificate: in this process, and in the sandbox as the service does it."""

import datetime as dt
import resource
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.cpu import Forks, own_seconds
from benchmarks.measure import Contender, Cost, Turns, take_turns
from benchmarks.parts import against
from benchmarks.peers import pyhanko
from benchmarks.peers.installing import NotInstalled, java
from benchmarks.peers.program import program
from benchmarks.rows import WALL_MS, Row
from keys.base.clock import SystemClock
from seal.sandbox import CORE, verify_guarded
from seal.trust import Trust
from seal.verdict import Indication
from seal.verdict_memory import VerdictMemory
from seal.verification import verify

PDFBOX, PDFSIG = "PDFBox 2 + BouncyCastle", "pdfsig (poppler)"
NOTES = {
    "pyHanko": "the same file: PAdES, path and CRLs only; ours also judges the SM2 stamp, the seal and its maker",
    PDFBOX: "as above; warmed-up JVM",
    PDFSIG: "a process for each file, start included; neither path nor revocation",
}


def figure(bench: Bench) -> list[Row]:
    sample, now = bench.sample, SystemClock().now()
    ours = {
        "ours": Contender(judging(verify, sample.stamped, sample.trust, now)),
        "pyHanko": Contender(_pyhanko(bench, now), count=6),
    }
    costs, missing = against(ours, {PDFBOX: pdfbox, PDFSIG: pdfsig}, bench)
    judged = costs.pop("ours").total
    guarded, note = _guarded(sample.stamped, sample.trust, now, bench.rounds)
    rows = [Row("verify, in process", judged, name, cost.total, note=NOTES[name]) for name, cost in costs.items()]
    rows += [Row("verify, in process", judged, name, None, note=why) for name, why in missing.items()]
    return [
        *rows,
        Row("verify, a file known by its hash", _remembered(sample.stamped, sample.trust, now, bench.rounds).total, "", None),
        Row("verify, in the sandbox", guarded.total, "", None, note=note),
        Row("verify, in the sandbox", guarded.wall, "", None, WALL_MS, "a fresh child with limits for each file"),
    ]


def measure(pdf: bytes, trust: Trust, at: dt.datetime, rounds: int, count: int = 20) -> Cost:
    """In this process."""
    return take_turns({"ours": Contender(judging(verify, pdf, trust, at), count=count)}, rounds, warm_up=3)["ours"]


def judging(judge: Callable[..., object], pdf: bytes, trust: Trust, at: dt.datetime) -> Callable[[int], None]:
    def once(_: int) -> None:
        verdict = judge(pdf, trust, at)
        assert verdict.indication is Indication.TOTAL_PASSED, verdict  # type: ignore[attr-defined]

    return once


def _remembered(pdf: bytes, trust: Trust, at: dt.datetime, rounds: int) -> Cost:
    """SHA-256 of the file and a look into the memory of this minute's verdicts."""
    memory = VerdictMemory()
    memory.keep(sha256(pdf).digest(), trust, at, verify(pdf, trust, at))

    def once(_: int) -> None:
        assert memory.recall(sha256(pdf).digest(), trust, at) is not None

    return take_turns({"ours": Contender(once, count=500)}, rounds, warm_up=3)["ours"]


def _guarded(pdf: bytes, trust: Trust, at: dt.datetime, rounds: int) -> tuple[Cost, str]:
    once = judging(verify_guarded, pdf, trust, at)
    once(0)
    try:
        forks = Forks(CORE._process.pid)  # type: ignore[union-attr]  # the room and, from now on, its children
    except OSError as error:
        cost = take_turns({"ours": Contender(once)}, rounds)["ours"]
        return cost, f"only our side: the kernel does not count the child for us ({error.strerror})"
    try:
        meter: Callable[[], Mapping[str, float]] = lambda: {"own": own_seconds(), "sandbox": forks.seconds()}  # noqa: E731
        cost = take_turns({"ours": Contender(once, meter)}, rounds)["ours"]
    finally:
        forks.close()
    return cost, f"asking {cost.of('own'):.1f} + fork, judge, end of the child {cost.of('sandbox'):.1f}"


def _pyhanko(bench: Bench, at: dt.datetime) -> Callable[[int], object]:
    judge = pyhanko.judging(list(bench.sample.trust.certificates), [], at)
    return lambda _: judge(bench.sample.stamped)


def _stamped(bench: Bench) -> Path:
    path = bench.folder / "stamped.pdf"
    path.write_bytes(bench.sample.stamped)
    return path


def pdfbox(bench: Bench) -> AbstractContextManager[Turns]:
    root = bench.folder / "fujie-root.der"
    root.write_bytes(bench.sample.material.signer_chain[-1])
    return program([*java().command, "verify", str(_stamped(bench)), str(root), "200", "30"], bench.folder)


def pdfsig(bench: Bench) -> AbstractContextManager[Turns]:
    found, path = shutil.which("pdfsig"), _stamped(bench)
    if found is None:
        raise NotInstalled("not installed: apt-get install poppler-utils")
    return nullcontext(Contender(lambda _: _ask(found, path), _children, count=5))


def _ask(program: str, path: Path) -> None:
    done = subprocess.run([program, "-nocert", str(path)], capture_output=True, check=False)
    if b"Signature is Valid" not in done.stdout:
        raise NotInstalled("this pdfsig does not accept the file")


def _children() -> Mapping[str, float]:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"children": used.ru_utime + used.ru_stime}
