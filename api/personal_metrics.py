"""How far the change of a data key is: one figure for ``/metrics``, read from the database, the same in every process."""

import math

from prometheus_client import Gauge

from api.wiring import House
from identity.rewrapping import older_keys

OLDER_KEYS = Gauge("fujie_personal_data_older_keys", "Data keys that no longer seal and still have envelopes; 0 when all is done")


async def observe_older_keys(house: House) -> None:
    """Set the figure; NaN while the database does not answer."""
    try:
        async with house.database.session() as session:
            OLDER_KEYS.set(len(await older_keys(session, house.personal.data_key.id)))
    except Exception:
        OLDER_KEYS.set(math.nan)
