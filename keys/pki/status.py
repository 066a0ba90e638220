"""The one place that changes a certificate's status, and the journeys that do nothing else.

:func:`revoke`, :func:`suspend` and :func:`resume` check the table of moves, update the certificate, write the history, the
entry of the revocation list and the audit event, all in the caller's transaction. When it has committed, OCSP answers the new
status at once and the next list that is fetched holds it.
"""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import SYSTEM, Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, FujieError
from keys.evidence.audit import Event, Outcome, record, record_alone
from keys.models import AuthorityRow, CertificateRow
from keys.pki import crl_format
from keys.pki.errors import CertificateUnknown, InvalidityDateUnsuitable
from keys.pki.partitions import FULL, partition_of
from keys.pki.reads import serial_text
from keys.pki.status_lifecycle import COMPROMISED, HOLD, Move, RevocationReason, Standing, checked_reason, standing, target
from keys.pki.status_models import CertificateStatusChangeRow, CrlEntryRow, CrlPartitionRow

__all__ = [
    "RevocationReason",
    "resume",
    "resume_certificate",
    "revoke",
    "revoke_certificate",
    "suspend",
    "suspend_certificate",
]


class StatusChangedMeanwhile(Conflict):
    code = "CERTIFICATE_STATUS_CHANGED_MEANWHILE"
    public = ("数字证书状态刚刚被他人更改，请重试。", "Somebody else has just changed the certificate's status. Please try again.")


@dataclass(frozen=True, slots=True)
class _Change:
    """What a move leaves: the status, and what lists and OCSP state from now on."""

    move: Move
    status: Standing
    at: dt.datetime
    revoked_at: dt.datetime | None
    reason: str | None
    invalidity_date: dt.datetime | None


async def revoke(
    session: AsyncSession,
    now: dt.datetime,
    serial: int,
    reason: str,
    actor: Actor = SYSTEM,
    *,
    invalidity_date: dt.datetime | None = None,
) -> None:
    """Revokes the certificate at ``now``, for good. ``reason`` is one of :class:`RevocationReason`.

    A compromise is its key's: every other certificate of the key, before and after a renewal, is revoked with it.
    ``invalidity_date``: since when the key is thought to have been compromised (RFC 5280 §5.3.2), not after ``now``.
    Raises ``ReasonUnknown``, ``InvalidityDateUnsuitable``, ``CertificateUnknown`` or ``AlreadyRevoked``.
    """
    checked = checked_reason(reason)
    if invalidity_date is not None and invalidity_date > now:
        raise InvalidityDateUnsuitable("the invalidity date is in the future")
    others = await _others_of_its_key(session, serial) if checked in COMPROMISED else []
    for one in (serial, *others):
        await _move(session, now, one, Move.REVOKE, actor, checked, invalidity_date)


async def suspend(session: AsyncSession, now: dt.datetime, serial: int, actor: Actor = SYSTEM) -> None:
    """Puts the certificate on hold: revoked to everybody who asks, until it is resumed or revoked for good.

    Raises ``CertificateUnknown``, ``AlreadyRevoked`` or ``StatusMoveNotAllowed`` (on hold or expired).
    """
    await _move(session, now, serial, Move.SUSPEND, actor, HOLD)


async def resume(session: AsyncSession, now: dt.datetime, serial: int, actor: Actor = SYSTEM) -> None:
    """Ends the hold. Without delta lists nothing says removeFromCRL: the entry simply leaves the next list.

    Raises ``CertificateUnknown``, ``AlreadyRevoked`` or ``StatusMoveNotAllowed`` (not on hold).
    """
    await _move(session, now, serial, Move.RESUME, actor, None)


async def _move(
    session: AsyncSession,
    now: dt.datetime,
    serial: int,
    move: Move,
    actor: Actor,
    reason: str | None,
    invalidity_date: dt.datetime | None = None,
) -> None:
    """Lock → check the table of moves → update on the old count → history → the list's entry → audit."""
    row = await _locked(session, serial)
    old = standing(row.revocation_reason)
    new = target(old, move, expired=now > row.not_after)
    at = max(now.replace(microsecond=0), await _last_change(session, row))  # a history does not run backwards
    # X.509 §9.5.3: a hold that becomes final keeps the date from which the certificate was not to be trusted
    since = None if new is Standing.GOOD else row.revoked_at or at
    change = _Change(move, new, at, since, reason, invalidity_date)
    await _update(session, row, change)
    session.add(_history(row, change, actor))
    await _list(session, row, change)
    details = {"authority": row.authority, "from": str(old), "to": str(new), "reason": reason}
    await record(session, now, Event(f"keys.pki.{move}", f"pki-certificate:{row.serial}", Outcome.DONE, actor, details))


async def _others_of_its_key(session: AsyncSession, serial: int) -> list[int]:
    """Those that are not revoked for good. All of the key are held, in one order; who is renewing one of them is waited for."""
    row = CertificateRow
    key = select(row.public_key).where(row.serial == serial_text(serial)).scalar_subquery()
    held: dict[str, str | None] = {}
    while True:
        more = select(row.serial, row.revocation_reason).where(row.public_key == key, row.serial.not_in(list(held)))
        found = {one.serial: one.revocation_reason for one in await session.execute(more.order_by(row.serial).with_for_update())}
        if not found:
            break
        held |= found
    held.pop(serial_text(serial), None)
    return [int(other, 16) for other, reason in held.items() if standing(reason) is not Standing.REVOKED]


async def _locked(session: AsyncSession, serial: int) -> CertificateRow:
    found = select(CertificateRow).where(CertificateRow.serial == serial_text(serial)).with_for_update()
    row = await session.scalar(found.execution_options(populate_existing=True))
    if row is None:
        raise CertificateUnknown(serial_text(serial)[:48])
    return row


async def _last_change(session: AsyncSession, row: CertificateRow) -> dt.datetime:
    if not row.status_changes:
        return row.not_before
    last = await session.get_one(CertificateStatusChangeRow, (row.serial, row.status_changes))
    return last.at


async def _update(session: AsyncSession, row: CertificateRow, change: _Change) -> None:
    changed = (
        update(CertificateRow)
        .where(CertificateRow.serial == row.serial, CertificateRow.status_changes == row.status_changes)
        .values(
            revoked_at=change.revoked_at,
            revocation_reason=change.reason,
            invalidity_date=change.invalidity_date,
            status_changes=CertificateRow.status_changes + 1,
        )
        .returning(CertificateRow)
        .execution_options(populate_existing=True)
    )
    if await session.scalar(changed) is None:
        raise StatusChangedMeanwhile(row.serial)


def _history(row: CertificateRow, change: _Change, actor: Actor) -> CertificateStatusChangeRow:
    return CertificateStatusChangeRow(
        serial=row.serial,
        number=row.status_changes,
        move=change.move,
        status=change.status,
        at=change.at,
        revoked_at=change.revoked_at,
        reason=change.reason,
        invalidity_date=change.invalidity_date,
        actor_kind=actor.kind,
        actor_id=actor.id,
    )


async def _list(session: AsyncSession, row: CertificateRow, change: _Change) -> None:
    """Writes, replaces or removes the certificate's entry, and counts the change on every list that it is on."""
    serial = int(row.serial, 16)
    partition = partition_of(row.authority, serial)
    if change.revoked_at is None or change.reason is None:
        await session.execute(delete(CrlEntryRow).where(CrlEntryRow.serial == row.serial))
    else:
        entry = crl_format.entry(serial, change.revoked_at, change.reason, change.invalidity_date)
        values = {"authority": row.authority, "partition": partition, "revoked_at": change.revoked_at, "entry": entry}
        written = insert(CrlEntryRow).values(serial=row.serial, **values)
        await session.execute(written.on_conflict_do_update(index_elements=["serial"], set_=values))
    counted = update(AuthorityRow).where(AuthorityRow.name == row.authority)
    await session.execute(counted.values(revocations=AuthorityRow.revocations + 1))
    if partition != FULL:
        one = insert(CrlPartitionRow).values(authority=row.authority, partition=partition, changes=1)
        await session.execute(
            one.on_conflict_do_update(index_elements=["authority", "partition"], set_={"changes": CrlPartitionRow.changes + 1})
        )


async def revoke_certificate(
    database: Database, clock: Clock, actor: Actor, serial: int, reason: str, invalidity_date: dt.datetime | None = None
) -> None:
    """:func:`revoke` as a journey of its own; a refusal is audited too."""
    async with _refusals_audited(database, clock, Move.REVOKE, serial, actor), database.begin() as session:
        await revoke(session, clock.now(), serial, reason, actor, invalidity_date=invalidity_date)


async def suspend_certificate(database: Database, clock: Clock, actor: Actor, serial: int) -> None:
    """:func:`suspend` as a journey of its own; a refusal is audited too."""
    async with _refusals_audited(database, clock, Move.SUSPEND, serial, actor), database.begin() as session:
        await suspend(session, clock.now(), serial, actor)


async def resume_certificate(database: Database, clock: Clock, actor: Actor, serial: int) -> None:
    """:func:`resume` as a journey of its own; a refusal is audited too."""
    async with _refusals_audited(database, clock, Move.RESUME, serial, actor), database.begin() as session:
        await resume(session, clock.now(), serial, actor)


@asynccontextmanager
async def _refusals_audited(database: Database, clock: Clock, move: Move, serial: int, actor: Actor) -> AsyncIterator[None]:
    try:
        yield
    except FujieError as error:
        subject = f"pki-certificate:{serial_text(serial)[:48]}"
        await record_alone(database, clock.now(), Event(f"keys.pki.{move}", subject, Outcome.REFUSED, actor, code=error.code))
        raise
