"""Named selects of the library: lists by any mark, newest first, in pages whose cursor is the last id.

Every one of them is looked at with two million rows (``make library-benchmark``): none reads more than its page and what is filtered
out on the way, except a full-text search for what stands nearly everywhere, which is ended after :data:`LONGEST_SEARCH`.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, literal, or_, select, text, union_all
from sqlalchemy.dialects.postgresql import ARRAY, INTEGER
from sqlalchemy.ext.asyncio import AsyncSession

from certs.library import Access, to_access
from certs.library_models import HolderSearchRow, SearchRow
from certs.lifecycle import Standing, Status
from certs.models import AccessRow, CertificateRow, HolderRow
from certs.reads import holders_of, to_certificate
from certs.records import DISPOSED, Page, Stage
from certs.words import grams_of, pattern_of, words_of

LONGEST_SEARCH = dt.timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Scope:
    """What the asker may see. ``organisation``: what it issued or had issued; ``holders``: blind indexes of their own.

    Both None: everything.
    """

    organisation: str | None = None
    holders: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Marks:
    """What is looked for; whatever is None does not narrow. ``holder``: a blind index. Days are civil dates, both included."""

    holder: bytes | None = None
    identifier: str | None = None
    number: str | None = None
    type_code: str | None = None
    issuer: str | None = None
    standing: Standing | None = None
    issued_from: dt.date | None = None
    issued_to: dt.date | None = None
    text: str | None = None


async def found(
    session: AsyncSession, scope: Scope, marks: Marks, today: dt.date, *, cursor: uuid.UUID | None = None, limit: int = 50
) -> Page:
    """A page of issued certificates, newest first. A search by words that takes too long ends with PostgreSQL's ``QueryCanceled``."""
    if marks.text is not None:
        milliseconds = int(LONGEST_SEARCH.total_seconds() * 1000)
        await session.execute(text(f"SET LOCAL statement_timeout = {milliseconds}"))
    wanted = page_of(scope, marks, today, cursor, limit + 1)
    rows = await session.scalars(select(CertificateRow).where(CertificateRow.id.in_(wanted)).order_by(CertificateRow.id.desc()))
    found_rows = list(rows)
    holders = await holders_of(session, [row.id for row in found_rows[:limit]])
    items = tuple(to_certificate(row, holders) for row in found_rows[:limit])
    return Page(items, str(items[-1].id) if len(found_rows) > limit else None)


def page_of(scope: Scope, marks: Marks, today: dt.date, cursor: uuid.UUID | None, limit: int) -> Select[uuid.UUID]:
    """The ids of a page. A holder, an identifier or a number is looked up first, and what it leads to is little.

    Else each way of belonging to an organisation is a lane with an index of its own, and the page is both merged.
    """
    shared = [CertificateRow.stage == Stage.ISSUED.value, *_narrowed(marks, today)]
    if cursor is not None:
        shared.append(CertificateRow.id < cursor)
    if scope.holders is not None:
        shared.append(_held_by(scope.holders))
    selective = marks.holder is not None or marks.identifier is not None or marks.number is not None
    if scope.organisation is not None and selective:
        shared.append(or_(*_belongs(scope.organisation)))
    if scope.organisation is None or selective:
        return select(CertificateRow.id).where(*shared).order_by(CertificateRow.id.desc()).limit(limit)
    lanes = [_lane(condition, shared, limit) for condition in _belongs(scope.organisation)]
    merged = union_all(*lanes).subquery()
    return select(merged.c.id).order_by(merged.c.id.desc()).limit(limit)


def _lane(condition: ColumnElement[bool], shared: Sequence[ColumnElement[bool]], limit: int) -> Select[Any]:
    inner = select(CertificateRow.id).where(condition, *shared).order_by(CertificateRow.id.desc()).limit(limit).subquery()
    return select(inner.c.id)


def _belongs(organisation: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Issued by it; and issued at its request by another (the condition of the partial index, word for word)."""
    client = CertificateRow.client_organisation
    return CertificateRow.issuer == organisation, and_(client == organisation, client.is_not(None), client != CertificateRow.issuer)


def _narrowed(marks: Marks, today: dt.date) -> list[ColumnElement[bool]]:
    row = CertificateRow
    equal = {row.number: marks.number, row.type_code: marks.type_code, row.issuer: marks.issuer}
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    if marks.holder is not None:
        conditions.append(_held_by((marks.holder,)))
    if marks.identifier is not None:
        conditions += [row.identifier == marks.identifier, ~row.duplicate, row.identifier != ""]
    if marks.issued_from is not None:
        conditions.append(row.issued_on >= marks.issued_from)
    if marks.issued_to is not None:
        conditions.append(row.issued_on <= marks.issued_to)
    if marks.standing is not None:
        conditions.append(stands(marks.standing, today))
    if marks.text is not None:
        conditions.append(row.id.in_(_with_words(words_of(marks.text))))
    return conditions


def _held_by(holders: Sequence[bytes]) -> ColumnElement[bool]:
    one = HolderRow.code_index == holders[0] if len(holders) == 1 else HolderRow.code_index.in_(holders)
    return CertificateRow.id.in_(select(HolderRow.certificate_id).where(one))


def _with_words(words: Sequence[str]) -> Select[uuid.UUID]:
    grams = sorted({gram for word in words for gram in grams_of(word)})
    contained = [SearchRow.body.like(pattern_of(word), escape="\\") for word in words]
    return select(SearchRow.certificate_id).where(SearchRow.grams.contains(literal(grams, ARRAY(INTEGER))), *contained)


def stands(standing: Standing, today: dt.date) -> ColumnElement[bool]:
    """The rows whose :meth:`Certificate.standing` is that one; the same order of reasons as ``certs.lifecycle.standing``."""
    row = CertificateRow
    disposed, replaced = row.flags.contains([DISPOSED]), and_(row.successor.is_not(None), row.status.in_(("01", "05")))
    over = and_(row.status == Status.VALID.value, row.valid_to.is_not(None), row.valid_to < today)
    early = and_(row.status == Status.VALID.value, row.valid_from.is_not(None), row.valid_from > today)
    plain = and_(~disposed, ~replaced)
    conditions: dict[Standing, ColumnElement[bool]] = {
        Standing.DISPOSED: disposed,
        Standing.SUPERSEDED: and_(~disposed, replaced),
        Standing.EXPIRED: and_(plain, or_(row.status == Status.EXPIRED.value, over)),
        Standing.NOT_YET_VALID: and_(plain, early, ~func.coalesce(over, false())),
        Standing.IN_FORCE: and_(plain, row.status == Status.VALID.value, ~func.coalesce(over, false()), ~func.coalesce(early, false())),
        Standing.SUSPENDED: and_(plain, row.status == Status.SUSPENDED.value),
        Standing.REVOKED: and_(plain, row.status.in_((Status.REVOKED.value, Status.WITHDRAWN.value))),
        Standing.CANCELLED: and_(plain, row.status.in_((Status.CANCELLED.value, Status.TRANSFERRED.value))),
        Standing.UNKNOWN: and_(plain, row.status == Status.OTHER.value),
    }
    return conditions[standing]


async def searches_for(session: AsyncSession, holder: bytes, limit: int) -> tuple[Access, ...]:
    """Who searched for a holder and why, newest first."""
    statement = (
        select(AccessRow)
        .join(HolderSearchRow, HolderSearchRow.access_id == AccessRow.id)
        .where(HolderSearchRow.holder_index == holder)
        .order_by(HolderSearchRow.access_id.desc())
        .limit(limit)
    )
    return tuple(to_access(row) for row in await session.scalars(statement))
