"""What the issuer's record says today of a certificate that was known by its file."""

import datetime as dt

from sqlalchemy import select

from certs.models import CertificateRow
from certs.records import Stage
from certs.verification import RecordReport, record_by_code
from keys.base.db import Database


async def record_by_identifier(database: Database, now: dt.datetime, identifier: str) -> RecordReport | None:
    """The record with this GB/T 36904 identifier, as :func:`record_by_code` reports it; None where none was issued here.

    A genuine file says what was true when it was sealed; whether the certificate stands today only the record says.
    """
    statement = select(CertificateRow.verification_code).where(
        CertificateRow.identifier == identifier, ~CertificateRow.duplicate, CertificateRow.stage == Stage.ISSUED
    )
    async with database.session() as session:
        code = await session.scalar(statement)
    return await record_by_code(database, now, code) if code else None
