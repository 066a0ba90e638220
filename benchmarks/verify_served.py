"""Verifying as the service does it: a file it has judged in this minute, known by its hash, and a new one in the sandbox."""

import contextlib
import datetime as dt
from collections.abc import Callable, Mapping
from hashlib import sha256

from benchmarks.bench import Bench
from benchmarks.cpu import Forks, own_seconds
from benchmarks.instance import STORES
from benchmarks.measure import Contender, Cost, take_turns
from benchmarks.rows import WALL_MS, Row
from benchmarks.wire import Wire
from seal.sandbox import CORE, FOREIGN, verify_guarded
from seal.trust import Trust
from seal.verdict import Indication
from seal.verdict_memory import VerdictMemory
from seal.verification import verify

_KNOWN, _HTTP = "verify, known by its hash", "verify, known by its hash, over HTTP"
_ASKED = "the file sent, hashed, and seal, record and trust asked of PostgreSQL every time"


def known_rows(bench: Bench, pdf: bytes, at: dt.datetime, peers: Mapping[str, float | None]) -> list[Row]:
    """In this process, and through a running instance. ``peers``: what each needs for the same file, which it does not remember."""
    own = _remembered(pdf, bench.sample.trust, at, bench.rounds).total
    served = take_turns({"ours": Contender(_asking(bench), bench.instance.cpu, count=30)}, bench.rounds)["ours"]
    stores = served.of(*STORES)
    web = served.total - stores
    note = f"our processes; PostgreSQL beside it {stores:.2f}; {_ASKED}"
    peers = peers or {"": None}
    rows = [Row(_KNOWN, own, peer, cost, note="SHA-256 of the file and a look; aim: 0.3 ms") for peer, cost in peers.items()]
    return [*rows, *(Row(_HTTP, web, peer, cost, note=note) for peer, cost in peers.items())]


def _remembered(pdf: bytes, trust: Trust, at: dt.datetime, rounds: int) -> Cost:
    memory = VerdictMemory()
    memory.keep(sha256(pdf).digest(), trust, at, verify(pdf, trust, at))

    def once(_: int) -> None:
        assert memory.recall(sha256(pdf).digest(), trust, at) is not None

    return take_turns({"ours": Contender(once, count=500)}, rounds, warm_up=3)["ours"]


def _asking(bench: Bench) -> Callable[[int], None]:
    wire, pdf = Wire(bench.instance.base_url), bench.sample.stamped

    def once(_: int) -> None:
        answer = wire.send("POST", "/api/v1/verify", headers={"Content-Type": "application/pdf"}, body=pdf)
        assert answer.json()["indication"] == Indication.TOTAL_PASSED

    return once


def sandbox_rows(bench: Bench, pdfs: Mapping[str, bytes], at: dt.datetime, peers: Mapping[str, float | None]) -> list[Row]:
    rows = []
    for name, pdf in pdfs.items():
        cost, note = _guarded(pdf, bench.sample.trust, at, bench.rounds)
        figure = f"verify {name}, in the sandbox"
        rows += [Row(figure, cost.total, peer, one, note=note) for peer, one in (peers or {"": None}).items()]
        rows.append(Row(figure, cost.wall, "", None, WALL_MS, "a fresh child with limits for each file"))
    return rows


def _guarded(pdf: bytes, trust: Trust, at: dt.datetime, rounds: int) -> tuple[Cost, str]:
    def once(_: int) -> None:
        verdict = verify_guarded(pdf, trust, at)
        assert verdict.indication is Indication.TOTAL_PASSED, verdict

    once(0)
    with contextlib.ExitStack() as stack:
        try:  # the rooms and, from now on, their children
            forks = [stack.enter_context(contextlib.closing(Forks(one.pid))) for one in (CORE, FOREIGN) if one.pid is not None]
        except OSError as error:
            cost = take_turns({"ours": Contender(once)}, rounds)["ours"]
            return cost, f"only our side: the kernel does not count the child for us ({error.strerror})"
        meter = lambda: {"own": own_seconds(), "sandbox": sum(one.seconds() for one in forks)}  # noqa: E731
        cost = take_turns({"ours": Contender(once, meter)}, rounds)["ours"]
    return cost, f"asking {cost.of('own'):.1f} + fork, judge, end of the child {cost.of('sandbox'):.1f}"
