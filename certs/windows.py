"""What a service window issues (一窗发证): for its own organisation, and for those that entrusted theirs to it.

A department entrusts another organisation with bringing its approvals (委托受理): its window clerks then send them, under the same checks
as its systems. The seal stays the department's: its approver stamps, or the clerk at a window that keeps it, or nobody.
"""

import datetime as dt
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Text, delete, false, func, or_, select
from sqlalchemy.dialects.postgresql import array

from certs.catalogue import folded
from certs.catalogue_models import TypeVersionRow
from certs.models import CertificateRow, IssuingRightRow, TypeRow
from certs.reads import grant_issuing, holders_of, to_certificate
from certs.records import Certificate
from certs.type_lifecycle import TypeStatus
from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import NotFound
from keys.evidence.audit import JSON, Event, Outcome, record

RECENT = 30
MOST_TYPES = 100
_AT_WINDOWS = frozenset({Role.WINDOW_CLERK, Role.APPROVER})


@dataclass(frozen=True, slots=True)
class Entrusting:
    """``organisation`` (credit code, or a client's id) brings approvals of ``issuer``."""

    organisation: str
    issuer: str
    since: dt.datetime


async def entrust(database: Database, clock: Clock, actor: Actor, organisation: str, issuer: str) -> None:
    """Let an organisation's clerks (credit code) or a client (id) bring approvals of ``issuer``. For commands on the machine."""
    now = clock.now()
    async with database.begin() as session:
        await grant_issuing(session, now, organisation, issuer, actor.id)
        await _audit(session, now, actor, "entrust", organisation, issuer)


async def end_entrusting(database: Database, clock: Clock, actor: Actor, organisation: str, issuer: str) -> None:
    """What was brought stays. Raises ``NotFound``."""
    async with database.begin() as session:
        statement = delete(IssuingRightRow).where(IssuingRightRow.client_id == organisation, IssuingRightRow.issuer == issuer)
        if await session.scalar(statement.returning(IssuingRightRow.issuer)) is None:
            raise NotFound("entrusting")
        await _audit(session, clock.now(), actor, "entrust.end", organisation, issuer)


async def entrustings(session: AsyncSession) -> list[Entrusting]:
    """Who brings approvals of whom."""
    rows = await session.scalars(select(IssuingRightRow).order_by(IssuingRightRow.issuer, IssuingRightRow.client_id))
    return [Entrusting(row.client_id, row.issuer, row.granted_at) for row in rows]


async def _audit(session: AsyncSession, now: dt.datetime, actor: Actor, what: str, organisation: str, issuer: str) -> None:
    details: dict[str, JSON] = {"to": organisation}
    await record(session, now, Event(f"certs.{what}", f"organisation:{issuer}", Outcome.DONE, actor, details))


async def issuers_at(session: AsyncSession, actor: Actor) -> tuple[str, ...]:
    """Credit codes of the issuers whose approvals this person may bring, their own organisation first."""
    if actor.kind is not ActorKind.PERSON or actor.organisation is None or not actor.roles & _AT_WINDOWS:
        return ()
    entrusted: list[str] = []
    if Role.WINDOW_CLERK in actor.roles:
        found = select(IssuingRightRow.issuer).where(IssuingRightRow.client_id == actor.organisation).order_by(IssuingRightRow.issuer)
        entrusted = list(await session.scalars(found))
    return (actor.organisation, *(one for one in entrusted if one != actor.organisation))


async def types_at(session: AsyncSession, issuers: Collection[str], words: str = "") -> list[tuple[str, str, str]]:
    """(code, Chinese name, English name) of the types in force that one of these may issue here; all the words occur in the entry."""
    anybody = func.jsonb_array_length(TypeRow.issuers) == 0
    query = (
        select(TypeRow.code, TypeRow.name_zh, TypeRow.name_en)
        .join(TypeVersionRow, (TypeVersionRow.type_code == TypeRow.code) & (TypeVersionRow.version == TypeRow.version))
        .where(TypeRow.status == TypeStatus.PUBLISHED.value, TypeVersionRow.definition["issued_here"].as_boolean())
        .where(func.coalesce(TypeVersionRow.definition["own_documents"].as_boolean(), false()).is_(False))
        .where(or_(anybody, TypeRow.issuers.has_any(array(list(issuers), type_=Text()))))
        .order_by(anybody, TypeRow.code)
        .limit(MOST_TYPES)
    )
    for word in folded(words).split()[:8]:
        query = query.where(func.strpos(TypeRow.search, word) > 0)
    return [(code, zh, en) for code, zh, en in await session.execute(query)]


async def brought_lately(session: AsyncSession, actor: Actor, limit: int = RECENT) -> tuple[Certificate, ...]:
    """What the person's organisation had issued lately at its windows and by its systems, newest first."""
    if actor.organisation is None:
        return ()
    query = select(CertificateRow).where(CertificateRow.client_organisation == actor.organisation)
    rows = list(await session.scalars(query.order_by(CertificateRow.id.desc()).limit(limit)))
    holders = await holders_of(session, [row.id for row in rows])
    return tuple(to_certificate(row, holders) for row in rows)


async def brought(session: AsyncSession, actor: Actor, certificate_id: uuid.UUID) -> Certificate:
    """One of them. Raises ``NotFound``."""
    row = await session.get(CertificateRow, certificate_id)
    if row is None or actor.organisation is None or row.client_organisation != actor.organisation:
        raise NotFound("certificate")
    return to_certificate(row, await holders_of(session, [row.id]))
