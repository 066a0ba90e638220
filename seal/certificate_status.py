"""The certificates of a seal follow its status, in the same transaction: OCSP and the lists say so as soon as it has committed.

====================  =====================================================================================================
suspend               on hold (certificateHold)
resume                the hold ends; the entry leaves the lists (removeFromCRL, where there were delta lists)
report lost           revoked, keyCompromise: whoever holds the seal holds its keys
cancel                revoked, cessationOfOperation or privilegeWithdrawn, as the reason says; what was lost is revoked already
replaced, expired     left to end by themselves, and a hold ends: the keys stay with us and no permit is given for them any more, so
                      nothing new is signed, and what was stamped before keeps verifying everywhere (``docs/decisions/0063``)
====================  =====================================================================================================

A certificate that somebody else issued is theirs to revoke: the audit log says which has to be reported to its authority.
"""

import datetime as dt

from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from keys.pki.reads import CertificateStatus, certificate_ends, status_at
from keys.pki.status import resume, revoke, suspend
from keys.trust.certificates import fingerprint
from keys.trust.reads import external_chain_of
from seal.lifecycle import Move
from seal.models import MadeSealRow
from seal.motives import Why, certificate_reason
from seal.reads import Seal

_FOLLOWED = frozenset({Move.SUSPEND, Move.RESUME, Move.REPORT_LOST, Move.CANCEL, Move.REPLACE, Move.EXPIRE})
_RELEASING = frozenset({Move.RESUME, Move.REPLACE, Move.EXPIRE})
_REVOCABLE = frozenset({CertificateStatus.GOOD, CertificateStatus.ON_HOLD, CertificateStatus.NOT_YET_VALID})
_ELSEWHERE = {
    Move.SUSPEND: "seal.hold_due_elsewhere",
    Move.RESUME: "seal.release_due_elsewhere",
    Move.REPORT_LOST: "seal.revocation_due_elsewhere",
    Move.CANCEL: "seal.revocation_due_elsewhere",
}


async def follow_with_certificates(session: AsyncSession, now: dt.datetime, seal: Seal, move: Move, reason: Why, actor: Actor) -> None:
    """See the table above. A seal that was never made has none."""
    made = await session.get(MadeSealRow, seal.id) if move in _FOLLOWED else None
    if made is None:
        return
    for certificate in (made.signer_certificate, made.sm_certificate):
        if await external_chain_of(session, certificate) is None:
            await _follow(session, now, certificate_ends(certificate).serial, move, reason, actor)
        elif move in _ELSEWHERE:
            details: dict[str, audit.JSON] = {"certificate": fingerprint(certificate).hex()}
            await audit.record(session, now, Event(_ELSEWHERE[move], f"seal:{seal.id}", Outcome.DONE, actor, details))


async def _follow(session: AsyncSession, now: dt.datetime, serial: int, move: Move, reason: Why, actor: Actor) -> None:
    """Each certificate by its own standing: an administrator may have revoked one before."""
    was, stated = (await status_at(session, serial, now)).status, certificate_reason(move, reason.code)
    if stated is not None and was in _REVOCABLE:
        await revoke(session, now, serial, stated, actor)
    elif move is Move.SUSPEND and was is CertificateStatus.GOOD:
        await suspend(session, now, serial, actor)
    elif move in _RELEASING and was is CertificateStatus.ON_HOLD:
        await resume(session, now, serial, actor)
