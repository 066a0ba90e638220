"""Kill the house again and again while it issues certificates, and see that nothing is lost, doubled or half-done.

Usage: python -m tests.attacks.campaign_kills [--kills 50] [--seed N] [--web 1] [--keep]

One demonstration home. Each round: start, let several clients ask at once, SIGKILL at a random moment, start again, compare what
is there with what was acknowledged; mostly wait for the sweeper first, sometimes go on and kill it at its work as well.
Exit 1 on any breach.
"""

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

import httpx2

from tests.attacks.kill_clients import ANSWER_SECONDS, ISSUE, Approver, Ledger, Load, Request, approver_of, send
from tests.attacks.kill_invariants import (
    Debris,
    Files,
    Row,
    Snapshot,
    all_checks,
    audited,
    database_url,
    debris,
    kill_at_once,
    leaked,
    plain_url,
    processes_below,
    snapshot,
    still_there,
)
from tests.running import City, free_port

SETTLE_SECONDS = 90.0
GONE_SECONDS = 20.0
WARM_SECONDS = 3.0
READS_A_ROUND = 12
COLD_SHARE = 1 / 3


class Way(StrEnum):
    """What is killed. ``SERVE``: the serving process alone, its servers shut down in order. ``ALL``: everything at one stroke,
    the database included, as in a power cut. ``WORKER``: first a worker at its work, the house a moment later.
    """

    SERVE = "serve"
    ALL = "all"
    WORKER = "worker"


@dataclass
class Tally:
    """What the campaign saw."""

    kills: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)  # where the open requests stood when they were struck
    settled: int = 0
    retried: int = 0
    file_reads: int = 0
    replays: int = 0
    refused_reads: int = 0
    breaches: list[str] = field(default_factory=list)
    start_seconds: list[float] = field(default_factory=list)


@dataclass
class Campaign:
    """One home and everything known about it. ``duration``: seconds one issuing takes with all clients at work."""

    city: City
    chance: random.Random
    ledger: Ledger = field(default_factory=Ledger)
    tally: Tally = field(default_factory=Tally)
    kept: list[str] = field(default_factory=list)
    say: Callable[[str], None] = print
    ways: tuple[Way, ...] = ()  # one after the other; by chance if there are none
    duration: float = 1.0
    warm_seconds: float = WARM_SECONDS
    files: Files = field(init=False)
    approver: Approver = field(init=False)

    def __post_init__(self) -> None:
        self.files = Files(self.city)

    def begin(self) -> None:
        """Make the home, log the approver in, and measure how long an issuing takes."""
        self.city.start()
        self.approver = asyncio.run(approver_of(self.city))
        asyncio.run(self._warm_up())
        self.duration = statistics.median(self.ledger.seconds)
        self.say(f"one issuing takes {self.duration * 1000:.0f} ms with all clients at work")

    async def _warm_up(self) -> None:
        load = self._load(0)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(self.warm_seconds)
        load.quiet.set()
        await running

    def _load(self, round_: int) -> Load:
        return Load(self.city, self.ledger, self.approver, self.chance, round_, plain_url(self.city))

    def round(self, number: int, *, settle: bool) -> None:
        """One kill and the examination after it."""
        way = self.ways[(number - 1) % len(self.ways)] if self.ways else self.chance.choices(list(Way), (5, 3, 2))[0]
        self._keep_checkpoint()
        below = asyncio.run(self._strike(number, way))
        self._expect_gone(below)
        self.tally.breaches += leaked(self.city)
        begun = time.monotonic()
        self.city.start()
        self.tally.start_seconds.append(time.monotonic() - begun)
        asyncio.run(self._examine(number, way, settle=settle))

    async def _strike(self, number: int, way: Way) -> dict[int, str]:
        """Let the clients ask and kill at a moment spread evenly over two issuings; every process that ran then.

        One time in three the count begins with the first request after the start, else when the house is at full work.
        """
        assert self.city.process is not None
        await self._renew()
        load = self._load(number)
        running = asyncio.create_task(load.run())
        answered = len(self.ledger.seconds) + (0 if self.chance.random() < COLD_SHARE else load.clients)
        while (f"kill-{number}-1" not in self.ledger.sent or len(self.ledger.seconds) < answered) and not running.done():
            await asyncio.sleep(0.002)
        await asyncio.sleep(self.chance.uniform(0, 2 * self.duration))
        if way is Way.WORKER:
            self._kill_a_worker()
            await asyncio.sleep(self.chance.uniform(0, 2 * self.duration))
        below = processes_below(self.city.process.pid)
        kill_at_once(list(below) if way is Way.ALL else [self.city.process.pid])
        self.city.process.wait()
        load.quiet.set()
        await running
        self.tally.kills[way] += 1
        return below

    def _kill_a_worker(self) -> None:
        assert self.city.process is not None
        below = processes_below(self.city.process.pid)
        workers = [pid for pid in below if b"--multiprocessing-fork" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        if workers:
            kill_at_once([self.chance.choice(workers)])

    def _expect_gone(self, below: dict[int, str]) -> None:
        """Nothing of the home outlives the kill."""
        deadline = time.monotonic() + GONE_SECONDS
        while (alive := still_there(below)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if alive or self.city.children():
            self.tally.breaches.append(f"orphans after the kill: {alive} {self.city.children()}")
            kill_at_once(alive)

    def _keep_checkpoint(self) -> None:
        """A checkpoint seen from outside must be found again for ever."""
        self.kept = [*self.kept[-20:], httpx2.get(f"{self.city.base_url}/log/checkpoint", trust_env=False, timeout=30).text]

    async def _renew(self) -> None:
        async with self._http() as http:
            await self.approver.renew(http)

    def _http(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.city.base_url, trust_env=False, timeout=ANSWER_SECONDS)

    async def _examine(self, number: int, way: Way, *, settle: bool) -> None:
        found = await snapshot(plain_url(self.city))
        struck = self._classify(found, number)
        breaches = all_checks(found, self.files, self.ledger, self.city, settled=False)
        breaches += await self._not_served(found)
        breaches += (await audited(database_url(self.city), self.kept)).problems
        if settle:
            breaches += await self._settle()
            found = await snapshot(plain_url(self.city))
            breaches += all_checks(found, self.files, self.ledger, self.city, settled=True)
            breaches += await self._promises_over_http()
            self.tally.settled += 1
        self.tally.breaches += breaches
        mark = "✗ " + "; ".join(breaches[:3]) if breaches else "✓"
        self.say(
            f"{number:4} {way:7} struck {words(struck)}  issued {len(found.at('issued'))} {'settled' if settle else 'not settled'} {mark}"
        )

    def _classify(self, found: Snapshot, number: int) -> Counter[str]:
        """Where this round's requests stood: not begun, reserved, or done but never answered."""
        stages = {row["number"]: row["stage"] for row in found.certificates}
        mine = [one for one in self.ledger.open if one.key.startswith(f"kill-{number}-")]
        struck = Counter(stages.get(one.body["approval_number"], "not begun") for one in mine)
        self.tally.struck += struck
        return struck

    async def _not_served(self, found: Snapshot) -> list[str]:
        """What is not issued is neither handed out nor confirmed."""
        breaches = []
        headers = self.city.token("approvals", ISSUE) | {"Purpose": "kill"}
        async with self._http() as http:
            for row in found.at("reserved", "void")[:READS_A_ROUND]:
                self.tally.refused_reads += 1
                file = await http.get(f"/api/v1/certificates/{row['id']}/file", headers=headers)
                code = await http.get(f"/api/v1/verify/{row['verification_code'] or 'none'}")
                if file.status_code == 200 and not await self._now_issued(row["id"]):
                    breaches.append(f"{row['stage']} {row['identifier']}: its file was served")
                if code.status_code == 200 and not await self._now_issued(row["id"]):
                    breaches.append(f"{row['stage']} {row['identifier']}: its code was confirmed")
        return breaches

    async def _now_issued(self, certificate: str) -> bool:
        """The sweeper may have finished it in between."""
        return certificate in {row["id"] for row in (await snapshot(plain_url(self.city))).at("issued")}

    async def _settle(self) -> list[str]:
        """Half of the clients ask again at once, as clients do; the sweeper does the rest. Then nothing may be half-done."""
        breaches = await self._retry([one for one in self.ledger.open if self.chance.random() < 0.5])
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            if not (await snapshot(plain_url(self.city))).at("reserved"):
                return breaches + await self._retry(self.ledger.open)
            await asyncio.sleep(0.5)
        return [*breaches, f"the sweeper did not finish within {SETTLE_SECONDS:.0f} s"]

    async def _retry(self, requests: list[Request]) -> list[str]:
        headers = {name: self.city.token(name, ISSUE) for name in ("approvals", "window")}
        self.tally.retried += len(requests)
        breaches = []
        async with self._http() as http:
            answers = await asyncio.gather(*(self._until_answered(http, one, headers[one.client]) for one in requests))
        for request, answer in zip(requests, answers, strict=True):
            if answer.status_code not in (201, 202):
                breaches.append(f"{request.key}: asked again, answered {answer.status_code} {answer.text[:200]}")
        return breaches

    async def _until_answered(self, http: httpx2.AsyncClient, request: Request, headers: dict[str, str]) -> httpx2.Response:
        answer = await send(http, self.ledger, request, headers)
        for _ in range(4):
            if answer.status_code != 409 or answer.json()["code"] != "ISSUING_IN_PROGRESS":
                break
            await asyncio.sleep(float(answer.headers["Retry-After"]))
            answer = await send(http, self.ledger, request, headers)
        return answer

    async def _promises_over_http(self, *, everything: bool = False) -> list[str]:
        """Acknowledged certificates are fetched and asked for again by their keys: the same file, the same answer."""
        keys = [key for key in self.ledger.sent if self.ledger.answer(key)]
        sample = keys if everything else self.chance.sample(keys, min(len(keys), READS_A_ROUND))
        headers = {name: self.city.token(name, ISSUE) for name in ("approvals", "window")}
        found = {row["id"]: row for row in (await snapshot(plain_url(self.city))).certificates}
        breaches = []
        async with self._http() as http:
            for key in sample:
                breaches += await self._promise(http, key, found, headers[self.ledger.sent[key].client])
        return breaches

    async def _promise(self, http: httpx2.AsyncClient, key: str, found: dict[str, Row], headers: dict[str, str]) -> list[str]:
        told = self.ledger.answer(key)
        assert told is not None
        again = await http.post("/api/v1/approvals", json=self.ledger.sent[key].body, headers=headers | {"Idempotency-Key": key})
        self.tally.replays += 1
        breaches = [] if again.json() == told else [f"{key}: asked again, answered {again.status_code} {again.text[:200]}"]
        if found[told["id"]]["stage"] != "issued":
            return breaches
        self.tally.file_reads += 1
        file = await http.get(f"/api/v1/certificates/{told['id']}/file", headers=headers | {"Purpose": quote("核对")})
        data = self.files.whole(found[told["id"]]["document_hash"])
        record = await http.get(f"/api/v1/verify/{told['verification_code']}")
        if file.status_code != 200 or file.content != data:
            breaches.append(f"{key}: the file is answered {file.status_code}")
        if record.status_code != 200 or record.json()["certificate"]["identifier"] != told["identifier"]:
            breaches.append(f"{key}: the code is answered {record.status_code}")
        return breaches

    def finish(self) -> Debris:
        """Everything once more, with every promise asked for; then ``fujie verify`` and ``fujie audit verify`` as anybody runs them."""
        found = asyncio.run(snapshot(plain_url(self.city)))
        self.tally.breaches += asyncio.run(self._promises_over_http(everything=True))
        names = [str(self.files.path(bytes(row["document_hash"]))) for row in found.at("issued")]
        for start in range(0, len(names), 200):
            judged = self.city.fujie("verify", *names[start : start + 200])
            if judged.returncode != 0:
                self.tally.breaches.append(f"fujie verify: exit {judged.returncode} {judged.stdout[-300:]}")
        stopped = self.city.stop()
        audit = self.city.fujie("audit", "verify")
        if stopped != 0 or audit.returncode != 0:
            self.tally.breaches.append(f"stop {stopped}, fujie audit verify {audit.returncode} {audit.stdout[-300:]}")
        self.say(audit.stdout.strip())
        return debris(found, self.files)


def words(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {count}" for what, count in sorted(counts.items())) or "none"


def summary(campaign: Campaign, left: Debris, found: Snapshot, seconds: float) -> str:
    tally, ledger = campaign.tally, campaign.ledger
    stages = Counter(row["stage"] for row in found.certificates)
    unspent = sum(row["consumed_at"] is None for row in found.permits)
    return "\n".join(
        [
            f"{tally.kills.total()} kills {words(tally.kills)} in {seconds:.0f} s; settled and examined whole after {tally.settled}",
            f"requests {len(ledger.sent)}: acknowledged 201 {len(ledger.issued)}, 202 {len(ledger.parked)}, stamped {len(ledger.stamped)}; "
            f"other answers {words(ledger.odd)}",
            f"struck while open {words(tally.struck)}; asked again {tally.retried}; permits never spent {unspent}",
            f"certificates {words(stages)}; files judged TOTAL_PASSED {len(campaign.files.accepted)}; "
            f"fetched {tally.file_reads}, keys replayed {tally.replays}, unissued asked for {tally.refused_reads}",
            f"left in the store: {left.orphans} orphans, {left.unfinished} unfinished, {left.damaged} damaged",
            f"restart {statistics.median(tally.start_seconds):.1f} s (median), {max(tally.start_seconds):.1f} s at most",
            f"BREACHES {len(tally.breaches)}" + "".join(f"\n  {one}" for one in tally.breaches[:40]),
        ]
    )


def run(
    home: Path,
    kills: int,
    seed: int,
    *,
    web: int = 1,
    ways: tuple[Way, ...] = (),
    settle_share: float = 0.75,
    warm_seconds: float = WARM_SECONDS,
    say: Callable[[str], None] = print,
) -> Campaign:
    """The whole campaign in an empty ``home``; ``tally.breaches`` is empty if all held."""
    chance = random.Random(seed)
    city = City(home, free_port(), more={"FUJIE_WORKERS": str(web)})
    campaign = Campaign(city, chance, say=say, ways=ways, warm_seconds=warm_seconds)
    begun = time.monotonic()
    say(f"seed {seed}")
    try:
        campaign.begin()
        for number in range(1, kills + 1):
            campaign.round(number, settle=number == kills or chance.random() < settle_share)
        found = asyncio.run(snapshot(plain_url(city)))
        left = campaign.finish()
    finally:
        city.kill()
    say(summary(campaign, left, found, time.monotonic() - begun))
    return campaign


def remove_home(home: Path) -> None:
    """The home, and what its database keeps elsewhere where it may not run as root."""
    moved = home / "postgres" / "moved-to"
    if moved.is_file():
        shutil.rmtree(moved.read_text().strip(), ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--web", type=int, default=1, help="web processes (FUJIE_WORKERS)")
    parser.add_argument("--keep", action="store_true", help="keep the home for a look afterwards")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fujie-kills-"))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        campaign = run(folder / "home", chosen.kills, chosen.seed, web=chosen.web)
    finally:
        if chosen.keep:
            print(f"kept: {folder}")
        else:
            remove_home(folder / "home")
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if campaign.tally.breaches else 0


if __name__ == "__main__":
    raise SystemExit(main())
