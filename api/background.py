"""What runs beside the requests: the log's sequencer, the sweeper of interrupted issuing, batches, forgetting what is past use.

Any number of processes run it at once, in ``fujie serve`` or ``fujie worker``. What can be shared out is (``SHARED``): each process takes
rows that no other holds. The rest is done by the one that leads (``api.leading``).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from api.approval_rows import approval_of
from api.copy_keeping import copy_steps
from api.event_services import event_steps
from api.evidence import Evidence
from api.federation_channel import exchange_of
from api.importing import import_steps
from api.leading import Leadership
from api.library_keeping import library_steps
from api.queues import Queues
from api.sealing import sealing_of
from api.wiring import House
from certs.bulk_work import work_until_done as bulk_until_done
from certs.claiming import tell_overdue
from certs.federation_sync import forget, keep_level
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
from seal.upload_keeping import sweep_uploads

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
UPLOAD_SECONDS = 60.0
GRACE_SECONDS = 8.0
"""How long what has begun may take to end once the process is to stop; a lease brings the rest to another."""
SHARED = frozenset(
    {
        "sweep",
        "imports",
        "re-checks",
        "scans",
        "documents",
        "batches",
        "time stamps",
        "rewrap",
        "sealed files",
        "search",
        "merged items",
        "events",
        "drops",
        "expiries",
        "bulk moves",
        "bulk issuing",
    }
)
"""Steps whose work is divided among all processes by row locks and leases."""
ENDED_IN_ORDER = frozenset({"sweep", "documents", "batches", "bulk issuing", "time stamps", "sealed files"})
"""Steps that end what they have begun before the process stops."""
Step = Callable[[], Awaitable[object]]


async def _every(seconds: float, name: str, step: Step, leading: Leadership, queues: Queues, stopping: asyncio.Event) -> None:
    """Repeat ``step`` until the process is to stop; a failure is logged and tried again at the next turn."""
    while not stopping.is_set():
        queues.begin(name)
        try:
            if name in SHARED or await leading.held():
                await step()
        except KeyStoreUnavailable as error:
            log.warning("background step waits for the key device", step=name, code=error.code)
        except Exception:
            log.exception("background step failed", step=name)
        await queues.rest(name, seconds, stopping)


async def _forget(house: House) -> None:
    """Drop ended sessions and spent counters once nobody needs them."""
    async with house.database.begin() as session:
        await sessions.forget_old(session, house.clock.now())
        await throttle.forget_old(session, house.clock.now())
        await grant_statements.forget_old(session, house.clock.now())


def _steps(house: House, evidence: Evidence, stopping: asyncio.Event) -> dict[str, tuple[float, Step]]:
    """Name → seconds between turns, and the step."""
    upgrading, sealing, instances = house.upgrading, sealing_of(house), exchange_of(house)

    def batches() -> Awaitable[object]:
        return work_until_done(sealing, seconds=BATCH_ROUND_SECONDS, stopping=stopping)

    def bulk() -> Awaitable[object]:
        return bulk_until_done(house.issuing, approval_of, seconds=BATCH_ROUND_SECONDS, stopping=stopping)

    return {
        **evidence.steps(),
        **library_steps(house),
        **import_steps(house),
        **copy_steps(house),
        "sweep": (SWEEP_SECONDS, lambda: sweep(house.issuing)),
        "documents": (SWEEP_SECONDS, lambda: sweep_requests(sealing)),
        "batches": (BATCH_SECONDS, batches),
        "bulk issuing": (BATCH_SECONDS, bulk),
        "uploads": (UPLOAD_SECONDS, lambda: sweep_uploads(house.database, house.clock, sealing.uploads)),
        "time stamps": (STAMP_SECONDS, lambda: obtain(house.database, house.clock, house.timestamps)),
        "forget": (FORGET_SECONDS, lambda: _forget(house)),
        "token keys": (TEND_SECONDS, lambda: tend(house.database, house.keystore, house.clock, house.rotation)),
        "key-encryption key": (FINISH_SECONDS, lambda: finish(house.database, house.keystore, house.clock)),
        "rewrap": (REWRAP_SECONDS, Rewrapping(house.database, house.personal, house.clock, SEALED).step),
        "presign": (PRESIGN_SECONDS, OcspService(house.database, house.keystore, house.clock).presign),
        "sealed files": (ARCHIVE_SECONDS, lambda: keep_up(upgrading)),
        "seals' ends": (EXPIRE_SECONDS, lambda: expire_seals(house.database, house.clock)),
        "merged items": (ALERT_SECONDS, lambda: tell_overdue(house.database, house.clock)),
        "alerts": (ALERT_SECONDS, lambda: watch_uses(house.database, house.clock)),
        "other instances": (house.settings.federation_seconds, lambda: keep_level(instances)),
        "other instances' past": (FORGET_SECONDS, lambda: forget(instances)),
        "others' lists": (OTHERS_SECONDS, lambda: refresh_all(house.database, house.clock)),
    }


@contextlib.asynccontextmanager
async def background(house: House) -> AsyncIterator[None]:
    """Run the steps until leaving; then end what has begun, and sequence what the last requests wrote."""
    evidence, stopping, queues = Evidence(house), asyncio.Event(), Queues(house.database)
    async with Leadership(house.database) as leading, event_steps(house) as telling:
        tasks = [
            asyncio.create_task(_every(seconds, name, step, leading, queues, stopping), name=name)
            for name, (seconds, step) in (_steps(house, evidence, stopping) | telling).items()
        ]
        tasks.append(asyncio.create_task(queues.watch(stopping), name="queues"))
        try:
            yield
        finally:
            stopping.set()
            await _ended(tasks)
    with contextlib.suppress(KeyStoreUnavailable):  # the key device is away: the next start puts it into the log
        await evidence.sequence()


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Steps that seal or issue end in order, within their grace; the others at once."""
    orderly = [task for task in tasks if task.get_name() in ENDED_IN_ORDER]
    for task in tasks:
        if task not in orderly:
            task.cancel()
    await asyncio.wait(orderly, timeout=GRACE_SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
