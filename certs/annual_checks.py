"""The annual check (年检): by which day of the year a type's certificates are checked, what each check found, what is overdue.

A check changes no status by itself. One that was not passed may suspend the certificate in the same transaction; the certificate
is put into force again by the ordinary move.
"""

import calendar
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert

from certs.approvals import IdempotencyKeyReused
from certs.grounds import Grounds, check_basis, check_reason
from certs.life_models import AnnualCheckRow, AnnualRuleRow
from certs.lifecycle import Status, find_move
from certs.models import CertificateRow
from certs.outbox import write_event
from certs.reads import get_certificate, issuable_type
from certs.records import Certificate, Stage
from certs.standing import apply, changeable
from keys.base.actor import Actor
from keys.base.clock import Clock, civil_date
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError, InvalidInput
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event

FAILED_CODE = "ANNUAL_CHECK_FAILED"
FIRST_YEAR = 1949
MOST_LISTED = 200
_LEAP_YEAR = 2024


class Result(StrEnum):
    PASSED = "passed"
    CONDITIONAL = "conditional"
    FAILED = "failed"


class AnnualRuleMalformed(InvalidInput):
    """The day does not exist, or no rule of law is named."""

    code = "ANNUAL_RULE_MALFORMED"
    public = ("请给出存在的月、日和依据。", "Name a day of the year that exists, and the rule it follows from.")


class AnnualCheckMalformed(InvalidInput):
    """The year is not one this certificate can be checked for, or the result is none."""

    code = "ANNUAL_CHECK_MALFORMED"
    public = (
        "年度须在颁发年与今年之间，结果须为 passed、conditional 或 failed。",
        "The year lies between that of issue and this one; the result is passed, conditional or failed.",
    )


@dataclass(frozen=True, slots=True)
class AnnualRule:
    """By that day of every year, from the year after issue."""

    type_code: str
    month: int
    day: int
    basis: str


@dataclass(frozen=True, slots=True)
class AnnualCheck:
    """One check. ``organisation``: USCC of who checked."""

    year: int
    result: Result
    remark: str
    at: dt.datetime
    organisation: str
    actor_name: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found, as it is reported. ``suspend``: suspend the certificate if it was not passed."""

    year: int
    result: Result
    remark: str = ""
    suspend: bool = False


def due_day(rule: AnnualRule, year: int) -> dt.date:
    """The last day of the year's check; the 29th of February becomes the 28th."""
    return dt.date(year, rule.month, min(rule.day, calendar.monthrange(year, rule.month)[1]))


def overdue_year(rule: AnnualRule, issued_on: dt.date | None, checks: Sequence[AnnualCheck], today: dt.date) -> int | None:
    """The latest year whose check is overdue: its day has passed and nothing was found for it or a later year. Pure."""
    year = today.year if today > due_day(rule, today.year) else today.year - 1
    if issued_on is None or year <= issued_on.year or any(one.year >= year for one in checks):
        return None
    return year


async def set_rule(database: Database, clock: Clock, actor: Actor, rule: AnnualRule) -> AnnualRule:
    """Set the rule of a type; who may is the caller's question. Raises :class:`AnnualRuleMalformed`, ``UnknownCertificateType``."""
    now = clock.now()
    if not 1 <= rule.month <= 12 or not 1 <= rule.day <= calendar.monthrange(_LEAP_YEAR, rule.month)[1]:
        raise AnnualRuleMalformed
    basis = check_basis(rule.basis)
    async with database.begin() as session:
        await issuable_type(session, rule.type_code)
        values = {"month": rule.month, "day": rule.day, "basis": basis, "set_at": now, "set_by": actor.id}
        statement = insert(AnnualRuleRow).values(type_code=rule.type_code, **values)
        await session.execute(statement.on_conflict_do_update(index_elements=["type_code"], set_=values))
        details: dict[str, JSON] = {"month": rule.month, "day": rule.day}
        await audit.record(
            session, now, Event("certs.annual_rule.set", f"certificate-type:{rule.type_code}", audit.Outcome.DONE, actor, details)
        )
    return AnnualRule(rule.type_code, rule.month, rule.day, basis)


async def annual_rule(session: AsyncSession, type_code: str) -> AnnualRule | None:
    """The rule of a type, where it has one."""
    row = await session.get(AnnualRuleRow, type_code)
    return AnnualRule(row.type_code, row.month, row.day, row.basis) if row else None


async def checks_of(session: AsyncSession, certificate_id: uuid.UUID) -> tuple[AnnualCheck, ...]:
    """The checks of a certificate, the newest year first; of one year the last that was recorded."""
    statement = select(AnnualCheckRow).where(AnnualCheckRow.certificate_id == certificate_id)
    rows = await session.scalars(statement.order_by(AnnualCheckRow.year.desc(), AnnualCheckRow.id))
    return tuple({row.year: _view(row) for row in rows}.values())


async def record_check(
    database: Database, clock: Clock, actor: Actor, certificate_id: uuid.UUID, found: Found, key: str | None = None
) -> Certificate:
    """Record what a check found; the certificate as it stands after. The same ``key`` again does nothing again.

    Raises ``NotFound``, :class:`AnnualCheckMalformed`, ``ReasonRequired`` (a remark that cannot be kept), ``MoveNotAllowed``.
    """
    try:
        return await _record(database, clock.now(), actor, certificate_id, found, key)
    except FujieError as error:
        event = Event("certs.annual_check", f"certificate:{certificate_id}", audit.Outcome.REFUSED, actor, code=error.code)
        await audit.record_alone(database, clock.now(), event)
        raise


async def _record(
    database: Database, now: dt.datetime, actor: Actor, certificate_id: uuid.UUID, found: Found, key: str | None
) -> Certificate:
    remark = check_reason(found.remark) if found.remark.strip() else ""
    async with database.begin() as session:
        await session.execute(select(CertificateRow.id).where(CertificateRow.id == certificate_id).with_for_update())
        certificate = await changeable(session, actor, certificate_id)
        if key is not None and await _done_before(session, actor, certificate_id, found, key):
            return certificate
        first = certificate.issued_on.year if certificate.issued_on else FIRST_YEAR
        if not first <= found.year <= civil_date(now).year:
            raise AnnualCheckMalformed(errors=[{"field": "year", "message": "not a year it can be checked for"}])
        session.add(
            AnnualCheckRow(
                id=new_id(), certificate_id=certificate_id, year=found.year, result=found.result.value, remark=remark, at=now,
                organisation=actor.organisation or certificate.issuer, actor_kind=actor.kind.value, actor_id=actor.id,
                actor_name=actor.name, request_key=key,
            )
        )  # fmt: skip
        if found.suspend and found.result is Result.FAILED and certificate.status is Status.VALID:
            grounds = Grounds(remark, FAILED_CODE)
            certificate = await apply(session, now, actor, certificate, find_move("suspend", certificate.status), grounds)
        payload: dict[str, JSON] = {
            "id": str(certificate.id), "identifier": certificate.identifier, "year": found.year, "result": found.result.value,
        }  # fmt: skip
        write_event(session, now, "certificate.annual_check", certificate.id, payload)
        details: dict[str, JSON] = {"year": found.year, "result": found.result.value}
        await audit.record(session, now, Event("certs.annual_check", f"certificate:{certificate_id}", audit.Outcome.DONE, actor, details))
    return certificate


async def _done_before(session: AsyncSession, actor: Actor, certificate_id: uuid.UUID, found: Found, key: str) -> bool:
    same = select(AnnualCheckRow.year, AnnualCheckRow.result).where(
        AnnualCheckRow.certificate_id == certificate_id, AnnualCheckRow.actor_id == actor.id, AnnualCheckRow.request_key == key
    )
    done = (await session.execute(same)).one_or_none()
    if done is not None and tuple(done) != (found.year, found.result.value):
        raise IdempotencyKeyReused
    return done is not None


async def overdue(
    session: AsyncSession, today: dt.date, organisation: str, rule: AnnualRule, *, cursor: uuid.UUID | None = None
) -> tuple[Certificate, ...]:
    """The organisation's certificates in force of the rule's type whose check is overdue, oldest first, at most :data:`MOST_LISTED`."""
    year = today.year if today > due_day(rule, today.year) else today.year - 1
    checked = select(AnnualCheckRow.id).where(AnnualCheckRow.certificate_id == CertificateRow.id, AnnualCheckRow.year >= year)
    statement = (
        select(CertificateRow.id)
        .where(CertificateRow.issuer == organisation, CertificateRow.type_code == rule.type_code)
        .where(CertificateRow.stage == Stage.ISSUED.value, CertificateRow.status == Status.VALID.value, ~checked.exists())
        .where(func.extract("year", CertificateRow.issued_on) < year)
        .where(or_(CertificateRow.valid_to.is_(None), CertificateRow.valid_to >= today))
    )
    if cursor is not None:
        statement = statement.where(CertificateRow.id > cursor)
    ids = list(await session.scalars(statement.order_by(CertificateRow.id).limit(MOST_LISTED)))
    found = [await get_certificate(session, one) for one in ids]
    return tuple(one for one in found if one is not None)


def _view(row: AnnualCheckRow) -> AnnualCheck:
    return AnnualCheck(row.year, Result(row.result), row.remark, row.at, row.organisation, row.actor_name)
