"""What a file cannot say: whether the seal was in use when it was used. Only the registry that filed the seal knows.

Of a seal of ours our own history answers; a code alone makes no seal ours, the SESeal must be the one that was made here.
Of one of others, what its registry said (:mod:`seal.foreign_status`): a feed that was taken
in, or an answer that is kept or asked for; a registry that does not answer leaves the question open, and one that is not registered is
not asked.

A certificate of a seal of ours that was suspended or ended for an administrative reason is on hold or revoked, and outsiders can then not
tell a stamp of before from one that claims to be. We can: the key never left our custody and no permit was given after that instant. So
such a revocation is only noted, where our history says that the seal was in use when it stamped (``docs/decisions/0063``); never one for a
compromise, never one of an authority.
"""

import datetime as dt
from dataclasses import replace

from sqlalchemy import select

from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.pki.reads import CertificateStatus, StatusReport, certificate_ends
from keys.pki.reads import status_at as certificate_status_at
from keys.pki.status_lifecycle import COMPROMISED
from seal.foreign_status import Known, StatusPort, ask_others, what_is_known
from seal.lifecycle import Status
from seal.models import MadeSealRow, SealRow
from seal.reads import SealNotFound, is_made_seal, status_at
from seal.verdict import (
    Check,
    Indication,
    Outcome,
    SignatureVerdict,
    Verdict,
    conclude,
    failed,
    notice,
    open_question,
    passed,
    summed_up,
)

_CANCELLED = frozenset({Status.CANCELLED, Status.CLOSED})
_REVOCATIONS = frozenset({"REVOCATION", "SIGNER_REVOKED"})
_UNPROVEN = "nothing proves that it signed earlier"  # what seal.verification_stamp says of a revocation that is no proof by itself


async def ask_registries(database: Database, clock: Clock, port: StatusPort | None, verdict: Verdict) -> Verdict:
    """The verdict with the status of each seal at the time of its stamp; ``port``: how others are asked, None: they are not."""
    asked = {signature.seal.code: signature.seal.stamped_at for signature in verdict.signatures if signature.seal}
    if port is not None and asked:
        await ask_others(database, clock, port, asked)
    async with database.session() as session:
        return await ask_registry(session, verdict, clock.now())


async def ask_registry(session: AsyncSession, verdict: Verdict, now: dt.datetime | None = None) -> Verdict:
    """The same by what is kept here, asking nobody. ``now``: as of when certificates are looked at; None: no revocation is explained."""
    if not any(signature.seal for signature in verdict.signatures):
        return verdict
    asked = [await _ask(session, signature, now) for signature in verdict.signatures]
    return replace(summed_up(verdict.kind, asked, verdict.certificate), checks=verdict.checks, comparison=verdict.comparison)


async def _ask(session: AsyncSession, signature: SignatureVerdict, now: dt.datetime | None) -> SignatureVerdict:
    seal = signature.seal
    if seal is None or seal.stamped_at is None:
        return signature
    try:
        status = await status_at(session, seal.code, seal.stamped_at)
    except SealNotFound:
        return _widened(signature, await _of_others(session, seal.code, seal.stamped_at))
    if not await is_made_seal(session, seal.code, seal.sha256):
        return _widened(signature, (failed("OUT_OF_SCOPE", "this registry made another seal under this code"),))
    if status is Status.ACTIVE and now is not None and signature.sub_indication == "REVOKED_NO_POE":
        signature = await _explained(session, signature, seal.code, seal.stamped_at, now)
    return _widened(signature, _status_checks(status))


def _widened(signature: SignatureVerdict, found: tuple[Check, ...]) -> SignatureVerdict:
    widened = replace(signature, checks=(*signature.checks, *found))
    if signature.indication is not Indication.TOTAL_PASSED or not found:
        return widened  # decided already, by what the file itself shows
    indication, sub_indication = conclude(found)
    return replace(widened, indication=indication, sub_indication=sub_indication)


def _status_checks(status: Status | None, whose: str = "") -> tuple[Check, ...]:
    if status is Status.ACTIVE:
        return passed("SEAL_SUSPENDED", f"in use when it stamped{whose}"), passed("SEAL_CANCELLED", f"in use when it stamped{whose}")
    if status in _CANCELLED:
        return (failed("SEAL_CANCELLED", f"cancelled when it stamped{whose}"),)
    return (failed("SEAL_SUSPENDED", f"not in use when it stamped: {status or 'not yet filed'}{whose}"),)


# --- seals of others -----------------------------------------------------------------------------------------------------------


async def _of_others(session: AsyncSession, code: str, stamped_at: dt.datetime) -> tuple[Check, ...]:
    known = await what_is_known(session, code)
    if known is None:
        return ()
    if known.said_at is None:
        return (open_question("SEAL_SUSPENDED", f"its registry {known.registry} could not be asked: {known.failure}", "TRY_LATER"),)
    whose = f", says {known.how} of {known.said_at:%Y-%m-%dT%H:%M:%SZ} ({known.registry})"
    if not known.known:
        return (open_question("SEAL_SUSPENDED", f"not known to its registry{whose}", "TRY_LATER"),)
    if stamped_at > known.said_at and not _is_final(known):
        return (open_question("SEAL_SUSPENDED", f"it stamped later than its registry was heard{whose}", "TRY_LATER"),)
    step = known.at(stamped_at)
    return _status_checks(step.status if step else None, whose)


def _is_final(known: Known) -> bool:
    """An end is one for all later instants."""
    return bool(known.history) and known.history[-1].status in _CANCELLED | {Status.LOST, Status.EXPIRED}


# --- our own certificates ------------------------------------------------------------------------------------------------------


async def _explained(
    session: AsyncSession, signature: SignatureVerdict, code: str, stamped_at: dt.datetime, now: dt.datetime
) -> SignatureVerdict:
    """The signature judged anew where each revocation that stands against it is of this seal's own certificates, later, and harmless."""
    reports = await _reports(session, code, now)
    if reports is None or not any(report.revoked_at for report in reports) or not all(_harmless(one, stamped_at) for one in reports):
        return signature
    checks = tuple(_noted(check) for check in signature.checks)
    indication, sub_indication = conclude(checks)
    return replace(signature, checks=checks, indication=indication, sub_indication=sub_indication)


async def _reports(session: AsyncSession, code: str, now: dt.datetime) -> list[StatusReport] | None:
    """Of the seal's two certificates; None where an authority above them is not good, or somebody else issued one."""
    made = await session.scalar(select(MadeSealRow).join(SealRow, SealRow.id == MadeSealRow.seal_id).where(SealRow.code == code))
    if made is None:
        return None
    own = [await _report(session, one, now) for one in (made.signer_certificate, made.sm_certificate)]
    above = [await _report(session, one, now) for one in {*made.signer_chain, *made.sm_chain}]
    known = all(report.status is not CertificateStatus.UNKNOWN for report in own)
    return own if known and all(report.status is CertificateStatus.GOOD for report in above) else None


async def _report(session: AsyncSession, certificate: bytes, now: dt.datetime) -> StatusReport:
    return await certificate_status_at(session, certificate_ends(certificate).serial, now)


def _harmless(report: StatusReport, stamped_at: dt.datetime) -> bool:
    return report.revoked_at is None or (report.reason not in COMPROMISED and report.revoked_at > stamped_at)


def _noted(check: Check) -> Check:
    if check.name not in _REVOCATIONS or check.outcome is Outcome.PASSED or not check.detail.endswith(_UNPROVEN):
        return check
    return notice(
        check.name, f"{check.detail.removesuffix(_UNPROVEN)}the registry kept the key and knows the seal was in use when it stamped"
    )
