"""A scan becomes a sealed "copy of paper": what an import brought of trust grade B or C can be verified like any certificate.

1. take     a scan that waits, by lease; several processes share them
2. draw     the scan's pages in the sandbox
3. place    transaction 1: a verification code, a place in a status list and, where the type says so, an offline code. Once.
4. print    the copy of paper, in a worker (``certs.paper_copies``)
5. permit   the seal's policy is asked for this one document: the service of the house holds the keeper's grant for it
6. stamp    and store; then transaction 2: the permit is spent, the record has its file, history, audit

A scan that cannot be read or may not be sealed is failed by name and keeps its record; a failure of ours is tried again.
"""

import asyncio
import base64
import datetime as dt
import os
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from sqlalchemy import delete, func, or_, select, update

from certs.copy_pictures import PagePicture
from certs.ingestion_files import file_digest
from certs.ingestion_models import ScanRow
from certs.ingestion_scans import scans_below
from certs.lifecycle import Operation
from certs.metadata import describe, encode
from certs.models import CertificateRow, EventRow
from certs.offline_signing import give_place, has_place
from certs.paper_copies import PaperCopyJob, render_paper_copy
from certs.reads import get_certificate, type_of
from certs.records import Certificate
from certs.rendering import Rendered
from certs.service_grants import Service, grant_service
from certs.stages import Issuing
from certs.timestamps import enqueue_timestamp
from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.base.ids import new_code, new_id
from keys.evidence import audit
from keys.evidence.audit import Event
from seal.material import load_material
from seal.permits import Permit, UseRequest, consume_permit, request_permit
from seal.reads import Seal, get_seal
from seal.sandbox import Room, Silent
from seal.stamping import stamp
from seal.trust import Trust

log = structlog.get_logger("fujie.certs.scans")

DOCUMENT_KIND = "paper_copy"
SCANNING = Service("fujie:scans", DOCUMENT_KIND, 200_000, dt.timedelta(days=365))
ROOM = Room("certs.scan_room")
SECONDS = 9.0
LEASE = dt.timedelta(minutes=3)
MOST_ATTEMPTS = 5
_SERVER_ERROR = 500


class ScanUnreadable(FujieError):
    """No page could be drawn of the scan: damaged, too large, too many pages."""

    code = "SCAN_UNREADABLE"
    status = 422
    public = ("扫描件无法读取，或页数过多。", "The scan cannot be read, or has too many pages.")


@dataclass(frozen=True, slots=True)
class _Work:
    """A scan under way."""

    scan: ScanRow
    certificate: Certificate
    seal: Seal
    metadata: bytes


async def grant_scans(session: AsyncSession, now: dt.datetime, actor: Actor, seal_code: str, matter_code: str) -> None:
    """Let the service seal copies of paper with a seal in a matter; nothing where it may already.

    Raises ``GrantForbidden``, ``SealNotFound``, ``GrantInvalid``.
    """
    await grant_service(session, now, actor, SCANNING, seal_code, matter_code)


async def work_scans(issuing: Issuing, most: int = 100) -> int:
    """Seal up to so many of the scans that wait; how many were sealed."""
    done = 0
    for _ in range(most):
        taken = await _take(issuing)
        if taken is None:
            break
        done += await _carry(issuing, taken)
    return done


async def scan_states(database: Database, import_id: uuid.UUID) -> list[tuple[str, str | None, int]]:
    """(state, failure, how many) of an import's scans."""
    counted = select(ScanRow.state, ScanRow.failure, func.count()).where(ScanRow.import_id == import_id)
    async with database.session() as session:
        rows = await session.execute(counted.group_by(ScanRow.state, ScanRow.failure).order_by(ScanRow.state, ScanRow.failure))
        return [(state, failure, count) for state, failure, count in rows]


async def try_again(database: Database, import_id: uuid.UUID) -> int:
    """Put scans back that were not sealed for want of a right or by a fault of ours; how many. What cannot be read stays failed."""
    failed = (ScanRow.import_id == import_id) & (ScanRow.state == "failed") & (ScanRow.failure != ScanUnreadable.code)
    async with database.begin() as session:
        again = update(ScanRow).where(failed).values(state="waiting", failure=None, lease_until=None, attempts=0)
        return len((await session.scalars(again.returning(ScanRow.certificate_id))).all())


async def drop_scan_of(session: AsyncSession, certificate_id: uuid.UUID) -> list[bytes]:
    """The certificate is disposed of: so is what was scanned."""
    gone = delete(ScanRow).where(ScanRow.certificate_id == certificate_id).returning(ScanRow.scan_digest)
    return list(await session.scalars(gone))


async def unlisted(database: Database, import_id: uuid.UUID, folder: Path) -> list[str]:
    """Scans below the folder that no row of the import brought, known by their content."""
    async with database.session() as session:
        known = set(await session.scalars(select(ScanRow.scan_digest).where(ScanRow.import_id == import_id)))
    return [name for name in scans_below(folder) if file_digest(folder / name) not in known]


async def _take(issuing: Issuing) -> ScanRow | None:
    now = issuing.clock.now()
    async with issuing.database.begin() as session:
        free = or_(ScanRow.lease_until.is_(None), ScanRow.lease_until < now)
        waiting = select(ScanRow).where(ScanRow.state == "waiting", free).order_by(ScanRow.certificate_id)
        row = await session.scalar(waiting.limit(1).with_for_update(skip_locked=True))
        if row is None:
            return None
        row.lease_until, row.attempts = now + LEASE, row.attempts + 1
        return row


async def _carry(issuing: Issuing, scan: ScanRow) -> int:
    try:
        pages = await _drawn(issuing, scan)
        work = await _placed(issuing, scan)
        rendered = await _printed(issuing, work, pages)
        await _sealed(issuing, work, rendered)
    except FujieError as error:
        await _settle(issuing, scan, error)
        return 0
    return 1


async def _placed(issuing: Issuing, scan: ScanRow) -> _Work:
    """Step 3; what an earlier attempt gave stays."""
    async with issuing.database.begin() as session:
        row = await session.get_one(CertificateRow, scan.certificate_id, with_for_update=True)
        seal = await get_seal(session, scan.seal_code)
        if row.verification_code is None:
            row.verification_code = new_code()
            await session.flush()
        certificate = await get_certificate(session, scan.certificate_id)
        kind = await type_of(session, certificate)
        if certificate is None:
            raise ScanUnreadable("its record is gone")
        if not await has_place(session, certificate.id):
            await give_place(session, issuing.keystore, certificate, kind)
        named = replace(certificate, seal_name=seal.name, sealed_at=None)
        return _Work(scan, certificate, seal, encode(describe(named, kind)))


async def _printed(issuing: Issuing, work: _Work, pages: tuple[PagePicture, ...]) -> Rendered:
    certificate = work.certificate
    job = PaperCopyJob(
        pages=pages, title_zh=certificate.type_name or "证照", number=certificate.number,
        identifier=certificate.identifier, holders=tuple(one.name for one in certificate.holders if one.name),
        issuer=certificate.issuer_name, valid_from=certificate.valid_from, valid_to=certificate.valid_to, grade=certificate.trust_grade,
        maker=work.seal.organisation_name, made_at=issuing.gate.now().replace(microsecond=0), scan_hash=work.scan.scan_digest,
        verify_url=f"{issuing.base_url}/v/{certificate.verification_code}", verification_code=certificate.verification_code or "",
        metadata=work.metadata,
    )  # fmt: skip
    return await issuing.workers.run(render_paper_copy, job, issuing.fonts)


async def _drawn(issuing: Issuing, scan: ScanRow) -> tuple[PagePicture, ...]:
    data = await issuing.blobs.get(scan.scan_digest)
    answer = await asyncio.to_thread(_ask_room, data, issuing.clock.now())
    pages = answer.get("pages") if isinstance(answer, dict) else None
    if not pages:
        raise ScanUnreadable(scan.scan_digest.hex())
    return tuple(PagePicture(base64.b64decode(jpeg), float(width), float(height)) for jpeg, width, height in pages)


def _ask_room(data: bytes, now: dt.datetime) -> object:
    file = os.memfd_create("scan")
    try:
        with os.fdopen(os.dup(file), "wb") as out:
            out.write(data)
        answer: object = ROOM.answer(file, Trust(), now, SECONDS)
        return answer
    except Silent:
        return None
    finally:
        os.close(file)


async def _sealed(issuing: Issuing, work: _Work, rendered: Rendered) -> None:
    scan, digest = work.scan, bytes.fromhex(rendered.sha256)
    service = Actor(ActorKind.CLIENT, SCANNING.name, "存量扫描件 Scans of stock", work.seal.organisation, work.seal.division)
    use = UseRequest(scan.seal_code, service, scan.matter_code, None, digest, unattended=True, document_kind=DOCUMENT_KIND)
    permit: Permit = await request_permit(issuing.database, issuing.gate, use)
    async with issuing.database.begin() as session:
        material = await load_material(session, issuing.keystore, issuing.gate.now(), permit.seal_code, standing=permit.standing)
    signing_time = issuing.gate.now().replace(microsecond=0)
    stamped = await issuing.workers.run(stamp, permit, rendered.pdf, material, rendered.seal_place, issuing.keystore, signing_time)
    stored, now = await issuing.blobs.put(stamped.pdf), issuing.clock.now()
    async with issuing.database.begin() as session:
        done = update(ScanRow).where(ScanRow.certificate_id == scan.certificate_id, ScanRow.state == "waiting")
        taken = await session.scalar(done.values(state="done", lease_until=None, failure=None).returning(ScanRow.certificate_id))
        if taken is None:
            return  # another run was faster; this permit stays unspent
        await consume_permit(session, now, permit, digest)
        values = {"document_hash": stored, "seal_code": scan.seal_code, "seal_name": work.seal.name, "sealed_at": signing_time}
        await session.execute(update(CertificateRow).where(CertificateRow.id == scan.certificate_id).values(**values))
        session.add(_history(work, now, service))
        await enqueue_timestamp(session, now, scan.certificate_id, stored)
        details: dict[str, audit.JSON] = {"scan": scan.scan_digest.hex(), "document": stored.hex(), "seal": scan.seal_code}
        await audit.record(session, now, _event(scan, audit.Outcome.DONE, service, details))


def _history(work: _Work, now: dt.datetime, actor: Actor) -> EventRow:
    return EventRow(
        id=new_id(), certificate_id=work.certificate.id, at=now, operation=Operation.OTHER.value, from_status=work.certificate.status.value,
        to_status=work.certificate.status.value, reason="copy of paper sealed", actor_kind=actor.kind.value, actor_id=actor.id,
        actor_name=actor.name,
    )  # fmt: skip


def _event(scan: ScanRow, outcome: audit.Outcome, actor: Actor, details: dict[str, audit.JSON], code: str | None = None) -> Event:
    return Event("certs.scan.seal", f"certificate:{scan.certificate_id}", outcome, actor, details, code)


async def _settle(issuing: Issuing, scan: ScanRow, error: FujieError) -> None:
    """A refusal ends it; a failure of ours is tried again when its lease has run out, up to a bound."""
    final = error.status < _SERVER_ERROR or scan.attempts >= MOST_ATTEMPTS
    log.warning("scan not sealed", certificate=str(scan.certificate_id), code=error.code, final=final)
    now = issuing.clock.now()
    async with issuing.database.begin() as session:
        values = {"state": "failed" if final else "waiting", "failure": error.code}
        await session.execute(update(ScanRow).where(ScanRow.certificate_id == scan.certificate_id).values(**values))
        if final:
            service = Actor(ActorKind.CLIENT, SCANNING.name, "存量扫描件 Scans of stock")
            outcome = audit.Outcome.REFUSED if error.status < _SERVER_ERROR else audit.Outcome.FAILED
            await audit.record(session, now, _event(scan, outcome, service, {"scan": scan.scan_digest.hex()}, error.code))
