"""What the keepers of a library see: what is due by which rule, the lists that were proposed, the holds that stand."""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import func, select

from certs.disposal import Disposal, disposal_of
from certs.library_models import DisposalRow, LegalHoldRow
from certs.models import CertificateRow
from certs.records import Stage
from certs.retention import Rule, over, rules
from keys.base.db import AsyncSession
from keys.base.errors import NotFound

MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Due:
    """How many certificates of an organisation are due by a rule, those on open lists included."""

    rule: Rule
    certificates: int


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate under a hold. ``id`` is the certificate's."""

    id: uuid.UUID
    number: str
    type_name: str
    reason: str
    placed_at: dt.datetime


async def due_by_rule(session: AsyncSession, now: dt.datetime, organisation: str) -> tuple[Due, ...]:
    """Every rule, with what is due by it."""
    found = []
    for rule in await rules(session):
        of_it = over(now, rule.years).where(CertificateRow.issuer == organisation, CertificateRow.type_code == rule.type_code)
        count = await session.scalar(select(func.count()).select_from(of_it.subquery()))
        found.append(Due(rule, int(count or 0)))
    return tuple(found)


async def disposals_of(session: AsyncSession, organisation: str) -> tuple[Disposal, ...]:
    """The organisation's lists, newest first, at most a hundred."""
    query = select(DisposalRow).where(DisposalRow.organisation == organisation).order_by(DisposalRow.id.desc()).limit(MOST_SHOWN)
    return tuple([await disposal_of(session, row) for row in await session.scalars(query)])


async def holds_of(session: AsyncSession, organisation: str) -> tuple[Held, ...]:
    """The holds that stand on the organisation's certificates, newest first, at most a hundred."""
    query = (
        select(LegalHoldRow, CertificateRow)
        .join(CertificateRow, CertificateRow.id == LegalHoldRow.certificate_id)
        .where(LegalHoldRow.lifted_at.is_(None), CertificateRow.issuer == organisation)
        .order_by(LegalHoldRow.id.desc())
        .limit(MOST_SHOWN)
    )
    rows = await session.execute(query)
    return tuple(Held(row.id, row.number, row.type_name, hold.reason, hold.placed_at) for hold, row in rows)


async def held_by(session: AsyncSession, organisation: str, certificate_id: uuid.UUID) -> bool:
    """Whether a hold stands on that certificate and it is the organisation's."""
    query = (
        select(LegalHoldRow.id)
        .join(CertificateRow, CertificateRow.id == LegalHoldRow.certificate_id)
        .where(LegalHoldRow.lifted_at.is_(None), CertificateRow.issuer == organisation, CertificateRow.id == certificate_id)
    )
    return await session.scalar(query) is not None


async def to_be_held(session: AsyncSession, organisation: str, identifier: str) -> uuid.UUID:
    """The organisation's certificate of that identifier. Raises NotFound."""
    query = select(CertificateRow.id).where(
        CertificateRow.identifier == identifier, CertificateRow.issuer == organisation, CertificateRow.stage == Stage.ISSUED.value
    )
    found = await session.scalar(query)
    if found is None:
        raise NotFound("certificate")
    return found
