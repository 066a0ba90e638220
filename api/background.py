"""What runs beside the requests: the log's sequencer, the sweeper of interrupted issuing, forgetting what is past use."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from api.evidence import Evidence
from api.sealing import sealing_of
from api.wiring import House
from certs.rewrapping import SEALED
from certs.sweeping import sweep
from identity import grant_statements, sessions, throttle
from identity.rewrapping import Rewrapping
from keys.custody.errors import KeyStoreUnavailable
from keys.kek_rotation import finish
from keys.pki.ocsp import OcspService
from keys.rotation import tend
from keys.time.queue import obtain
from keys.trust.answers import refresh_all
from seal.alerts import watch_uses
from seal.batch_work import work_until_done
from seal.changes import expire_seals
from seal.document_carrying import sweep_requests
from seal.upgrades import keep_up

log = structlog.get_logger("fujie.background")

SWEEP_SECONDS = 5.0
FORGET_SECONDS = 3600.0
STAMP_SECONDS = 1.0
TEND_SECONDS = 2.0
REWRAP_SECONDS = 5.0
FINISH_SECONDS = 60.0
PRESIGN_SECONDS = 300.0
OTHERS_SECONDS = 60.0
ALERT_SECONDS = 60.0
EXPIRE_SECONDS = 30.0
ARCHIVE_SECONDS = 60.0
BATCH_SECONDS = 1.0
BATCH_ROUND_SECONDS = 30.0


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
    evidence = Evidence(house)
    upgrading, sealing = house.upgrading, sealing_of(house)
    steps: dict[str, tuple[float, Callable[[], Awaitable[object]]]] = {
        **evidence.steps(),
        "sweep": (SWEEP_SECONDS, lambda: sweep(house.issuing)),
        "documents": (SWEEP_SECONDS, lambda: sweep_requests(sealing)),
        "batches": (BATCH_SECONDS, lambda: work_until_done(sealing, seconds=BATCH_ROUND_SECONDS)),
        "time stamps": (STAMP_SECONDS, lambda: obtain(house.database, house.clock, house.timestamps)),
        "forget": (FORGET_SECONDS, lambda: _forget(house)),
        "token keys": (TEND_SECONDS, lambda: tend(house.database, house.keystore, house.clock, house.rotation)),
        "key-encryption key": (FINISH_SECONDS, lambda: finish(house.database, house.keystore, house.clock)),
        "rewrap": (REWRAP_SECONDS, Rewrapping(house.database, house.personal, house.clock, SEALED).step),
        "presign": (PRESIGN_SECONDS, OcspService(house.database, house.keystore, house.clock).presign),
        "sealed files": (ARCHIVE_SECONDS, lambda: keep_up(upgrading)),
        "seals' ends": (EXPIRE_SECONDS, lambda: expire_seals(house.database, house.clock)),
        "alerts": (ALERT_SECONDS, lambda: watch_uses(house.database, house.clock)),
        "others' lists": (OTHERS_SECONDS, lambda: refresh_all(house.database, house.clock)),
    }
    tasks = [asyncio.create_task(_every(seconds, name, step), name=name) for name, (seconds, step) in steps.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(KeyStoreUnavailable):  # the key device is away: the next start puts it into the log
            await evidence.sequence()
