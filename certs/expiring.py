"""The end of a certificate's period, as an operation of its own: history, audit and event say that it expired.

What a relying party is told follows from the dates at midnight; this comes after it, by the next turns of the background.
What was over when it came into the library had no move here and gets none. Any number of processes may do it at once.
"""

import datetime as dt

from sqlalchemy import select, text

from certs.grounds import Grounds
from certs.lifecycle import find_move
from certs.models import EXPIRING, CertificateRow
from certs.reads import get_certificate
from certs.records import DISPOSED
from certs.standing import apply
from keys.base.actor import SYSTEM
from keys.base.clock import Clock, civil_date
from keys.base.db import Database

BATCH = 50
PERIOD_OVER = "PERIOD_OVER"


async def expire_due(database: Database, clock: Clock, *, most: int = 20 * BATCH) -> int:
    """Expire up to ``most`` certificates whose last day has passed; how many."""
    done = 0
    while done < most and (batch := await _expire_batch(database, clock.now())):
        done += batch
    return done


async def _expire_batch(database: Database, now: dt.datetime) -> int:
    over = (
        select(CertificateRow.id)
        .where(text(EXPIRING), CertificateRow.valid_to < civil_date(now), ~CertificateRow.flags.contains([DISPOSED]))
        .order_by(CertificateRow.valid_to)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    async with database.begin() as session:
        ids = list(await session.scalars(over))
        for one in ids:
            certificate = await get_certificate(session, one)
            if certificate is not None:
                await apply(session, now, SYSTEM, certificate, find_move("expire", certificate.status), Grounds(code=PERIOD_OVER))
    return len(ids)
