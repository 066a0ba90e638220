"""Named selects of the package."""

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import LargeBinary, Text, any_, bindparam, exists, func, select
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from identity.models import AccountRow, BindingRow, IdentityEvidenceRow, LegalPersonRow, OrganisationRow, PopulationRow
from identity.organisations import Organisation
from identity.people import Account, get_account
from identity.realname import binding_context, evidence_entry
from identity.realname_sources import Outcome
from keys.base.actor import Role
from keys.base.db import AsyncSession
from keys.base.hot import Hot, Statement


@dataclass(frozen=True, slots=True)
class BoundNumber:
    """The number bound to an account: masked for the screen, sealed for ``personal_data.reveal``."""

    code_type: str
    masked: str
    index: bytes
    sealed: bytes
    context: str


async def bound_number(session: AsyncSession, account_id: uuid.UUID) -> BoundNumber | None:
    row = await session.get(BindingRow, account_id)
    if row is None:
        return None
    return BoundNumber(row.code_type, row.number_masked, row.number_index, row.number_sealed, binding_context(account_id))


async def account_by_number(session: AsyncSession, number_index: bytes) -> Account | None:
    """Whose number this is, by its blind index (``PersonalData.index``)."""
    account_id = await session.scalar(select(BindingRow.account_id).where(BindingRow.number_index == number_index))
    return await get_account(session, account_id) if account_id else None


async def evidence_of(session: AsyncSession, account_id: uuid.UUID, limit: int = 20) -> Sequence[dict[str, Any]]:
    """What sources said about the person's own claims, the newest first; entries as in ``RealNameResult.evidence``."""
    query = select(IdentityEvidenceRow).where(IdentityEvidenceRow.account_id == account_id)
    rows = await session.scalars(query.order_by(IdentityEvidenceRow.checked_at.desc(), IdentityEvidenceRow.id.desc()).limit(limit))
    return [evidence_entry(row) for row in rows]


@dataclass(frozen=True, slots=True)
class NameEvidence:
    """The check that a real name rests on: the sources that agreed, and when."""

    sources: tuple[str, ...]
    checked_at: dt.datetime


_AGREED = Statement(
    select(
        func.array_agg(aggregate_order_by(IdentityEvidenceRow.source, IdentityEvidenceRow.source)).label("sources"),
        func.max(IdentityEvidenceRow.checked_at).label("checked_at"),
    )
    .where(IdentityEvidenceRow.account_id == bindparam("account_id"), IdentityEvidenceRow.outcome == Outcome.MATCH.value)
    .group_by(IdentityEvidenceRow.check_id)
    .order_by(func.max(IdentityEvidenceRow.level).desc(), func.max(IdentityEvidenceRow.checked_at).desc())
    .limit(1)
)


async def name_evidence(hot: Hot, account_id: uuid.UUID) -> NameEvidence | None:
    """What the person's verified name rests on: of the checks that reached the highest level, the newest."""
    row = await hot.row(_AGREED, {"account_id": account_id})
    return NameEvidence(tuple(row["sources"]), row["checked_at"]) if row else None


async def organisations_in(session: AsyncSession, division: str) -> Sequence[Organisation]:
    """Active organisations of a division, by code."""
    query = select(OrganisationRow).where(OrganisationRow.division == division, OrganisationRow.active).order_by(OrganisationRow.uscc)
    return [Organisation(row.uscc, row.name, row.division, row.kind, row.active) for row in await session.scalars(query)]


async def staff_of(session: AsyncSession, uscc: str, role: Role) -> Sequence[uuid.UUID]:
    """Active accounts that hold ``role`` in an organisation."""
    query = select(AccountRow.id).where(AccountRow.organisation == uscc, AccountRow.active, AccountRow.roles.contains([role.value]))
    return (await session.scalars(query.order_by(AccountRow.id))).all()


async def registered_name(session: AsyncSession, uscc: str) -> str | None:
    """What the legal-person registry calls the organisation of this code; None where it keeps no active one."""
    query = select(LegalPersonRow.name).where(LegalPersonRow.uscc == uscc, LegalPersonRow.status == "active")
    return await session.scalar(query)


async def unregistered(session: AsyncSession, people: Collection[bytes], organisations: Collection[str]) -> tuple[set[bytes], set[str]]:
    """Those that the registers do not know: people by blind index, legal persons by code. A register that keeps nobody is not asked."""
    known = select(PopulationRow.number_index).where(PopulationRow.number_index == any_(bindparam("them", type_=ARRAY(LargeBinary))))
    legal = select(LegalPersonRow.uscc).where(LegalPersonRow.uscc == any_(bindparam("them", type_=ARRAY(Text))))
    missing_people, missing_organisations = set[bytes](), set[str]()
    if people and await session.scalar(select(exists(select(PopulationRow.number_index)))):
        missing_people = set(people) - set(await session.scalars(known, {"them": list(people)}))
    if organisations and await session.scalar(select(exists(select(LegalPersonRow.uscc)))):
        missing_organisations = set(organisations) - set(await session.scalars(legal, {"them": list(organisations)}))
    return missing_people, missing_organisations
