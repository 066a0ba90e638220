"""What a holder is told: the events of the certificates they hold, newest first, and which of them are new.

Nothing is sent to a mobile or a mailbox: whoever logs in finds it. The events are those of the outbox; here stands only how far each
holder has read, under the blind index of their number.
"""

import datetime as dt
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Text, cast, func, select
from sqlalchemy.dialects.postgresql import insert

from certs.event_models import NoticeMarkRow
from certs.models import CertificateRow, HolderRow, OutboxRow
from certs.records import Stage
from certs.topics import TOPICS
from keys.base.db import AsyncSession

MOST_SHOWN = 20
_TO_HOLDERS = tuple(one.code for one in TOPICS.values() if one.to_holder)


@dataclass(frozen=True, slots=True)
class Notice:
    """``move`` where a status changed; ``new``: the holder has not seen it yet."""

    at: dt.datetime
    topic: str
    move: str
    certificate_id: uuid.UUID
    title: str
    type_code: str
    new: bool


async def notices_of(session: AsyncSession, indexes: Collection[bytes], limit: int = MOST_SHOWN) -> list[Notice]:
    """The latest of all certificates held under these blind indexes."""
    marks = select(func.coalesce(func.min(NoticeMarkRow.sequence), 0)).where(NoticeMarkRow.reader.in_(indexes))
    seen = await session.scalar(marks) or 0
    held = select(cast(HolderRow.certificate_id, Text)).where(HolderRow.code_index.in_(indexes))
    statement = (
        select(OutboxRow, CertificateRow.id, CertificateRow.type_name, CertificateRow.type_code)
        .join(CertificateRow, cast(CertificateRow.id, Text) == OutboxRow.subject)
        .where(OutboxRow.subject.in_(held), OutboxRow.topic.in_(_TO_HOLDERS), OutboxRow.sequence.is_not(None))
        .where(CertificateRow.stage == Stage.ISSUED.value)
        .order_by(OutboxRow.sequence.desc())
        .limit(limit)
    )
    return [
        Notice(event.created_at, event.topic, str(event.payload.get("move", "")), found, title, code, (event.sequence or 0) > seen)
        for event, found, title, code in await session.execute(statement)
    ]


async def mark_seen(session: AsyncSession, now: dt.datetime, indexes: Collection[bytes]) -> None:
    """Everything up to now was shown."""
    last = await session.scalar(select(func.max(OutboxRow.sequence))) or 0
    for index in indexes:
        seen = insert(NoticeMarkRow).values(reader=index, sequence=last, seen_at=now)
        later = NoticeMarkRow.sequence < last
        await session.execute(
            seen.on_conflict_do_update(index_elements=[NoticeMarkRow.reader], set_={"sequence": last, "seen_at": now}, where=later)
        )
