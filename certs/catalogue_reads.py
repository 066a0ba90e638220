"""Looking into the catalogue: search, a type with its versions, what was changed, who did what.

A search is one pass over a narrow table. With 3,135 types that takes a few milliseconds whatever is searched for; an index of trigrams
would not be used for the two-character words Chinese searches consist of (docs/decisions/0092).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, case, func, literal_column, or_, select, tuple_

from certs.catalogue import CertificateType, SharingClass, folded, parse_type
from certs.catalogue_keeping import TypeUnknown
from certs.catalogue_models import TypeMoveRow, TypeVersionRow
from certs.models import TypeRow
from certs.type_lifecycle import EVER_PUBLISHED, OPEN, TypeMove, TypeStatus
from keys.base.db import AsyncSession
from keys.base.errors import InvalidInput

PAGE = 50
MOST_WORDS = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """``text``: words that must all occur, anywhere; ``organisation``: defines the type or may issue it; ``being_written``: has a draft.

    ``ever_published``: is or was in force, which is all a client sees.
    """

    text: str = ""
    organisation: str = ""
    status: TypeStatus | None = None
    holder_kind: str = ""
    sharing: SharingClass | None = None
    being_written: bool = False
    ever_published: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A type in a list."""

    code: str
    name_zh: str
    name_en: str
    status: TypeStatus
    version: int | None
    open_version: int | None
    holder_kind: str
    sharing: SharingClass
    issuers: tuple[str, ...]
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a list: ``total`` of all pages, ``next_cursor`` if there is more."""

    items: tuple[Entry, ...]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Version:
    """One version. ``digest``: SHA-256 of its definition; ``writers``: ids of who wrote in it."""

    kind: CertificateType
    status: TypeStatus
    digest: bytes
    writers: tuple[str, ...]
    written_at: dt.datetime
    published_at: dt.datetime | None
    retired_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class TypeChange:
    """One move in a type's history."""

    version: int
    move: TypeMove
    status: TypeStatus
    at: dt.datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    reason: str
    digest: bytes


async def find_types(session: AsyncSession, wanted: Wanted, *, cursor: str | None = None, limit: int = PAGE) -> Found:
    """Exact matches first, then names that begin so, then the rest; by code within each."""
    rules, rank = _rules(wanted), _rank(folded(wanted.text))
    statement = select(TypeRow, rank.label("rank")).where(*rules)
    if cursor:
        statement = statement.where(tuple_(rank, TypeRow.code) > tuple_(*_cursor(cursor)))
    rows = list(await session.execute(statement.order_by(rank, TypeRow.code).limit(limit + 1)))
    total = await session.scalar(select(func.count()).select_from(TypeRow).where(*rules))
    shown = rows[:limit]
    more = f"{shown[-1][1]}.{shown[-1][0].code}" if len(rows) > limit else None
    return Found(tuple(_entry(row) for row, _ in shown), total or 0, more)


async def count_by_status(session: AsyncSession) -> dict[TypeStatus, int]:
    """How many types there are in each status."""
    rows = await session.execute(select(TypeRow.status, func.count()).group_by(TypeRow.status))
    return {TypeStatus(status): number for status, number in rows}


async def count_being_written(session: AsyncSession) -> int:
    """How many types have a version that is a draft or in review."""
    found = await session.scalar(select(func.count()).select_from(TypeRow).where(TypeRow.open_version.is_not(None)))
    return found or 0


async def get_entry(session: AsyncSession, code: str) -> Entry:
    """Raises ``TypeUnknown``."""
    row = await session.get(TypeRow, code, populate_existing=True)
    if row is None:
        raise TypeUnknown(code[:21])
    return _entry(row)


async def get_versions(session: AsyncSession, code: str) -> tuple[Version, ...]:
    """All versions of a type, newest first. Raises ``TypeUnknown``."""
    query = select(TypeVersionRow).where(TypeVersionRow.type_code == code).order_by(TypeVersionRow.version.desc())
    found = tuple(_version(row) for row in await session.scalars(query.execution_options(populate_existing=True)))
    if not found:
        raise TypeUnknown(code[:21])
    return found


async def get_version(session: AsyncSession, code: str, version: int) -> Version:
    """Raises ``TypeUnknown``."""
    row = await session.get(TypeVersionRow, (code, version), populate_existing=True)
    if row is None:
        raise TypeUnknown(f"{code[:21]} version {version}")
    return _version(row)


async def get_before(session: AsyncSession, version: Version) -> Version | None:
    """The version that was in force before this one, which it is compared with."""
    query = (
        select(TypeVersionRow)
        .where(TypeVersionRow.type_code == version.kind.code, TypeVersionRow.version < version.kind.version)
        .where(TypeVersionRow.status.in_(EVER_PUBLISHED))
        .order_by(TypeVersionRow.version.desc())
        .limit(1)
    )
    row = await session.scalar(query)
    return _version(row) if row is not None else None


async def history_of_type(session: AsyncSession, code: str) -> tuple[TypeChange, ...]:
    """Every move of every version, oldest first."""
    rows = await session.scalars(select(TypeMoveRow).where(TypeMoveRow.type_code == code).order_by(TypeMoveRow.id))
    return tuple(
        TypeChange(
            row.version,
            TypeMove(row.move),
            TypeStatus(row.new),
            row.at,
            row.actor_kind,
            row.actor_id,
            row.actor_name,
            row.reason,
            row.digest,
        )
        for row in rows
    )


async def in_force(session: AsyncSession, organisation: str = "") -> tuple[Version, ...]:
    """Every version in force, by code; of one organisation where it is given: what the directory tells."""
    query = (
        select(TypeVersionRow)
        .join(TypeRow, TypeRow.code == TypeVersionRow.type_code)
        .where(TypeVersionRow.status == TypeStatus.PUBLISHED, *_rules(Wanted(organisation=organisation)))
        .order_by(TypeVersionRow.type_code)
    )
    return tuple(_version(row) for row in await session.scalars(query))


async def open_versions(session: AsyncSession, codes: Sequence[str] | None = None) -> tuple[Version, ...]:
    """Every draft and every version in review, by code; of these types where they are given."""
    query = select(TypeVersionRow).where(TypeVersionRow.status.in_(OPEN)).order_by(TypeVersionRow.type_code)
    return tuple(
        _version(row) for row in await session.scalars(query if codes is None else query.where(TypeVersionRow.type_code.in_(codes)))
    )


def _rules(wanted: Wanted) -> list[ColumnElement[bool]]:
    rules: list[ColumnElement[bool]] = [func.strpos(TypeRow.search, word) > 0 for word in folded(wanted.text).split()[:MOST_WORDS]]
    if wanted.organisation:
        one: list[Any] = [wanted.organisation]
        issues = TypeRow.issuers.contains(one)
        rules.append(or_(func.left(TypeRow.code, 18) == wanted.organisation, issues))
    if wanted.status is not None:
        rules.append(TypeRow.status == wanted.status)
    if wanted.holder_kind:
        rules.append(TypeRow.holder_kind == wanted.holder_kind)
    if wanted.sharing is not None:
        rules.append(TypeRow.sharing_class == wanted.sharing)
    if wanted.ever_published:
        rules.append(TypeRow.version.is_not(None))
    if wanted.being_written:
        rules.append(TypeRow.open_version.is_not(None))
    return rules


def _rank(text: str) -> ColumnElement[int]:
    if not text:
        return literal_column("3", Integer)  # a constant: the list comes off the primary key, unsorted
    name = func.lower(TypeRow.name_zh)
    return case(
        (or_(func.lower(TypeRow.code) == text, name == text), 0),
        (func.starts_with(name, text), 1),
        (func.strpos(name, text) > 0, 2),
        else_=3,
    )


def _cursor(cursor: str) -> tuple[int, str]:
    rank, _, code = cursor.partition(".")
    if rank not in {"0", "1", "2", "3"} or not code.isascii() or not code.isalnum():
        raise InvalidInput("cursor", errors=[{"field": "cursor", "message": "not one of ours"}])
    return int(rank), code


def _entry(row: TypeRow) -> Entry:
    return Entry(
        row.code, row.name_zh, row.name_en, TypeStatus(row.status), row.version, row.open_version, row.holder_kind,
        SharingClass(row.sharing_class), tuple(row.issuers), row.updated_at,
    )  # fmt: skip


def _version(row: TypeVersionRow) -> Version:
    return Version(
        parse_type(row.definition | {"version": row.version}), TypeStatus(row.status), row.digest, tuple(row.writers), row.written_at,
        row.published_at, row.retired_at,
    )  # fmt: skip
