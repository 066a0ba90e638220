"""Finishing or voiding what a killed process left behind.

A reserved certificate whose lease ran out is carried through from its record; one that failed :data:`MOST_ATTEMPTS` times is
void, unless only the store of files kept it waiting: that comes back. Leases keep two processes from doing the same certificate.
"""

import uuid

import structlog

from certs.carrying import SERVER_ERROR, carry_through, give_up
from certs.leases import abandoned, claim
from certs.models import IssuingRow
from certs.records import Stage
from certs.reservation import load_reserved
from certs.stages import Issuing, Reserved
from keys.base.blobs import StoreFull, StoreUnreachable
from keys.base.errors import FujieError

log = structlog.get_logger("fujie.certs.sweeping")

MOST_ATTEMPTS = 8
_WAITS_FOR_THE_STORE = frozenset({StoreFull.code, StoreUnreachable.code})
_AT_ONCE = 20


async def sweep(issuing: Issuing) -> int:
    """One round; the number of certificates brought to an end. Called at start and every few seconds.

    While nothing may be issued what waits goes on waiting: an attempt would be one of the few it has.
    """
    try:
        issuing.gate.now()
    except FujieError:
        return 0
    async with issuing.database.session() as session:
        found = await abandoned(session, issuing.clock.now(), _AT_ONCE)
    return sum([await _finish(issuing, certificate_id) for certificate_id in found])


async def _finish(issuing: Issuing, certificate_id: uuid.UUID) -> bool:
    taken = await take_over(issuing, certificate_id)
    if taken is None:
        return False
    reserved, attempts, failure = taken
    if attempts > MOST_ATTEMPTS and failure not in _WAITS_FOR_THE_STORE:
        await give_up(issuing, reserved)
        return True
    try:
        await carry_through(issuing, reserved)
    except FujieError as error:  # a refusal has voided it and is audited
        return error.status < SERVER_ERROR
    except Exception:  # one certificate's trouble must not keep the others waiting; its pause grows
        log.exception("not finished", certificate=str(certificate_id), attempts=attempts)
        return False
    return True


async def take_over(issuing: Issuing, certificate_id: uuid.UUID) -> tuple[Reserved, int, str | None] | None:
    """Take the lease of an abandoned certificate, with how often it was tried and what failed last; ``None``: somebody works on it."""
    async with issuing.database.begin() as session:
        lease = await claim(session, issuing.clock.now(), certificate_id, Stage.RESERVED)
        if lease is None:
            return None
        row = await session.get_one(IssuingRow, certificate_id)
        return await load_reserved(session, certificate_id, lease), row.attempts, row.failure
