"""What runs beside the requests: the log's sequencer, the sweeper of interrupted issuing, forgetting what is past use."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from api.wiring import House
from certs.rewrapping import SEALED
from certs.sweeping import sweep
from identity import grant_statements, sessions, throttle
from identity.rewrapping import Rewrapping
from keys.custody.errors import KeyStoreUnavailable
from keys.evidence.log import sequence_all
from keys.rotation import tend

log = structlog.get_logger("fujie.background")

SEQUENCE_SECONDS = 1.0
SWEEP_SECONDS = 5.0
FORGET_SECONDS = 3600.0
TEND_SECONDS = 2.0
REWRAP_SECONDS = 5.0


async def _every(seconds: float, name: str, step: Callable[[], Awaitable[object]]) -> None:
    """Repeat ``step``; a failure is logged and tried again at the next turn."""
    while True:
        try:
            await step()
        except KeyStoreUnavailable as error:
            log.warning("background step waits for the key device", step=name, code=error.code)
        except Exception:
            log.exception("background step failed", step=name)
        await asyncio.sleep(seconds)


async def _forget(house: House) -> None:
    """Drop ended sessions and spent counters once nobody needs them."""
    async with house.database.begin() as session:
        await sessions.forget_old(session, house.clock.now())
        await throttle.forget_old(session, house.clock.now())
        await grant_statements.forget_old(session, house.clock.now())


@contextlib.asynccontextmanager
async def background(house: House) -> AsyncIterator[None]:
    """Run the steps until leaving; then sequence what the last requests wrote."""
    steps = {
        "sequence": (SEQUENCE_SECONDS, lambda: sequence_all(house.database, house.keystore, house.clock)),
        "sweep": (SWEEP_SECONDS, lambda: sweep(house.issuing)),
        "forget": (FORGET_SECONDS, lambda: _forget(house)),
        "token keys": (TEND_SECONDS, lambda: tend(house.database, house.keystore, house.clock, house.rotation)),
        "rewrap": (REWRAP_SECONDS, Rewrapping(house.database, house.personal, house.clock, SEALED).step),
    }
    tasks = [asyncio.create_task(_every(seconds, name, step), name=name) for name, (seconds, step) in steps.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(KeyStoreUnavailable):  # the key device is away: the next start puts it into the log
            await sequence_all(house.database, house.keystore, house.clock)
