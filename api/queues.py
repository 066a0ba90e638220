"""Whether anything waits, asked once for many queues: so that an idle process asks one cheap question, not ten.

Each step of the background that empties a queue goes on as before while something waits in it. While nothing does it rests, and is woken
by :meth:`Queues.watch`, which asks twice a second, or after :data:`LONGEST` whatever was answered: nothing depends on being woken, and
what another process queues, or one that was killed left behind, is seen as soon as what this process queues itself.
"""

import asyncio
import contextlib
from collections.abc import Mapping

import structlog
from sqlalchemy import text

from keys.base.db import Database
from keys.base.hot import Statement

log = structlog.get_logger("fujie.background")

ASK_SECONDS = 0.5
LONGEST = 15.0
"""Seconds between two turns of a step at most."""
WAITING: Mapping[str, str] = {
    "sequence": "SELECT FROM keys.audit_events WHERE position IS NULL",
    "time stamps": "SELECT FROM keys.timestamps WHERE token IS NULL",
    "events": "SELECT FROM certs.outbox WHERE published_at IS NULL UNION ALL SELECT FROM certs.deliveries WHERE state = 'waiting'",
    "batches": "SELECT FROM seal.batches WHERE status = 'running'",
    "bulk issuing": "SELECT FROM certs.bulk_issues WHERE state = 'running'",
    "bulk moves": "SELECT FROM certs.move_jobs WHERE finished_at IS NULL",
    "imports": "SELECT FROM certs.imports WHERE state IN ('waiting', 'running') AND content_key IS NOT NULL",
    "re-checks": "SELECT FROM certs.import_rechecks WHERE finished_at IS NULL",
    "scans": "SELECT FROM certs.scans WHERE state = 'waiting'",
    "search": "SELECT FROM certs.search_queue",
}
"""What waits for the step of that name; more than it can take just now is right, less never is: leases and times are the step's affair."""
_ASKED = Statement(text("SELECT " + ", ".join(f'EXISTS ({query}) AS "{name}"' for name, query in WAITING.items())))


class Queues:
    """The queues of one process's background."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bells = {name: asyncio.Event() for name in WAITING}

    def begin(self, name: str) -> None:
        """A turn of the step begins: what comes from now on is for the next."""
        if name in self._bells:
            self._bells[name].clear()

    async def rest(self, name: str, seconds: float, stopping: asyncio.Event) -> None:
        """Until the next turn: ``seconds`` at least, and longer while nothing waits; never past ``stopping``."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), seconds)
        if name in self._bells and seconds < LONGEST and not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bells[name].wait(), LONGEST - seconds)

    async def watch(self, stopping: asyncio.Event) -> None:
        """Ask until the process is to stop; whoever rests then is woken. While the answer does not come every step goes on as it would."""
        try:
            while not stopping.is_set():
                self._wake(await self._answer())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), ASK_SECONDS)
        finally:
            self._wake(frozenset(WAITING))

    def _wake(self, names: frozenset[str]) -> None:
        for name in names:
            self._bells[name].set()

    async def _answer(self) -> frozenset[str]:
        try:
            found = await self._database.hot.row(_ASKED, {})
        except Exception as error:
            log.warning("what waits could not be asked", error=type(error).__name__)
            return frozenset(WAITING)
        return frozenset(name for name in WAITING if found is None or found[name])
