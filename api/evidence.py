"""What the audit log does by itself: take in events, be stamped, be witnessed, be re-read whole; and how it stands."""

import datetime as dt
from collections.abc import Awaitable, Callable

import httpx2
import structlog
from prometheus_client import Gauge

from api.wiring import House
from keys.base.actor import SYSTEM
from keys.base.errors import FujieError
from keys.base.tls import web_trust
from keys.evidence.anchors import anchor, anchor_failed
from keys.evidence.halts import LogDamaged, LogHalted, halt
from keys.evidence.log import sequence_all
from keys.evidence.notes import VerifierKey
from keys.evidence.state import LogState, log_state
from keys.evidence.verify import verify_log
from keys.evidence.witnesses import ask_witness, collect, configured

log = structlog.get_logger("fujie.evidence")

SEQUENCE_SECONDS = 1.0
TRY_SECONDS = 30.0
"""How often a due anchor is tried; the period between anchors is ``FUJIE_ANCHOR_SECONDS``."""
REMINDER = dt.timedelta(minutes=1)
PAUSE = 0.02

SIZE = Gauge("fujie_log_size", "Events the audit log holds")
HALTED = Gauge("fujie_log_halted", "1 while the audit log is stopped because stored bytes differ from signed ones")
WAITING = Gauge("fujie_log_oldest_waiting_seconds", "Age of the oldest event without a place in the log")
UNANCHORED = Gauge("fujie_log_unanchored_events", "Events after the newest time-stamped checkpoint")
ANCHOR_LATE = Gauge("fujie_log_anchor_late", "1 while a checkpoint has waited three periods for its time stamp")
WITNESS_PROBLEMS = Gauge("fujie_log_witness_problems", "Witnesses whose last answer was no cosignature")


class Evidence:
    """The log's steps in the background of one process."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._reminded: dt.datetime | None = None
        self._unanchored = False

    def steps(self) -> dict[str, tuple[float, Callable[[], Awaitable[object]]]]:
        """Name → seconds between turns, and the step."""
        settings = self._house.settings
        return {
            "sequence": (SEQUENCE_SECONDS, self.sequence),
            "anchor": (min(TRY_SECONDS, settings.anchor_seconds), self.anchor),
            "witness": (settings.witness_seconds, self.witness),
            "re-read": (settings.audit_seconds, self.reread),
        }

    async def sequence(self) -> None:
        """Take in what waits; a log that stopped says so every minute, not every second."""
        house = self._house
        try:
            await sequence_all(house.database, house.keystore, house.clock)
        except LogDamaged as error:
            log.critical("the audit log is damaged and has stopped", problem=error.detail)
        except LogHalted as error:
            now = house.clock.now()
            if self._reminded is None or now - self._reminded >= REMINDER:
                self._reminded = now
                log.critical("the audit log stands still", problem=error.detail)

    async def anchor(self) -> None:
        """Stamp the newest checkpoint once the last anchor is old enough; a failure is an event when it begins, not at every turn."""
        house = self._house
        try:
            await anchor(house.database, house.clock, house.timestamps, period=house.settings.anchor_period)
            self._unanchored = False
        except FujieError as error:
            log.warning("no time stamp for the audit log", code=error.code, detail=error.detail)
            if not self._unanchored:
                self._unanchored = True
                await anchor_failed(house.database, house.clock.now(), error.code)

    async def witness(self) -> None:
        """Ask the witnesses; what the settings name is asked from now on."""
        house = self._house
        await self._take_settings()
        async with httpx2.AsyncClient(trust_env=False, verify=web_trust()) as client:
            for asked in await collect(house.database, house.clock, client):
                if asked.alarming:
                    log.critical("a witness saw another log", witness=asked.witness, problem=asked.problem)
                elif asked.problem is not None:
                    log.warning("a witness did not cosign", witness=asked.witness, problem=asked.problem)

    async def _take_settings(self) -> None:
        house = self._house
        async with house.database.session() as session:
            known = {row.vkey: row.url for row in await configured(session)}
        for vkey, url in house.settings.witness_list:
            if known.get(vkey) != url.rstrip("/"):
                await ask_witness(house.database, house.clock.now(), SYSTEM, VerifierKey.parse(vkey), url)

    async def reread(self) -> None:
        """Re-read the whole log, gently; what differs stops it."""
        house = self._house
        report = await verify_log(house.database, pause=PAUSE)
        if not report.whole and await halt(house.database, house.clock.now(), report.problems[0]):
            log.critical("the audit log is damaged and has stopped", problem=report.problems[0], problems=len(report.problems))


async def observe(house: House) -> LogState:
    """How the log stands now, also as figures for Prometheus."""
    now = house.clock.now()
    async with house.database.session() as session:
        state = await log_state(session, now, house.settings.anchor_period)
    SIZE.set(state.size)
    HALTED.set(state.halted is not None)
    WAITING.set((now - state.oldest_waiting).total_seconds() if state.oldest_waiting else 0)
    UNANCHORED.set(state.size - state.anchored)
    ANCHOR_LATE.set(state.anchor_late)
    WITNESS_PROBLEMS.set(len(state.witness_problems))
    return state
