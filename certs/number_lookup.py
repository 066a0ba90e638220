"""A record by the number printed on the paper and something of its holder: for whoever has neither code nor file.

A number alone finds nothing: numbers run on, and whoever counts through them must not learn who holds what. The holder's detail is their
name, or their number in full; it is compared with what was recorded, never the other way round. Not found, wrong detail and not issued
are one answer; that they also take one time is the caller's to see to (:mod:`api.even_answers`).
"""

import datetime as dt
import hmac

from sqlalchemy import select

from certs.holders import holder_index
from certs.models import CertificateRow, HolderRow
from certs.records import Stage
from certs.verification import RecordReport, record_by_code
from identity.personal_data import PersonalData
from identity.realname_sources import normalise_name
from keys.base.db import AsyncSession, Database

MOST_ALIKE = 20
MOST_TYPED = 120


async def record_by_number(database: Database, personal: PersonalData, now: dt.datetime, number: str, detail: str) -> RecordReport:
    """The record with this number whose holder has this name or number; of several the newest. ``certificate`` is None for none."""
    async with database.session() as session:
        code = await _code(session, personal, number.strip()[:MOST_TYPED], detail.strip()[:MOST_TYPED])
    return await record_by_code(database, now, code)


async def _code(session: AsyncSession, personal: PersonalData, number: str, detail: str) -> str:
    """The verification code, or an empty text. Every holder of every candidate is compared, whether or not one matched before."""
    statement = (
        select(CertificateRow.verification_code, HolderRow)
        .join(HolderRow, HolderRow.certificate_id == CertificateRow.id)
        .where(CertificateRow.number == number, CertificateRow.stage == Stage.ISSUED, CertificateRow.verification_code.is_not(None))
        .order_by(CertificateRow.id.desc())
        .limit(MOST_ALIKE)
    )
    rows = (await session.execute(statement)).all() if number and detail else []
    matching = [code or "" for code, holder in rows if matches(personal, holder, detail)]
    return matching[0] if matching else ""


def matches(personal: PersonalData, holder: HolderRow, detail: str) -> bool:
    """Whether the detail is the holder's name or number."""
    name = hmac.compare_digest(normalise_name(holder.name).encode(), normalise_name(detail).encode())
    index = holder_index(personal, holder.code_type, detail)
    number = bool(index) and hmac.compare_digest(holder.code_index, index)
    return name or number
