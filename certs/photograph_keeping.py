"""A holder's photograph between the approval and the print: sealed beside the reserved certificate, dropped once it is printed.

It is kept already cut and written anew (:func:`certs.photographs.kept`), so that nothing that hid in the file that came in is ever stored.
"""

import base64
import uuid

from sqlalchemy import delete

from certs.photograph_models import PhotographRow, photograph_context
from identity.personal_data import PersonalData
from keys.base.db import AsyncSession, Database


def keep_photograph(session: AsyncSession, personal: PersonalData, certificate_id: uuid.UUID, octets: bytes) -> None:
    """In the transaction that reserves the certificate."""
    sealed = personal.seal(base64.b64encode(octets).decode(), photograph_context(certificate_id))
    session.add(PhotographRow(certificate_id=certificate_id, photo_sealed=sealed))


async def kept_photograph(database: Database, personal: PersonalData, certificate_id: uuid.UUID) -> bytes:
    """For its print. Raises ``sqlalchemy.exc.NoResultFound`` once it is printed, ``EnvelopeInvalid``."""
    async with database.session() as session:
        row = await session.get_one(PhotographRow, certificate_id)
    return base64.b64decode(personal.open(row.photo_sealed, photograph_context(certificate_id)))


async def drop_photograph(session: AsyncSession, certificate_id: uuid.UUID) -> None:
    """In the transaction that records what became of the certificate."""
    await session.execute(delete(PhotographRow).where(PhotographRow.certificate_id == certificate_id))
