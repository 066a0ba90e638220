"""One document of a batch as an approver must see it: exactly as it will be sealed, and as it was sealed afterwards."""

import uuid

from keys.base.actor import Actor
from seal.batches import get_batch
from seal.document_errors import DocumentNotFound
from seal.document_models import BatchDocumentRow, BatchRow, DocumentRow
from seal.document_reads import document_view
from seal.document_stamping import foreseen
from seal.document_values import Document, Sealing
from seal.material import load_material
from seal.reach import within_reach
from seal.reads import get_seal
from seal.stamp_plans import plan_of

_RESOLUTION = 110


async def batch_document(sealing: Sealing, actor: Actor, batch_id: uuid.UUID, position: int) -> Document:
    """The upload at that place of the batch, for whoever may see the batch. Raises ``DOCUMENT_NOT_FOUND``."""
    await get_batch(sealing, actor, batch_id)
    async with sealing.database.session() as session:
        row = await session.get(BatchDocumentRow, (batch_id, position))
        if row is None:
            raise DocumentNotFound(str(position))
        return document_view(await session.get_one(DocumentRow, row.document_id))


async def batch_picture(sealing: Sealing, actor: Actor, batch_id: uuid.UUID, position: int, page: int, dpi: int = _RESOLUTION) -> bytes:
    """One page (counted from 0) as PNG. The seal is on it for those only whom its impression may reach.

    Raises ``DOCUMENT_NOT_FOUND``, ``DOCUMENT_PAGE_MISSING``, what the plan cannot be on this document.
    """
    document = await batch_document(sealing, actor, batch_id, position)
    async with sealing.database.begin() as session:
        batch, row = await session.get_one(BatchRow, batch_id), await session.get_one(BatchDocumentRow, (batch_id, position))
        near = await within_reach(session, actor, await get_seal(session, batch.seal_code))
        material = await load_material(session, sealing.keystore, sealing.clock.now(), batch.seal_code)
    pdf = await sealing.blobs.get(row.sealed_hash or row.document_hash)
    if row.sealed_hash is None and near:
        plan = plan_of(batch.plan, len(document.pages))
        pdf = await sealing.workers.run(foreseen, pdf, material, plan, sealing.clock.now())
    return (await sealing.rebuilder.draw(pdf, [page], dpi))[0]
