"""Restart PostgreSQL, Valkey, S3, the web process, the workers and a subscriber at random while certificates are issued and events told.

Usage: python -m tests.attacks.campaign_restarts [--issues 10000] [--pause 2 8] [--seed N] [--judged 300] [--keep]

Every restart is a SIGKILL. Whoever asks asks again under the same key until there is an answer; three subscribers are told of everything,
one of them answers badly now and then, another is restarted like the rest. At the end nothing may be half-done, nothing may wait, and:
every acknowledged certificate is complete, every event was told to every subscriber at least once, and can be told from its repetition.
Exit 1 on any breach.
"""

import argparse
import asyncio
import datetime as dt
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from keys.base.clock import SystemClock
from tests.attacks.restart_checks import breaches, settled
from tests.attacks.restart_house import RestartHouse
from tests.attacks.restart_load import Asking, Subscriber

STILL_SECONDS = 300.0
SUBSCRIBER = "subscriber"
TARGETS = ("postgres", "valkey", "s3", "web", "worker-0", "worker-1", SUBSCRIBER)


@dataclass
class Campaign:
    """``faults``: which are restarted, one after the other; by chance until the last answer where none are named."""

    house: RestartHouse
    chance: random.Random
    issues: int
    pause: tuple[float, float] = (2.0, 8.0)
    faults: Sequence[str] = ()
    judged: int = 300
    say: Callable[[str], None] = print
    restarts: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)

    async def run(self) -> None:
        subscribers = [Subscriber("steady", self.chance), Subscriber("bad", self.chance, 0.1), Subscriber("restarted", self.chance)]
        asking = Asking(self.house, self.issues)
        async with AsyncExitStack() as stack:
            for one in subscribers:
                await stack.enter_async_context(one.receiver)
                await asking.subscribe(one)
            since, begun = SystemClock().now(), time.monotonic()
            load = asyncio.create_task(asking.run())
            await self._restart_at_random(load, subscribers[2], asking)
            await load
            seconds = time.monotonic() - begun
            await self._settle()
            self.breaches += await self._examine(asking, subscribers, since)
            self._tell(asking, subscribers, seconds)

    async def _restart_at_random(self, load: asyncio.Task[None], subscriber: Subscriber, asking: Asking) -> None:
        planned = list(self.faults)
        while planned or not (self.faults or load.done()):  # what is named is restarted, though a fast machine has issued all by then
            await asyncio.wait({load}, timeout=self.chance.uniform(*self.pause))
            if load.done() and not planned:
                return
            name = planned.pop(0) if planned else self.chance.choice(TARGETS)
            self.restarts[name] += 1
            begun = time.monotonic()
            if name == SUBSCRIBER:
                await subscriber.restart()
            elif name in ("postgres", "valkey"):
                self.house.restart(name)  # in this thread: they end with the thread that started them
            else:
                await asyncio.to_thread(self.house.restart, name)
            self.say(f"{name:12} back after {time.monotonic() - begun:4.1f} s; {len(asking.answered)} of {self.issues} acknowledged")
            if load.done():
                load.result()

    async def _settle(self) -> None:
        """Until nothing is half-done and nothing waits, or nothing has moved for a long time."""
        left, moved = await settled(self.house.database_url), time.monotonic()
        while sum(left) and time.monotonic() - moved < STILL_SECONDS:
            await asyncio.sleep(0.5)
            now = await settled(self.house.database_url)
            left, moved = now, time.monotonic() if now < left else moved
        if sum(left):
            self.breaches.append(
                f"nothing moved for {STILL_SECONDS:.0f} s, and {left[0]} certificates are half-done, {left[1]} events wait"
            )

    async def _examine(self, asking: Asking, subscribers: list[Subscriber], since: dt.datetime) -> list[str]:
        found = await breaches(self.house, asking, subscribers, since, self.judged)
        audit = await asyncio.to_thread(self.house.city.fujie, "audit", "verify")
        return found + ([f"fujie audit verify: {audit.returncode} {audit.stdout[-300:]}"] if audit.returncode else [])

    def _tell(self, asking: Asking, subscribers: list[Subscriber], seconds: float) -> None:
        told = "; ".join(f"{one.name} {len(one.good)} messages, {len({told.id for told in one.good})} events" for one in subscribers)
        self.say(f"{self.restarts.total()} restarts ({_words(self.restarts)}) during {self.issues} issues in {seconds:.0f} s")
        self.say(f"{asking.tries} requests for {len(asking.answered)} certificates; other answers: {_words(asking.other)}")
        self.say(f"told: {told}")
        self.say(f"BREACHES {len(self.breaches)}" + "".join(f"\n  {one}" for one in self.breaches[:40]))


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {count}" for what, count in sorted(counts.items())) or "none"


def run(
    issues: int, seed: int, *, faults: Sequence[str] = (), pause: tuple[float, float] = (2.0, 8.0), judged: int = 300, workers: int = 2,
    keep: bool = False, say: Callable[[str], None] = print,
) -> Campaign:  # fmt: skip
    """The whole campaign in a folder of its own; ``breaches`` is empty if all held."""
    house = RestartHouse(Path(tempfile.mkdtemp(prefix="fj-", dir="/tmp")), workers)
    campaign = Campaign(house, random.Random(seed), issues, pause, faults, judged, say)
    say(f"seed {seed}, {house.folder}")
    try:
        house.start()
        asyncio.run(campaign.run())
        house.stop()
    finally:
        if not keep:
            house.remove()
    return campaign


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--issues", type=int, default=10_000)
    parser.add_argument("--pause", type=float, nargs=2, default=(2.0, 8.0), help="seconds between restarts, from and to")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--judged", type=int, default=300, help="how many files are verified; all are compared with their hashes")
    parser.add_argument("--keep", action="store_true", help="keep the folder for a look afterwards")
    chosen = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))  # and everything it started is ended on the way out
    campaign = run(chosen.issues, chosen.seed, pause=tuple(chosen.pause), judged=chosen.judged, keep=chosen.keep)
    return 1 if campaign.breaches else 0


if __name__ == "__main__":
    raise SystemExit(main())
