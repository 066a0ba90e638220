"""Putting certificates into the full-text search, shortly after they were recorded.

The database's trigger queues every new certificate; whoever issues or imports waits for nothing. A record's words never change: a
changed certificate is a new one. What is disposed of is taken out in the same transaction.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from certs.catalogue import CertificateType, Mask
from certs.library_models import SearchQueueRow, SearchRow
from certs.models import CertificateRow
from certs.reads import holders_of, to_certificate, types_of
from certs.records import DISPOSED, Certificate
from certs.words import body_of, grams_of
from keys.base.db import AsyncSession, Database

BATCH = 500
_KEPT_OUT = frozenset({Mask.NUMBER, Mask.HIDDEN})


async def index_waiting(database: Database, *, most: int = 20 * BATCH) -> int:
    """Index up to ``most`` certificates that wait; how many. Any number of processes may do it at once."""
    done = 0
    while done < most and (batch := await _index_batch(database)):
        done += batch
    return done


async def _index_batch(database: Database) -> int:
    async with database.begin() as session:
        waiting = select(SearchQueueRow.certificate_id).order_by(SearchQueueRow.certificate_id).limit(BATCH)
        ids = list(await session.scalars(waiting.with_for_update(skip_locked=True)))
        if not ids:
            return 0
        entries = await entries_of(session, ids)
        if entries:
            await session.execute(insert(SearchRow).on_conflict_do_nothing(), entries)
        await session.execute(delete(SearchQueueRow).where(SearchQueueRow.certificate_id.in_(ids)))
    return len(ids)


async def entries_of(session: AsyncSession, ids: Sequence[uuid.UUID]) -> list[dict[str, Any]]:
    """The rows of the search for these certificates."""
    rows = list(await session.scalars(select(CertificateRow).where(CertificateRow.id.in_(ids))))
    holders = await holders_of(session, ids)
    certificates = [to_certificate(row, holders) for row in rows]
    kinds = await types_of(session, certificates)
    return [
        _entry(one.id, body_of(parts_of(one, kinds.get((one.type_code, one.type_version)))))
        for one in certificates
        if DISPOSED not in one.flags
    ]


def _entry(certificate_id: uuid.UUID, body: str) -> dict[str, Any]:
    return {"certificate_id": certificate_id, "body": body, "grams": grams_of(body)}


def parts_of(certificate: Certificate, kind: CertificateType | None) -> list[str]:
    """What a certificate is found by: names, numbers of the certificate, issuer, and fields that hold nobody's number. Pure."""
    names = [one.name for one in certificate.holders] + [one.code for one in certificate.holders if one.code]
    return [
        certificate.type_name,
        certificate.number,
        certificate.identifier,
        certificate.issuer_name,
        *names,
        *_fields(certificate.fields, kind),
    ]


def _fields(fields: Mapping[str, str], kind: CertificateType | None) -> list[str]:
    masks = {one.name: one.mask for one in kind.fields} if kind else {}
    return [value for name, value in fields.items() if masks.get(name, Mask.NONE) not in _KEPT_OUT]
