"""From the outbox to the queues: every committed event gets its place among all events and stands in the queue of each subscription.

1. one process at a time, as long as its transaction lasts
2. number   the events that wait, in the order they were written; whoever has seen number *n* has missed none below it
3. address  whom the certificate concerns, beside those the writer named
4. queue    a row for each subscription that asked for it, in the same transaction

An event that was committed late is numbered late: it is never stepped over, which a cursor over time-ordered ids would do.
"""

import datetime as dt

from sqlalchemy import func, select, text

from certs.topics import TOPICS
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database

AT_ONCE = 1000
_LOCK = select(func.pg_try_advisory_xact_lock(func.hashtextextended("certs.dispatch", 0)))
_NUMBER = text("""
    WITH base AS (SELECT coalesce(max(sequence), 0) AS last FROM certs.outbox),
    waiting AS (SELECT id, row_number() OVER (ORDER BY id) AS place FROM certs.outbox WHERE published_at IS NULL ORDER BY id LIMIT :limit)
    UPDATE certs.outbox o SET sequence = base.last + waiting.place, published_at = :now
    FROM waiting, base WHERE o.id = waiting.id RETURNING o.sequence""")
# What is no certificate's id concerns only those whom its writer named.
_ADDRESS = text("""
    UPDATE certs.outbox o SET type_code = c.type_code, to_all = o.topic = ANY(:open) AND coalesce(t.sharing_class = 'unconditional', false),
        organisations = (SELECT coalesce(jsonb_agg(DISTINCT one), '[]'::jsonb) FROM (
            SELECT jsonb_array_elements_text(o.organisations) AS one UNION SELECT c.issuer UNION
            SELECT c.client_organisation WHERE c.client_organisation IS NOT NULL) told)
    FROM certs.certificates c LEFT JOIN certs.types t ON t.code = c.type_code
    WHERE o.sequence BETWEEN :first AND :last AND o.subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' AND c.id = o.subject::uuid""")
WANTED = """(o.to_all OR o.organisations ? s.organisation)
    AND (s.topics = '[]' OR s.topics ? o.topic) AND (s.types = '[]' OR s.types ? o.type_code)"""
"""Whether an event ``o`` is for a subscription ``s``."""
_QUEUE = text(f"""
    INSERT INTO certs.deliveries (subscription_id, sequence, event_id, state, attempts, queued_at)
    SELECT s.id, o.sequence, o.id, 'waiting', 0, :now FROM certs.outbox o JOIN certs.subscriptions s ON {WANTED}
    WHERE o.sequence BETWEEN :first AND :last AND s.state IN ('active', 'paused')""")  # noqa: S608 - nothing of anybody's is in it
_OPEN = [one.code for one in TOPICS.values() if one.to_departments]


async def dispatch(database: Database, clock: Clock) -> int:
    """One round; how many events were queued. Safe in any number of processes; a killed one leaves nothing half-done."""
    queued = 0
    while True:
        async with database.begin() as session:
            if not await session.scalar(_LOCK):
                return queued
            count = await _some(session, clock.now())
        queued += count
        if count < AT_ONCE:
            return queued


async def _some(session: AsyncSession, now: dt.datetime) -> int:
    numbers = list(await session.scalars(_NUMBER, {"limit": AT_ONCE, "now": now}))
    if not numbers:
        return 0
    span = {"first": min(numbers), "last": max(numbers)}
    await session.execute(_ADDRESS, span | {"open": _OPEN})
    await session.execute(_QUEUE, span | {"now": now})
    return len(numbers)
