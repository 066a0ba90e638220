"""Step 7 of issuing, transaction 2: the closing writes. Each asks for the lease its run began with."""

import datetime as dt

from sqlalchemy import update

from certs.approvals import IssuingInProgress, Outcome, OutcomeStatus
from certs.archiving import subject
from certs.glyph_models import GlyphWaitRow
from certs.idempotency import free_key, save_answer
from certs.legibility import GlyphMissing
from certs.lifecycle import TRANSFER_IN, Operation, Status
from certs.merging import settle_merged
from certs.models import CertificateRow, EventRow, IssuingRow
from certs.outbox import write_event
from certs.photograph_keeping import drop_photograph
from certs.records import Certificate, Stage
from certs.sealing import place_values
from certs.stages import Issuing, Rendered, Reserved, Stamped
from certs.standing import end_predecessor
from certs.timestamps import enqueue_timestamp
from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import FujieError
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event
from seal.permits import consume_permit
from seal.upgrades import enrol


async def record_issued(issuing: Issuing, stamped: Stamped, stage: Stage = Stage.RESERVED) -> Outcome:
    """Spend the permit and make the certificate exist: record, history, audit, answer, outgoing event and its place in the queue
    of time stamps in one transaction.

    Raises what ``consume_permit`` raises, and ``IssuingInProgress`` when another run took the work over.
    """
    permitted = stamped.permitted
    reserved = permitted.rendered.reserved
    certificate, now = reserved.certificate, issuing.clock.now()
    outcome = _outcome(certificate, OutcomeStatus.ISSUED)
    async with issuing.database.begin() as session:
        await _close(session, reserved, stage, Stage.ISSUED)
        await consume_permit(session, now, permitted.permit, permitted.rendered.document_hash)
        values = {"document_hash": stamped.document_hash, "sealed_at": stamped.signing_time, "issued_at": now}
        await session.execute(update(CertificateRow).where(CertificateRow.id == certificate.id).values(stage=Stage.ISSUED.value, **values))
        session.add(_history(reserved, now, permitted.actor))
        await end_predecessor(session, now, permitted.actor, reserved)
        if reserved.merges:
            await settle_merged(session, now, permitted.actor, certificate)
        write_event(session, now, "certificate.issued", certificate.id, _issued(certificate))
        await enqueue_timestamp(session, now, certificate.id, stamped.document_hash)
        if issuing.archived.covers(certificate.type_code):
            await enrol(session, now, subject(certificate.id), stamped.document_hash)
        await save_answer(session, outcome)
        details: dict[str, JSON] = {
            "identifier": certificate.identifier,
            "document": stamped.document_hash.hex(),
            "unsealed": permitted.rendered.document_hash.hex(),
            "seal": certificate.seal_code,
        }
        await audit.record(session, now, _event("record", certificate, audit.Outcome.DONE, permitted.actor, details))
    return outcome


async def park(issuing: Issuing, rendered: Rendered) -> Outcome:
    """Keep the unsealed PDF until an approver stamps it. What the approver approves is its hash."""
    reserved = rendered.reserved
    certificate, now = reserved.certificate, issuing.clock.now()
    outcome = _outcome(certificate, OutcomeStatus.AWAITING_STAMP)
    await issuing.blobs.put(rendered.pdf)
    async with issuing.database.begin() as session:
        await _close(
            session, reserved, Stage.RESERVED, Stage.AWAITING_STAMP,
            unsealed_hash=rendered.document_hash, seal_place=place_values(rendered),
        )  # fmt: skip
        await session.execute(update(CertificateRow).where(CertificateRow.id == certificate.id).values(stage=Stage.AWAITING_STAMP.value))
        await save_answer(session, outcome)
        details: dict[str, JSON] = {"unsealed": rendered.document_hash.hex()}
        await audit.record(session, now, _event("park", certificate, audit.Outcome.DONE, reserved.actor, details))
    return outcome


async def await_glyphs(issuing: Issuing, reserved: Reserved, missing: GlyphMissing) -> Outcome:
    """Wait for the characters that no font has (:mod:`certs.rare_characters`): kept in the queue, told to whoever asked."""
    certificate, now = reserved.certificate, issuing.clock.now()
    characters = missing.characters
    outcome = _outcome(certificate, OutcomeStatus.AWAITING_GLYPH)
    async with issuing.database.begin() as session:
        await _close(session, reserved, Stage.RESERVED, Stage.AWAITING_GLYPH, failure=missing.code)
        waits = update(CertificateRow).where(CertificateRow.id == certificate.id).values(stage=Stage.AWAITING_GLYPH.value)
        await session.execute(waits)
        session.add_all(GlyphWaitRow(certificate_id=certificate.id, character=one, since=now) for one in characters)
        await save_answer(session, outcome)
        write_event(session, now, "certificate.awaiting_glyph", certificate.id, _about(certificate) | {"characters": [*characters]})
        details: dict[str, JSON] = {"characters": [f"U+{ord(one):04X}" for one in characters]}
        await audit.record(session, now, _event("wait", certificate, audit.Outcome.DONE, reserved.actor, details))
    return outcome


async def void(
    issuing: Issuing, reserved: Reserved, error: FujieError, actor: Actor, stage: Stage = Stage.RESERVED, reason: str = ""
) -> None:
    """Give up: the number stays taken and void, the caller's key is free again, the refusal stands in the audit.

    ``reason`` is a person's: it stands in the outgoing event, for whoever sent the approval.
    """
    certificate, now = reserved.certificate, issuing.clock.now()
    async with issuing.database.begin() as session:
        await _close(session, reserved, stage, Stage.VOID, failure=error.code)
        await session.execute(
            update(CertificateRow)
            .where(CertificateRow.id == certificate.id)
            .values(stage=Stage.VOID.value, status=Status.OTHER.value, verification_code=None)
        )
        await free_key(session, certificate.id)
        if reason:
            write_event(session, now, "certificate.declined", certificate.id, _about(certificate) | {"code": error.code, "reason": reason})
        outcome = audit.Outcome.REFUSED if error.status < 500 else audit.Outcome.FAILED
        await audit.record(session, now, _event("void", certificate, outcome, actor, {"identifier": certificate.identifier}, error.code))


async def _close(session: AsyncSession, reserved: Reserved, before: Stage, after: Stage, **values: object) -> None:
    """The photograph is dropped unless the certificate is yet to be printed: from here on the file has it."""
    statement = (
        update(IssuingRow)
        .where(IssuingRow.certificate_id == reserved.certificate.id, IssuingRow.stage == before.value)
        .where(IssuingRow.lease_owner == reserved.lease)
        .values(stage=after.value, lease_owner=None, lease_until=None, **values)
        .returning(IssuingRow.certificate_id)
    )
    if await session.scalar(statement) is None:
        raise IssuingInProgress("the lease is no longer ours")
    if reserved.photo and after is not Stage.AWAITING_GLYPH:
        await drop_photograph(session, reserved.certificate.id)


def _outcome(certificate: Certificate, status: OutcomeStatus) -> Outcome:
    return Outcome(certificate.id, certificate.identifier, certificate.verification_code or "", status)


def _history(reserved: Reserved, now: dt.datetime, actor: Actor) -> EventRow:
    operation = Operation.TRANSFER_IN if reserved.move == TRANSFER_IN else Operation.ISSUE
    return EventRow(
        id=new_id(), certificate_id=reserved.certificate.id, at=now, operation=operation.value, from_status=None,
        to_status=Status.VALID.value, reason="", actor_kind=actor.kind.value, actor_id=actor.id, actor_name=actor.name,
    )  # fmt: skip


def _about(certificate: Certificate) -> dict[str, JSON]:
    return {"id": str(certificate.id), "identifier": certificate.identifier}


def _issued(certificate: Certificate) -> dict[str, JSON]:
    return _about(certificate) | {"type": certificate.type_code, "issuer": certificate.issuer, "status": Status.VALID.value}


def _event(
    step: str, certificate: Certificate, outcome: audit.Outcome, actor: Actor, details: dict[str, JSON], code: str | None = None
) -> Event:
    return Event(f"certs.issue.{step}", f"certificate:{certificate.id}", outcome, actor, details, code)
