"""Carrying a reserved certificate through to its end, whether a request or the sweeper does it."""

from certs.approvals import IssuingInProgress, IssuingVoided, Outcome
from certs.leases import kept, postpone
from certs.legibility import GlyphMissing
from certs.recording import await_glyphs, park, record_issued, void
from certs.sealing import permit, print_document, stamp_and_store, unattended_use
from certs.stages import Issuing, Reserved
from certs.together import Seat
from keys.base.errors import FujieError

SERVER_ERROR = 500


async def carry_through(issuing: Issuing, reserved: Reserved, seat: Seat | None = None) -> Outcome:
    """Render, permit, stamp, store, record; or park it for an approver, or for a character that no font has. ``seat``: among others that
    are issued beside it (:mod:`certs.together`).

    A refusal voids the certificate and is raised. A failure of ours gives the lease back, so that the sweeper tries again
    after a pause, and is raised too. ``IssuingInProgress``: another run took the work over.
    """
    certificate = reserved.certificate
    try:
        async with kept(issuing, certificate.id, reserved.lease):
            return await _steps(issuing, reserved, seat)
    except IssuingInProgress:
        raise
    except FujieError as error:
        if error.status < SERVER_ERROR:
            await void(issuing, reserved, error, reserved.actor)
        else:
            await postpone(issuing, certificate.id, reserved.lease, error.code)
        raise
    except Exception as error:
        await postpone(issuing, certificate.id, reserved.lease, type(error).__name__)
        raise


async def _steps(issuing: Issuing, reserved: Reserved, seat: Seat | None) -> Outcome:
    try:
        rendered = await print_document(issuing, reserved)
    except GlyphMissing as missing:
        return await await_glyphs(issuing, reserved, missing)
    if not reserved.unattended:
        return await park(issuing, rendered)
    permitted = await (seat.permitted(issuing, rendered) if seat else permit(issuing, rendered, unattended_use(rendered)))
    stamped = await stamp_and_store(issuing, permitted)
    return await record_issued(issuing, stamped)


async def give_up(issuing: Issuing, reserved: Reserved) -> None:
    """Void a certificate that failed too often."""
    await void(issuing, reserved, IssuingFailed(), reserved.actor)


class IssuingFailed(IssuingVoided):
    """Issuing failed again and again and was given up."""

    code = "ISSUING_FAILED"
    status = 500
