"""A certificate passes to another issuer (迁出, 迁入): the one lets it go, the other issues its successor.

1. transfer       the issuer lets it go to a named organisation: status 06, and that organisation is told
2. transfer in    the receiving organisation issues a successor of the same type (an approval with move ``transfer_in``), whereupon the
                  transfer is closed; the successor has an identifier of its own, because the issuer's code stands in it
3. undo           until then the issuer may take it back: status 01 again
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import or_, select

from certs.grounds import Grounds, grounds_of
from certs.life_models import TransferRow
from certs.lifecycle import find_move
from certs.models import CertificateRow
from certs.outbox import write_event
from certs.records import Certificate
from certs.standing import apply, changeable, done_before
from identity.numbers import normalise
from identity.organisations import get_organisation
from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError, InvalidInput
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event

OPEN, UNDONE = "open", "undone"
PAGE = 50


class ReceiverUnknown(InvalidInput):
    """The receiving organisation is not registered, not active, or the one that lets go."""

    code = "TRANSFER_RECEIVER_UNKNOWN"
    public = ("迁入机构未登记、已停用或与迁出机构相同。", "The receiving organisation is not registered, not active, or the same one.")


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer: ``state`` open, received or undone; organisations by USCC; ``successor``: an identifier."""

    id: uuid.UUID
    certificate_id: uuid.UUID
    identifier: str
    type_code: str
    type_name: str
    from_organisation: str
    to_organisation: str
    state: str
    reason: str
    opened_at: dt.datetime
    closed_at: dt.datetime | None
    successor: str | None


async def transfer(
    database: Database, clock: Clock, actor: Actor, certificate_id: uuid.UUID, receiver: str, why: str | Grounds, key: str | None = None
) -> Certificate:
    """Step 1; ``receiver``: a USCC. Raises ``NotFound``, :class:`ReceiverUnknown`, ``MoveNotAllowed``, and what grounds are refused for."""
    try:
        return await _transfer(database, clock.now(), actor, certificate_id, normalise(receiver), grounds_of(why), key)
    except FujieError as error:
        await _refused(database, clock, actor, "transfer", certificate_id, error)
        raise


async def undo_transfer(
    database: Database, clock: Clock, actor: Actor, certificate_id: uuid.UUID, why: str | Grounds, key: str | None = None
) -> Certificate:
    """Step 3. Raises ``NotFound``, ``MoveNotAllowed``, and what grounds are refused for."""
    try:
        return await _undo(database, clock.now(), actor, certificate_id, grounds_of(why), key)
    except FujieError as error:
        await _refused(database, clock, actor, "undo_transfer", certificate_id, error)
        raise


async def list_transfers(session: AsyncSession, organisation: str, *, state: str | None = None) -> tuple[Transfer, ...]:
    """Transfers to and from an organisation, newest first."""
    concerned = or_(TransferRow.to_organisation == organisation, TransferRow.from_organisation == organisation)
    statement = select(TransferRow, CertificateRow).join(CertificateRow, CertificateRow.id == TransferRow.certificate_id).where(concerned)
    if state is not None:
        statement = statement.where(TransferRow.state == state)
    rows = await session.execute(statement.order_by(TransferRow.id.desc()).limit(PAGE))
    return tuple(_view(row, certificate) for row, certificate in rows)


async def awaits(session: AsyncSession, certificate_id: uuid.UUID, receiver: str) -> bool:
    """Whether the certificate is on its way to that organisation."""
    found = select(TransferRow.id).where(
        TransferRow.certificate_id == certificate_id, TransferRow.state == OPEN, TransferRow.to_organisation == receiver
    )
    return await session.scalar(found) is not None


async def _transfer(
    database: Database, now: dt.datetime, actor: Actor, certificate_id: uuid.UUID, receiver: str, grounds: Grounds, key: str | None
) -> Certificate:
    async with database.begin() as session:
        certificate = await _held(session, actor, certificate_id)
        if key is not None and await done_before(session, actor, certificate_id, "transfer", key):
            return certificate
        organisation = await get_organisation(session, receiver)
        if organisation is None or not organisation.active or receiver == certificate.issuer:
            raise ReceiverUnknown
        moved = await apply(session, now, actor, certificate, find_move("transfer", certificate.status), grounds, key)
        session.add(
            TransferRow(
                id=new_id(), certificate_id=certificate_id, from_organisation=certificate.issuer, to_organisation=receiver, state=OPEN,
                reason=grounds.reason, opened_at=now, closed_at=None, successor=None,
            )
        )  # fmt: skip
        _tell(session, now, certificate, receiver, "transfer")
        return moved


async def _undo(
    database: Database, now: dt.datetime, actor: Actor, certificate_id: uuid.UUID, grounds: Grounds, key: str | None
) -> Certificate:
    async with database.begin() as session:
        certificate = await _held(session, actor, certificate_id)
        if key is not None and await done_before(session, actor, certificate_id, "undo_transfer", key):
            return certificate
        moved = await apply(session, now, actor, certificate, find_move("undo_transfer", certificate.status), grounds, key)
        row = await session.scalar(select(TransferRow).where(TransferRow.certificate_id == certificate_id, TransferRow.state == OPEN))
        if row is not None:
            row.state, row.closed_at = UNDONE, now
            _tell(session, now, certificate, row.to_organisation, "undo_transfer")
        return moved


async def _held(session: AsyncSession, actor: Actor, certificate_id: uuid.UUID) -> Certificate:
    await session.execute(select(CertificateRow.id).where(CertificateRow.id == certificate_id).with_for_update())
    return await changeable(session, actor, certificate_id)


def _tell(session: AsyncSession, now: dt.datetime, certificate: Certificate, receiver: str, move: str) -> None:
    payload: dict[str, JSON] = {
        "id": str(certificate.id), "identifier": certificate.identifier, "type": certificate.type_code, "from": certificate.issuer,
        "to": receiver, "move": move,
    }  # fmt: skip
    write_event(session, now, "certificate.transfer", certificate.id, payload, to=[receiver])


def _view(row: TransferRow, certificate: CertificateRow) -> Transfer:
    return Transfer(
        row.id, row.certificate_id, certificate.identifier, certificate.type_code, certificate.type_name, row.from_organisation,
        row.to_organisation, row.state, row.reason, row.opened_at, row.closed_at, row.successor,
    )  # fmt: skip


async def _refused(database: Database, clock: Clock, actor: Actor, move: str, certificate_id: uuid.UUID, error: FujieError) -> None:
    event = Event(f"certs.{move}", f"certificate:{certificate_id}", audit.Outcome.REFUSED, actor, code=error.code)
    await audit.record_alone(database, clock.now(), event)
