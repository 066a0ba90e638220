"""The record behind a verification code for machines: one statement, past the session (:mod:`keys.base.hot`).

It answers what :func:`certs.verification.record_by_code` answers. Only a certificate that somebody took out of force has a story to tell,
and costs a second look at its history.
A version of a type that something was issued under never changes, so it is read once; an imported record follows the version in force
within half a minute.
"""

import datetime as dt
from collections import OrderedDict
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from certs.catalogue import CertificateType
from certs.code_models import StatusEntryRow
from certs.copy_models import CopyRow
from certs.lifecycle import Status
from certs.models import CertificateRow, HolderRow
from certs.reads import history, type_of
from certs.reason_keeping import reasons_of
from certs.records import Certificate, Holder, Source, Stage
from certs.verification import RecordReport, record_by_code, report_of, unknown_report, wanted_code
from keys.base.db import Database
from keys.base.hot import Record, Statement

MOST_KINDS = 512
MOVING = dt.timedelta(seconds=30)

_HOLDERS = (
    select(
        func.jsonb_agg(
            aggregate_order_by(
                func.jsonb_build_array(HolderRow.name, HolderRow.code_type, HolderRow.code, HolderRow.code_masked), HolderRow.position
            )
        )
    )
    .where(HolderRow.certificate_id == CertificateRow.id)
    .scalar_subquery()
    .label("held_by")
)
_COLUMNS = [column for column in CertificateRow.__table__.c if column.name in Certificate.__slots__]
FIND = Statement(
    select(*_COLUMNS, _HOLDERS, StatusEntryRow.list.label("status_list"), StatusEntryRow.index.label("status_index"))
    .outerjoin(StatusEntryRow, StatusEntryRow.certificate_id == CertificateRow.id)
    .where(CertificateRow.verification_code == bindparam("code"), CertificateRow.stage == Stage.ISSUED.value)
)

FIND_COPY = Statement(select(CopyRow.id).where(CopyRow.verification_code == bindparam("code")))
"""A code that is no certificate's may be an annotated copy's: rare enough to be read the long way."""


class Records:
    """The reader of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kinds: OrderedDict[tuple[str, int | None], tuple[dt.datetime, CertificateType | None]] = OrderedDict()

    async def by_code(self, now: dt.datetime, code: str) -> tuple[RecordReport, tuple[int, int] | None]:
        """The report, and the certificate's place in a status list: (list, index)."""
        wanted = wanted_code(code)
        row = await self._database.hot.row(FIND, {"code": wanted})
        if row is None:
            return await record_by_code(self._database, now, wanted) if await self._is_copy(wanted) else unknown_report(wanted, now), None
        found = _certificate(row)
        place = (row["status_list"], row["status_index"]) if row["status_list"] is not None else None
        kind = await self._kind(found, now)
        if found.status is Status.VALID:
            return report_of(found, kind, now), place
        async with self._database.session() as session:
            entries = await history(session, found.id)
            reasons = await reasons_of(session, entries[-1:])
        return report_of(found, kind, now, entries, reasons), place

    async def _is_copy(self, wanted: str) -> bool:
        return await self._database.hot.row(FIND_COPY, {"code": wanted}) is not None

    async def _kind(self, found: Certificate, now: dt.datetime) -> CertificateType | None:
        name = (found.type_code, found.type_version)
        known = self._kinds.get(name)
        if known is not None and (found.type_version is not None or now - known[0] < MOVING):
            return known[1]
        async with self._database.session() as session:
            kind = await type_of(session, found)
        self._kinds[name] = now, kind
        self._kinds.move_to_end(name)
        if len(self._kinds) > MOST_KINDS:
            self._kinds.popitem(last=False)
        return kind


def _certificate(row: Record) -> Certificate:
    converted: dict[str, Any] = {
        "stage": Stage(row["stage"]),
        "status": Status(row["status"]),
        "source": Source(row["source"]),
        "flags": tuple(row["flags"]),
        "holders": tuple(Holder(*one) for one in row["held_by"] or ()),
    }
    return Certificate(**{column.name: row[column.name] for column in _COLUMNS if column.name not in converted} | converted)
