"""Keeping the library in the background: search, scrubber, orphans, disposal, ends of periods, moves of many certificates; and what
of it is measured and said to be ready.
"""

import datetime as dt
import math
from collections.abc import Awaitable, Callable

from prometheus_client import Gauge

from api.wiring import House
from certs.bulk_moves import work
from certs.disposal import Disposing, carry_out_waiting
from certs.expiring import expire_due
from certs.indexing import index_waiting
from certs.orphans import sweep_orphans
from certs.scrubbing import Scrubbing, last_round, scrub_step

INDEX_SECONDS = 2.0
SCRUB_SECONDS = 10.0
ORPHAN_SECONDS = 6 * 3600.0
DISPOSE_SECONDS = 60.0
LIFE_SECONDS = 60.0
BULK_SECONDS = 2.0
DAMAGED = Gauge("fujie_library_damaged_files", "Stored files that are damaged or gone, as far as the scrubber knows; 0 when all is well")
SCRUBBED = Gauge("fujie_library_scrubbed_files", "Files that the scrubber's present or last round has read")
Step = Callable[[], Awaitable[object]]


def scrubbing_of(house: House) -> Scrubbing:
    """The scrubber at the pace of the settings."""
    chosen = house.settings
    return Scrubbing(house.database, house.clock, house.blobs, chosen.scrub_kilobytes * 1024, dt.timedelta(days=chosen.scrub_days))


def library_steps(house: House) -> dict[str, tuple[float, Step]]:
    """Name → seconds between turns, and the step."""
    scrubbing, disposing = scrubbing_of(house), Disposing(house.database, house.clock, house.blobs)
    grace = dt.timedelta(hours=house.settings.orphan_hours)
    return {
        "search": (INDEX_SECONDS, lambda: index_waiting(house.database)),
        "scrub": (SCRUB_SECONDS, lambda: scrub_step(scrubbing)),
        "orphans": (ORPHAN_SECONDS, lambda: sweep_orphans(house.database, house.clock, house.blobs, grace)),
        "disposals": (DISPOSE_SECONDS, lambda: carry_out_waiting(disposing)),
        "expiries": (LIFE_SECONDS, lambda: expire_due(house.database, house.clock)),
        "bulk moves": (BULK_SECONDS, lambda: work(house.database, house.clock)),
    }


async def library_word(house: House) -> str:
    """One word for ``/readyz``. A damaged file is somebody's work at once, and no reason to send people away."""
    try:
        known = await last_round(house.database)
    except Exception:
        DAMAGED.set(math.nan)
        return "unknown"
    DAMAGED.set(known.open_findings)
    SCRUBBED.set(known.files)
    return "damaged" if known.open_findings else "whole"
