"""What a file cannot say: whether the seal was in use when it was used. Only the registry that filed the seal knows."""

from dataclasses import replace

from keys.base.db import AsyncSession
from seal.lifecycle import Status
from seal.reads import SealNotFound, status_at
from seal.verdict import Check, Indication, SignatureVerdict, Verdict, conclude, failed, passed, summed_up


async def ask_registry(session: AsyncSession, verdict: Verdict) -> Verdict:
    """The verdict with the status of each of our seals at the time of its stamp; seals of others are left as they are."""
    if not any(signature.seal for signature in verdict.signatures):
        return verdict
    asked = [await _ask(session, signature) for signature in verdict.signatures]
    return replace(summed_up(verdict.kind, asked, verdict.certificate), checks=verdict.checks)


async def _ask(session: AsyncSession, signature: SignatureVerdict) -> SignatureVerdict:
    seal = signature.seal
    if seal is None or seal.stamped_at is None:
        return signature
    try:
        status = await status_at(session, seal.code, seal.stamped_at)
    except SealNotFound:
        return signature
    found = _status_checks(status)
    widened = replace(signature, checks=(*signature.checks, *found))
    if signature.indication is not Indication.TOTAL_PASSED:
        return widened  # decided already, by what the file itself shows
    indication, sub_indication = conclude(found)
    return replace(widened, indication=indication, sub_indication=sub_indication)


def _status_checks(status: Status | None) -> tuple[Check, ...]:
    if status is Status.ACTIVE:
        return passed("SEAL_SUSPENDED", "in use when it stamped"), passed("SEAL_CANCELLED", "in use when it stamped")
    if status is Status.CANCELLED:
        return (failed("SEAL_CANCELLED", "cancelled when it stamped"),)
    return (failed("SEAL_SUSPENDED", f"not in use when it stamped: {status or 'not yet applied for'}"),)
