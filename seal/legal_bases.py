"""Which other seal an approval matter may take, and by which law. Two people answer for each: one proposes, another confirms."""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.authority_access import administers, check_administrator, check_grantor
from seal.authority_models import LegalBasisRow
from seal.authority_version import narrowed
from seal.changes import refusals_audited
from seal.models import MatterRow, SealRow
from seal.reads import get_seal

_LONGEST = 500


class LegalBasisInvalid(InvalidInput):
    code = "SEAL_LEGAL_BASIS_INVALID"
    public = (
        "请写明法律依据（文件名称、文号、条款），且事项须为该印章所属单位的审批事项。",
        "State the law, its number and article, for an approval matter of the seal's organisation.",
    )


class LegalBasisNotFound(NotFound):
    code = "SEAL_LEGAL_BASIS_NOT_FOUND"
    public = ("没有这项法律依据登记。", "There is no such legal basis.")


class LegalBasisExists(Conflict):
    code = "SEAL_LEGAL_BASIS_EXISTS"
    public = ("该印章和事项已有法律依据登记。", "A legal basis is listed for this seal and matter.")


class LegalBasisSettled(Conflict):
    code = "SEAL_LEGAL_BASIS_SETTLED"
    public = ("该法律依据登记已确认或已撤销。", "The legal basis is confirmed or withdrawn already.")


class LegalBasisNeedsAnother(Forbidden):
    code = "SEAL_LEGAL_BASIS_NEEDS_ANOTHER"
    public = ("须由提出人以外的安全管理员确认。", "A security administrator other than the proposer must confirm it.")


@dataclass(frozen=True, slots=True)
class LegalBasis:
    """``confirmed_by`` None: it waits, and allows nothing."""

    id: uuid.UUID
    seal_code: str
    matter_code: str
    basis: str
    proposed_by: str
    proposed_at: dt.datetime
    confirmed_by: str | None
    confirmed_at: dt.datetime | None


async def propose_legal_basis(database: Database, clock: Clock, actor: Actor, *, seal_code: str, matter_code: str, basis: str) -> uuid.UUID:
    """Propose that an approval matter takes this seal. The keeper, an administrator, or the system as ordered on the machine.

    Raises ``SealNotFound``, ``GrantForbidden``, :class:`LegalBasisInvalid`, :class:`LegalBasisExists`.
    """
    subject = f"seal-code:{seal_code[:14]}"
    async with refusals_audited(database, clock, "seal.legal_basis.propose", subject, actor), database.begin() as session:
        seal = await get_seal(session, seal_code)
        check_grantor(actor, seal)
        matter = await session.get(MatterRow, matter_code)
        fits = matter is not None and matter.is_approval and matter.organisation == seal.organisation
        if not fits or not 4 <= len(basis.strip()) <= _LONGEST or not basis.isprintable():
            raise LegalBasisInvalid(seal_code)
        now, identifier = clock.now(), new_id()
        row = {
            "id": identifier, "seal_id": seal.id, "matter_code": matter_code, "basis": basis.strip(), "proposed_by": actor.id,
            "proposed_at": now,
        }  # fmt: skip
        if await session.scalar(insert(LegalBasisRow).values(row).on_conflict_do_nothing().returning(LegalBasisRow.id)) is None:
            raise LegalBasisExists(f"{seal_code} {matter_code[:40]}")
        await _record(session, now, "propose", actor, seal.id, identifier, basis.strip())
        return identifier


async def confirm_legal_basis(database: Database, clock: Clock, actor: Actor, basis_id: uuid.UUID) -> None:
    """A second person's yes: from now on the matter may take the seal.

    Raises :class:`LegalBasisNotFound`, :class:`LegalBasisNeedsAnother`, :class:`LegalBasisSettled`.
    """
    subject = f"legal-basis:{basis_id}"
    async with refusals_audited(database, clock, "seal.legal_basis.confirm", subject, actor), database.begin() as session:
        row, seal_row = await _locked(session, basis_id)
        able = actor.kind is ActorKind.PERSON and administers(actor, seal_row.division)
        if not able or actor.id == row.proposed_by:
            raise LegalBasisNeedsAnother(str(basis_id))
        if row.confirmed_at is not None or row.withdrawn_at is not None:
            raise LegalBasisSettled(str(basis_id))
        now = clock.now()
        row.confirmed_by, row.confirmed_at = actor.id, now
        await _record(session, now, "confirm", actor, row.seal_id, basis_id, row.basis)


async def withdraw_legal_basis(database: Database, clock: Clock, actor: Actor, basis_id: uuid.UUID) -> None:
    """The exception ends now; one administrator is enough. Raises :class:`LegalBasisNotFound`, ``AuthorityForbidden``."""
    subject = f"legal-basis:{basis_id}"
    async with refusals_audited(database, clock, "seal.legal_basis.withdraw", subject, actor), database.begin() as session:
        row = await session.get(LegalBasisRow, basis_id)
        if row is None:
            raise LegalBasisNotFound(str(basis_id))
        check_administrator(actor, await narrowed(session, row.seal_id))
        now = clock.now()
        statement = update(LegalBasisRow).where(LegalBasisRow.id == basis_id, LegalBasisRow.withdrawn_at.is_(None))
        if await session.scalar(statement.values(withdrawn_at=now, withdrawn_by=actor.id).returning(LegalBasisRow.id)) is None:
            raise LegalBasisSettled(str(basis_id))
        await _record(session, now, "withdraw", actor, row.seal_id, basis_id, row.basis)


async def legal_bases_of(session: AsyncSession, seal_code: str) -> list[LegalBasis]:
    """Those that stand or wait, oldest first."""
    seal = await get_seal(session, seal_code)
    query = select(LegalBasisRow).where(LegalBasisRow.seal_id == seal.id, LegalBasisRow.withdrawn_at.is_(None)).order_by(LegalBasisRow.id)
    return [
        LegalBasis(one.id, seal_code, one.matter_code, one.basis, one.proposed_by, one.proposed_at, one.confirmed_by, one.confirmed_at)
        for one in await session.scalars(query)
    ]


async def _locked(session: AsyncSession, basis_id: uuid.UUID) -> tuple[LegalBasisRow, SealRow]:
    row = await session.scalar(select(LegalBasisRow).where(LegalBasisRow.id == basis_id).with_for_update())
    if row is None:
        raise LegalBasisNotFound(str(basis_id))
    return row, await session.get_one(SealRow, row.seal_id)


async def _record(
    session: AsyncSession, now: dt.datetime, step: str, actor: Actor, seal_id: uuid.UUID, basis_id: uuid.UUID, basis: str
) -> None:
    details: dict[str, audit.JSON] = {"legal_basis": str(basis_id), "basis": basis}
    await audit.record(session, now, Event(f"seal.legal_basis.{step}", f"seal:{seal_id}", Outcome.DONE, actor, details))
