"""Numbers of certificates (ZZBH) as they are given: by the type's rule in transaction 1 of issuing, never twice, and the gaps told.

A number that the department gave itself is entered in its series too, so that the next one made here goes on after it. A number whose
certificate became void stays a gap, unless the department sends the same number again.
"""

import datetime as dt
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Select, func, literal, select, text
from sqlalchemy.dialects.postgresql import insert

from certs.issuing_models import IssuingRuleRow, NumberGivenRow, NumberSeriesRow
from certs.issuing_rules import CertificateInForce, InForce, IssuingRule, NumberTaken, read_number, write_number
from certs.lifecycle import Status
from certs.models import CertificateRow, HolderRow
from certs.records import Stage
from identity.organisations import Organisation
from keys.base.clock import civil_date
from keys.base.db import AsyncSession

MOST_GAPS = 1000
_STANDS = (Status.VALID.value, Status.SUSPENDED.value)


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers of a series from ``first`` to ``last`` that no certificate has. ``certificate_id`` and ``why``: of the void one that had
    the one number; else nobody had them."""

    first: int
    last: int
    certificate_id: uuid.UUID | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One series: ``last`` is the highest number given, ``used`` how many certificates have one. At most ``MOST_GAPS`` gaps are told."""

    type_code: str
    issuer: str
    year: int
    last: int
    used: int
    gaps: tuple[Gap, ...] = ()


async def rule_for(session: AsyncSession, type_code: str, issuer: str) -> IssuingRule:
    """The issuer's own rule for the type, else the type's, else one that says nothing."""
    query = select(IssuingRuleRow).where(IssuingRuleRow.type_code == type_code, IssuingRuleRow.issuer.in_((issuer, "")))
    row = await session.scalar(query.order_by(IssuingRuleRow.issuer.desc()).limit(1))
    return to_rule(row) if row else IssuingRule(type_code)


def to_rule(row: IssuingRuleRow) -> IssuingRule:
    return IssuingRule(row.type_code, row.issuer, row.pattern, row.yearly, row.common, row.unique_number, InForce(row.in_force))


async def give_number(
    session: AsyncSession, now: dt.datetime, rule: IssuingRule, issuer: Organisation, given: str
) -> tuple[str, NumberGivenRow | None]:
    """``given`` itself, or the next one of its series where it is empty; and its row, to be completed with the certificate's id.

    Raises ``NumberNotByRule``, ``NumberTaken``.
    """
    if not rule.pattern:
        return given, None
    if given:
        return given, await _enter(session, now, rule, issuer, given)
    year = civil_date(now).year
    series, in_year = rule.series(issuer.uscc, year)
    while True:
        serial = await _next(session, rule.type_code, series, in_year)
        number = write_number(rule, serial=serial, year=year, issuer=issuer.uscc, division=issuer.division)
        if not await _on_record(session, rule.type_code, issuer.uscc, number):  # one that came before the rule, or by an import
            return number, NumberGivenRow(type_code=rule.type_code, issuer=series, year=in_year, serial=serial)


async def _next(session: AsyncSession, type_code: str, series: str, year: int) -> int:
    """The series' row is held until the transaction ends: a number is never given twice, and a rollback takes it back."""
    statement = insert(NumberSeriesRow).values(type_code=type_code, issuer=series, year=year, last=1)
    keys, after = ["type_code", "issuer", "year"], {"last": NumberSeriesRow.last + 1}
    return (
        await session.execute(statement.on_conflict_do_update(index_elements=keys, set_=after).returning(NumberSeriesRow.last))
    ).scalar_one()


async def _enter(session: AsyncSession, now: dt.datetime, rule: IssuingRule, issuer: Organisation, given: str) -> NumberGivenRow:
    read = read_number(rule, given, issuer=issuer.uscc, division=issuer.division)
    series, year = rule.series(issuer.uscc, read.year or civil_date(now).year)
    statement = insert(NumberSeriesRow).values(type_code=rule.type_code, issuer=series, year=year, last=read.serial)
    highest = {"last": func.greatest(NumberSeriesRow.last, read.serial)}
    await session.execute(statement.on_conflict_do_update(index_elements=["type_code", "issuer", "year"], set_=highest))
    place = {"type_code": rule.type_code, "issuer": series, "year": year, "serial": read.serial}
    earlier = await session.get(NumberGivenRow, place)
    if earlier is None:
        return NumberGivenRow(**place)
    if await session.scalar(select(CertificateRow.stage).where(CertificateRow.id == earlier.certificate_id)) != Stage.VOID:
        raise NumberTaken
    return earlier


async def _on_record(session: AsyncSession, type_code: str, issuer: str, number: str) -> bool:
    statement = _numbered(type_code, issuer, number).limit(1)
    return (await session.execute(statement)).first() is not None


def _numbered(type_code: str, issuer: str, number: str) -> Select[uuid.UUID]:
    return select(CertificateRow.id).where(
        CertificateRow.number == number, CertificateRow.type_code == type_code, CertificateRow.issuer == issuer,
        CertificateRow.stage != Stage.VOID.value, ~CertificateRow.duplicate,
    )  # fmt: skip


async def check_number(
    session: AsyncSession, rule: IssuingRule, issuer: str, number: str, holders: Collection[bytes], *, but: Collection[uuid.UUID] = ()
) -> None:
    """No number belongs to two; where the rule says so, not even twice to the same holders. ``but``: what it takes the place of.

    ``holders``: their blind indexes. Raises ``NumberTaken``. In transaction 1 the row of the serial is held: two requests of one type
    and issuer that bring the same number come one after the other.
    """
    query = select(HolderRow.certificate_id, HolderRow.code_index).where(
        HolderRow.certificate_id.in_(_numbered(rule.type_code, issuer, number)), HolderRow.certificate_id.not_in(but)
    )
    found: dict[uuid.UUID, set[bytes]] = {}
    for certificate_id, index in await session.execute(query):
        found.setdefault(certificate_id, set()).add(index)
    strict = rule.unique_number or bool(rule.pattern)
    if any(strict or index != set(holders) for index in found.values()):
        raise NumberTaken


async def check_in_force(
    session: AsyncSession, today: dt.date, rule: IssuingRule, issuer: str, holders: Collection[bytes], *, but: Collection[uuid.UUID] = ()
) -> None:
    """None of the holders has a valid certificate of the type already, or one being issued. Raises ``CertificateInForce``.

    Two requests for one holder come one after the other: the second sees what the first reserved.
    """
    if rule.in_force is InForce.ANY:
        return
    for index in sorted(holders):
        await session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:one, 29))"), {"one": rule.type_code + index.hex()})
    query = (
        select(CertificateRow.identifier, CertificateRow.issuer)
        .join(HolderRow, HolderRow.certificate_id == CertificateRow.id)
        .where(HolderRow.code_index.in_(holders), CertificateRow.type_code == rule.type_code, ~CertificateRow.duplicate)
        .where(CertificateRow.stage != Stage.VOID.value, CertificateRow.status.in_(_STANDS), CertificateRow.id.not_in(but))
        .where(func.coalesce(CertificateRow.valid_to, literal(today)) >= today)
        .order_by((CertificateRow.issuer == issuer).desc())
        .limit(1)
    )
    if rule.in_force is InForce.ONE_PER_ISSUER:
        query = query.where(CertificateRow.issuer == issuer)
    found = (await session.execute(query)).first()
    if found is not None:
        raise CertificateInForce(**({"identifier": found.identifier} if found.issuer == issuer else {}))


async def series_of(session: AsyncSession, type_code: str, issuer: str, year: int) -> Series | None:
    """A series with its gaps; None where no number of it was given."""
    last = await session.scalar(
        select(NumberSeriesRow.last).where(
            NumberSeriesRow.type_code == type_code, NumberSeriesRow.issuer == issuer, NumberSeriesRow.year == year
        )
    )
    if last is None:
        return None
    place = {"type": type_code, "issuer": issuer, "year": year}
    gaps = tuple(
        Gap(first, until, void, why or "") for first, until, void, why in await session.execute(_GAPS, place | {"most": MOST_GAPS})
    )
    used = (await session.execute(_USED, place)).scalar_one()
    return Series(type_code, issuer, year, last, used, gaps)


async def list_series(session: AsyncSession, type_code: str) -> list[Series]:
    """Every series of a type, the latest year first; without gaps."""
    rows = await session.execute(_ALL, {"type": type_code})
    return [Series(type_code, issuer, year, last, used) for issuer, year, last, used in rows]


_GAPS = text(
    """
SELECT * FROM (
  SELECT before + 1 AS first, serial - 1 AS last, CAST(NULL AS uuid), '' FROM (
    SELECT serial, lag(serial, 1, CAST(0 AS bigint)) OVER (ORDER BY serial) AS before FROM certs.numbers_given
    WHERE type_code = :type AND issuer = :issuer AND year = :year) AS run WHERE serial - before > 1
  UNION ALL
  SELECT g.serial, g.serial, g.certificate_id, i.failure FROM certs.numbers_given g JOIN certs.certificates c ON c.id = g.certificate_id
  LEFT JOIN certs.issuings i ON i.certificate_id = c.id
  WHERE g.type_code = :type AND g.issuer = :issuer AND g.year = :year AND c.stage = 'void') AS gaps
ORDER BY first LIMIT :most"""
)
_USED = text(
    """
SELECT count(*) FROM certs.numbers_given g JOIN certs.certificates c ON c.id = g.certificate_id
WHERE g.type_code = :type AND g.issuer = :issuer AND g.year = :year AND c.stage <> 'void'"""
)
_ALL = text(
    """
SELECT s.issuer, s.year, s.last, (SELECT count(*) FROM certs.numbers_given g JOIN certs.certificates c ON c.id = g.certificate_id
  WHERE g.type_code = s.type_code AND g.issuer = s.issuer AND g.year = s.year AND c.stage <> 'void')
FROM certs.number_series s WHERE s.type_code = :type ORDER BY s.year DESC, s.issuer LIMIT 1000"""
)
