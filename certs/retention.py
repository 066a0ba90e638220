"""How long certificates are kept: a rule per type, and holds that stop the clock for one of them.

Years are counted from the end of validity: the last day of a certificate that expired, the day of the decision for one that was revoked,
cancelled, replaced or transferred. One without an end is never due. A type without a rule is kept for ever.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from certs.library_models import DisposalItemRow, DisposalRow, LegalHoldRow, RetentionRow
from certs.lifecycle import Status
from certs.models import CertificateRow, EventRow
from certs.records import DISPOSED, Stage
from certs.standing import check_reason
from keys.base.actor import Actor
from keys.base.clock import CHINA_STANDARD_TIME, civil_date
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event

MOST_YEARS = 200
_ENDED = (Status.REVOKED, Status.CANCELLED, Status.EXPIRED, Status.TRANSFERRED, Status.WITHDRAWN)


class LegalHold(Conflict):
    """A hold stands on the certificate, or is to be placed a second time."""

    code = "LEGAL_HOLD"
    public = ("该证照处于保全状态。", "This certificate is under a legal hold.")


class NoLegalHold(NotFound):
    """No hold stands that could be lifted."""

    code = "NO_LEGAL_HOLD"
    public = ("该证照没有处于保全状态。", "There is no legal hold on this certificate.")


@dataclass(frozen=True, slots=True)
class Rule:
    """Certificates of the type are kept ``years`` after the end of their validity, because of ``basis``."""

    type_code: str
    years: int
    basis: str


async def set_rule(session: AsyncSession, now: dt.datetime, actor: Actor, rule: Rule) -> None:
    """Set or replace a type's rule. Raises ``InvalidInput``, ``ReasonRequired``."""
    if not 0 <= rule.years <= MOST_YEARS:
        raise InvalidInput("years", errors=[{"field": "years", "message": f"0 to {MOST_YEARS}"}])
    values = {"years": rule.years, "basis": check_reason(rule.basis), "set_at": now, "set_by": actor.id}
    statement = insert(RetentionRow).values(type_code=rule.type_code, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=[RetentionRow.type_code], set_=values))
    details: dict[str, audit.JSON] = {"years": rule.years, "basis": audit.digest(rule.basis)}
    await audit.record(session, now, Event("certs.retention.set", f"certificate-type:{rule.type_code}", audit.Outcome.DONE, actor, details))


async def rules(session: AsyncSession) -> tuple[Rule, ...]:
    """Every rule, by type."""
    rows = await session.scalars(select(RetentionRow).order_by(RetentionRow.type_code))
    return tuple(Rule(row.type_code, row.years, row.basis) for row in rows)


async def place_hold(database: Database, now: dt.datetime, actor: Actor, certificate_id: uuid.UUID, reason: str) -> None:
    """Keep a certificate whatever its age. Raises :class:`LegalHold` where one stands, ``ReasonRequired``."""
    async with database.begin() as session:
        hold = {"id": new_id(), "certificate_id": certificate_id, "reason": check_reason(reason), "placed_at": now, "placed_by": actor.id}
        placed = await session.scalar(insert(LegalHoldRow).values(**hold).on_conflict_do_nothing().returning(LegalHoldRow.id))
        if placed is None:
            raise LegalHold
        await audit.record(session, now, Event("certs.hold.place", f"certificate:{certificate_id}", audit.Outcome.DONE, actor))


async def lift_hold(database: Database, now: dt.datetime, actor: Actor, certificate_id: uuid.UUID) -> None:
    """The hold is over. Raises :class:`NoLegalHold`."""
    standing = (LegalHoldRow.certificate_id == certificate_id) & LegalHoldRow.lifted_at.is_(None)
    async with database.begin() as session:
        lifted = await session.scalar(
            update(LegalHoldRow).where(standing).values(lifted_at=now, lifted_by=actor.id).returning(LegalHoldRow.id)
        )
        if lifted is None:
            raise NoLegalHold
        await audit.record(session, now, Event("certs.hold.lift", f"certificate:{certificate_id}", audit.Outcome.DONE, actor))


async def due(session: AsyncSession, now: dt.datetime, organisation: str, type_code: str, limit: int) -> list[uuid.UUID]:
    """Certificates of an issuer and type whose time is over, oldest first: not held, not on another list that is open."""
    rule = await session.get(RetentionRow, type_code)
    if rule is None:
        return []
    statement = over(now, rule.years).where(CertificateRow.issuer == organisation, CertificateRow.type_code == type_code)
    listed = select(DisposalItemRow.certificate_id).join(DisposalRow, DisposalRow.id == DisposalItemRow.disposal_id)
    open_lists = listed.where(DisposalRow.state.in_(("proposed", "agreed")))
    return list(await session.scalars(statement.where(CertificateRow.id.not_in(open_lists)).order_by(CertificateRow.id).limit(limit)))


async def is_over(session: AsyncSession, now: dt.datetime, certificate_id: uuid.UUID, type_code: str) -> bool:
    """Whether this certificate's time is over by the rule as it stands now, and nothing holds it."""
    rule = await session.get(RetentionRow, type_code)
    if rule is None:
        return False
    return await session.scalar(over(now, rule.years).where(CertificateRow.id == certificate_id)) is not None


def over(now: dt.datetime, years: int) -> Select[uuid.UUID]:
    """The ids of what ended at least that many years ago."""
    last_day = years_before(civil_date(now), years)
    instant = dt.datetime.combine(last_day, dt.time(), CHINA_STANDARD_TIME)
    return select(CertificateRow.id).where(
        CertificateRow.stage == Stage.ISSUED.value, ~CertificateRow.flags.contains([DISPOSED]), _ended(last_day, instant), _not_held()
    )


def years_before(day: dt.date, years: int) -> dt.date:
    """The same day of an earlier year; the 29th of February becomes the 28th."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


def _ended(last_day: dt.date, instant: dt.datetime) -> ColumnElement[bool]:
    latest = select(func.max(EventRow.at)).where(EventRow.certificate_id == CertificateRow.id).scalar_subquery()
    ran_out = CertificateRow.status.in_((Status.VALID.value, Status.EXPIRED.value))  # by its dates, whenever that was written down
    expired = and_(ran_out, CertificateRow.valid_to < last_day)
    decided = and_(CertificateRow.status.in_([one.value for one in _ENDED]), latest < instant)
    return or_(expired, decided)


def _not_held() -> ColumnElement[bool]:
    held = select(LegalHoldRow.id).where(LegalHoldRow.certificate_id == CertificateRow.id, LegalHoldRow.lifted_at.is_(None))
    return ~held.exists()
