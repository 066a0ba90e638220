"""Files that are kept provable no longer: their record was disposed of."""

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from seal.upgrade_models import SealedFileRow, SealedVersionRow


async def stop_keeping(session: AsyncSession, subject: str) -> list[bytes]:
    """Take the file out of the list in the caller's transaction; the SHA-256 of every version there was."""
    file_id = await session.scalar(select(SealedFileRow.id).where(SealedFileRow.subject == subject).with_for_update())
    if file_id is None:
        return []
    versions = list(await session.scalars(select(SealedVersionRow.document_hash).where(SealedVersionRow.file_id == file_id)))
    await session.execute(delete(SealedVersionRow).where(SealedVersionRow.file_id == file_id))
    await session.execute(delete(SealedFileRow).where(SealedFileRow.id == file_id))
    return versions
