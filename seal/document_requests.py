"""From an upload to a request: a document is rebuilt, and somebody asks that it be sealed.

1. upload    the file is rebuilt in a process of its own, stored under its hash, and what went is noted; a refusal leaves nothing
2. request   seals, matters and places are checked and tried out on the document; a key that came before gets its first answer
3. wait      for approvers (``seal.document_approving``), or stamp at once where a client may use the seal unattended

What is sealed is what was rebuilt: the file that was sent is never stored and never changed.
"""

import uuid
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession
from keys.base.errors import FujieError
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.approvals import requirements_of
from seal.document_carrying import carry
from seal.document_errors import JointPlanWrong, RequestForbidden, RequestKeyReused
from seal.document_levels import Level
from seal.document_lifecycle import RequestMove, request_target
from seal.document_models import DocumentRow, RequestedSealRow, SealRequestRow
from seal.document_moves import begin
from seal.document_reads import document_view, get_document, get_request
from seal.document_stamping import foreseen
from seal.document_values import LONGEST_TITLE, Document, Sealing, SealingOrder, SealRequest, kept_actor, require_key, require_staff
from seal.legible import require_legible
from seal.material import SealMaterial, load_material
from seal.placing import Certification, Profile
from seal.policy_facts import Place
from seal.reads import get_seal
from seal.rebuilding import Rebuilt
from seal.stamp_plans import PlanUnreadable, digest_of, places_of, plan_of, plan_value
from seal.upload_keeping import hold, keep_for, require_room

MOST_SEALS = 20


async def upload(sealing: Sealing, actor: Actor, source: bytes, name: str) -> Document:
    """Take a document to be sealed. The same file of the same name and sender again: the same answer.

    Raises ``DOCUMENT_REQUEST_FORBIDDEN`` and what :meth:`seal.rebuilding.Rebuilder.rebuild` raises; refusals are audited.
    """
    try:
        organisation = require_staff(actor)
        require_legible(name=name)
        async with sealing.database.session() as session:
            await require_room(session, actor, organisation, sealing.uploads, more=1)
        rebuilt = await sealing.rebuilder.rebuild(source)
        await sealing.blobs.put(rebuilt.pdf)
        return await _keep(sealing, actor, organisation, rebuilt, name[:LONGEST_TITLE])
    except FujieError as error:
        event = Event("seal.document.upload", "document", Outcome.REFUSED, actor, code=error.code)
        await audit.record_alone(sealing.database, sealing.clock.now(), event)
        raise


async def _keep(sealing: Sealing, actor: Actor, organisation: str, rebuilt: Rebuilt, name: str) -> Document:
    now, identifier = sealing.clock.now(), new_id()
    row = {
        "id": identifier, "organisation": organisation, "uploader": actor.id, "name": name, "source_hash": rebuilt.source_hash,
        "document_hash": rebuilt.document_hash, "octets": len(rebuilt.pdf), "removed": rebuilt.removed,
        "pages": [{"width_mm": width, "height_mm": height} for width, height in rebuilt.pages],
        "not_embedded": list(rebuilt.not_embedded), "uploaded_at": now,
    }  # fmt: skip
    async with sealing.database.begin() as session:
        await hold(session, organisation)
        again = (
            insert(DocumentRow)
            .values(row)
            .on_conflict_do_update(index_elements=["organisation", "uploader", "source_hash", "name"], set_={"uploaded_at": now})
        )
        await session.execute(again)
        kept = (
            await session.scalars(
                select(DocumentRow).where(
                    DocumentRow.organisation == organisation,
                    DocumentRow.uploader == actor.id,
                    DocumentRow.source_hash == rebuilt.source_hash,
                    DocumentRow.name == name,
                )
            )
        ).one()
        if kept.id == identifier:
            await require_room(session, actor, organisation, sealing.uploads)
            details: dict[str, audit.JSON] = {"source": rebuilt.source_hash.hex(), "document": rebuilt.document_hash.hex()}
            await audit.record(session, now, Event("seal.document.upload", f"document:{kept.id}", Outcome.DONE, actor, details))
        return document_view(kept)


async def request_sealing(
    sealing: Sealing, actor: Actor, order: SealingOrder, key: str | None, *, place: Place | None = None
) -> SealRequest:
    """Ask that a document be sealed; for a client's unattended use it is sealed when this returns.

    Raises the refusals of ``seal.document_errors``, ``STAMP_PLAN_INVALID``, ``SEAL_NOT_FOUND``, what the places cannot be
    (``seal.placing_errors``) and, where it stamps at once, what :func:`seal.document_carrying.carry` raises.
    """
    try:
        return await _request(sealing, actor, order, require_key(key), place)
    except FujieError as error:
        event = Event("seal.document.request", f"document:{order.document_id}", Outcome.REFUSED, actor, code=error.code)
        await audit.record_alone(sealing.database, sealing.clock.now(), event)
        raise


async def _request(sealing: Sealing, actor: Actor, order: SealingOrder, key: str, place: Place | None) -> SealRequest:
    require_legible(title=order.title)
    organisation, digest = require_staff(actor), order_digest(order)
    earlier = await _recall(sealing, actor, key, digest)
    if earlier is not None:
        return earlier
    if order.unattended and actor.kind is not ActorKind.CLIENT:
        raise RequestForbidden("only a client uses a seal unattended")
    async with sealing.database.begin() as session:
        document = await get_document(session, actor, order.document_id)
        materials = [await load_material(session, sealing.keystore, sealing.clock.now(), line.seal_code) for line in order.seals]
    plans = planned(order, document, materials)
    await try_out(sealing, document.document_hash, materials[0], plans[0], len(document.pages))
    async with sealing.database.begin() as session:
        row = await _write(session, sealing, actor, organisation, order, key, digest, document, plans, place)
        lease = await begin_first(session, sealing, actor, row) if row is not None else None
    if row is None:
        return await _first_answer(sealing, actor, key, digest)
    if lease is not None:
        return await carry(sealing, row.id, lease)
    async with sealing.database.session() as session:
        return await get_request(session, actor, row.id)


async def _first_answer(sealing: Sealing, actor: Actor, key: str, digest: bytes) -> SealRequest:
    """The request that took the key at the same moment."""
    found = await _recall(sealing, actor, key, digest)
    if found is None:
        raise RequestKeyReused
    return found


def order_digest(order: SealingOrder) -> bytes:
    """What an order is recognised by."""
    return digest_of(order=asdict(order) | {"document_id": str(order.document_id)})


def planned(order: SealingOrder, document: Document, materials: list[SealMaterial]) -> list[dict[str, Any]]:
    """The plan of each seal: the first prepares the places of those that follow. Pure.

    Raises :class:`JointPlanWrong`, :class:`PlanUnreadable`.
    """
    lines, joint = order.seals, len(order.seals) > 1
    codes = [line.seal_code for line in lines]
    if not 1 <= len(lines) <= MOST_SEALS or len(set(codes)) != len(codes) or not all(line.placements for line in lines):
        raise JointPlanWrong("seals")
    certification = _certification(order, joint)
    for line in lines:
        places_of(line.placements, len(document.pages))
    later = [
        {
            "title": material.name, "seal_code": line.seal_code, "width_mm": material.width_mm, "height_mm": material.height_mm,
            "placements": [dict(one) for one in line.placements],
        }
        for line, material in zip(lines[1:], materials[1:], strict=True)
    ]  # fmt: skip
    first = plan_value(lines[0].placements, certification, order.profile, later)
    plans = [first, *(plan_value((), Certification.NONE, order.profile) for _ in later)]
    return [*plans[:-1], plans[-1] | {"level": str(level_of(order))}]


def level_of(order: SealingOrder) -> Level:
    """The level of the finished file. Raises :class:`PlanUnreadable`; a stamp without PAdES has none but B-B."""
    if order.level not in tuple(Level) or (order.level != Level.B_B and order.profile != Profile.PADES):
        raise PlanUnreadable("level", errors=[{"field": "level", "message": "B-B, B-T, B-LT or B-LTA of a PAdES signature"}])
    return Level(order.level)


def _certification(order: SealingOrder, joint: bool) -> Certification:
    try:
        given = None if order.certification is None else Certification(order.certification)
        Profile(order.profile)
    except ValueError as error:
        raise PlanUnreadable("certification", errors=[{"field": "certification", "message": "0, 1 or 2"}]) from error
    if joint and given is Certification.P1:
        raise JointPlanWrong("P 1 permits no later seal")
    return (Certification.P2 if joint else Certification.P1) if given is None else given


async def try_out(sealing: Sealing, document_hash: bytes, material: SealMaterial, plan: dict[str, Any], pages: int) -> None:
    """Whether the places can be had: a keyword that does not occur is refused now, not after the approval."""
    base = await sealing.blobs.get(document_hash)
    await sealing.workers.run(foreseen, base, material, plan_of(plan, pages), sealing.clock.now())


async def _recall(sealing: Sealing, actor: Actor, key: str, digest: bytes) -> SealRequest | None:
    async with sealing.database.session() as session:
        query = select(SealRequestRow).where(SealRequestRow.requester == actor.id, SealRequestRow.idempotency_key == key)
        row = await session.scalar(query)
        if row is None:
            return None
        if row.order_digest != digest:
            raise RequestKeyReused
        return await get_request(session, actor, row.id)


async def _write(
    session: AsyncSession, sealing: Sealing, actor: Actor, organisation: str, order: SealingOrder, key: str, digest: bytes,
    document: Document, plans: list[dict[str, Any]], place: Place | None,
) -> SealRequestRow | None:  # fmt: skip
    """The request and its seals; ``None`` where the key was taken meanwhile."""
    now = sealing.clock.now()
    await keep_for(session, [document.id])
    row = {
        "id": new_id(), "document_id": document.id, "organisation": organisation, "title": order.title[:LONGEST_TITLE],
        "matter_code": order.seals[0].matter_code, "document_kind": order.document_kind, "requester_kind": str(actor.kind),
        "requester": actor.id, "requester_name": actor.name, "unattended": order.unattended, "idempotency_key": key,
        "order_digest": digest, "position": 0, "status": request_target(None, RequestMove.SUBMIT), "status_since": now, "created_at": now,
    }  # fmt: skip
    taken: SealRequestRow | None = await session.scalar(
        insert(SealRequestRow).values(row).on_conflict_do_nothing().returning(SealRequestRow)
    )
    if taken is None:
        return None
    for position, (line, plan) in enumerate(zip(order.seals, plans, strict=True)):
        seal = await get_seal(session, line.seal_code)
        needed = (await requirements_of(session, seal.id)).approvals
        session.add(
            RequestedSealRow(
                request_id=taken.id, position=position, seal_code=line.seal_code, organisation=seal.organisation,
                matter_code=line.matter_code, plan=plan, approvals_needed=needed, attempts=0,
                stamper=kept_actor(actor, place) if order.unattended else None,
            )
        )  # fmt: skip
    await session.flush()
    return taken


async def begin_first(session: AsyncSession, sealing: Sealing, actor: Actor, row: SealRequestRow) -> uuid.UUID | None:
    """The first seal's turn; the lease of an unattended use that nobody need approve."""
    seal = await session.get_one(RequestedSealRow, (row.id, 0))
    document = await session.get_one(DocumentRow, row.document_id)
    return await begin(session, sealing.clock.now(), actor, row, seal, document.document_hash)
