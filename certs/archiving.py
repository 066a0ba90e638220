"""Which certificates are kept provable for decades (PAdES B-LTA), and reading the newest version of their files.

The record keeps the hash its file was issued with. A newer version has a hash of its own, and both lead here: see
:mod:`seal.upgrades`, which knows nothing of certificates.
"""

import uuid
from dataclasses import dataclass

from sqlalchemy import Select, select

from certs.models import CertificateRow
from certs.records import Stage
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from seal.upgrades import current_hash, enrol

_BATCH = 500
_ALL = "all"
_OFF = "off"
DOCUMENTS = "documents"
"""Beside codes of certificate types: documents that departments seal."""


@dataclass(frozen=True, slots=True)
class Archived:
    """The operator's choice. ``types``: codes of certificate types, and ``documents``; None: everything."""

    types: frozenset[str] | None = frozenset()

    def covers(self, type_code: str) -> bool:
        return self.types is None or type_code in self.types


def read_choice(text: str) -> Archived:
    """``off``, ``all``, or codes of certificate types and ``documents`` with commas between them."""
    chosen = text.strip()
    if chosen in ("", _OFF):
        return Archived()
    return Archived(None if chosen == _ALL else frozenset(filter(None, (one.strip() for one in chosen.split(",")))))


async def enrol_older(database: Database, clock: Clock, chosen: Archived) -> int:
    """Keep what was issued before the choice was made, too; how many certificates were looked at and chosen.

    In batches, each a transaction; what is enrolled already stays as it is, so it can be run again.
    """
    last, count = uuid.UUID(int=0), 0
    while True:
        async with database.begin() as session:
            rows = (await session.execute(_after(last))).all()
            for certificate_id, type_code, document_hash in rows:
                if document_hash is not None and chosen.covers(type_code):
                    await enrol(session, clock.now(), subject(certificate_id), document_hash)
                    count += 1
        if not rows:
            return count
        last = rows[-1][0]


def _after(last: uuid.UUID) -> Select[uuid.UUID, str, bytes | None]:
    columns = select(CertificateRow.id, CertificateRow.type_code, CertificateRow.document_hash)
    issued = columns.where(CertificateRow.stage == Stage.ISSUED.value, CertificateRow.sealed_at.is_not(None), CertificateRow.id > last)
    return issued.where(CertificateRow.document_hash.is_not(None)).order_by(CertificateRow.id).limit(_BATCH)


def subject(certificate_id: uuid.UUID) -> str:
    return f"certificate:{certificate_id}"


async def newest(session: AsyncSession, document_hash: bytes) -> bytes:
    """The hash of the newest version of a certificate's file."""
    return await current_hash(session, document_hash)
