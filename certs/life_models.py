"""Tables of a certificate's life: a house's own reasons, transfers between issuers, annual checks, moves of many at once."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base, CertificateRow


class MoveReasonRow(Base):
    """A reason of this house, beside the shipped ones (``certs.grounds``). What it says never changes; it is retired instead."""

    __tablename__ = "move_reasons"

    code: Mapped[str] = mapped_column(primary_key=True)
    moves: Mapped[list[str]]
    zh: Mapped[str]
    en: Mapped[str]
    basis_zh: Mapped[str]
    basis_en: Mapped[str]
    added_at: Mapped[dt.datetime]
    added_by: Mapped[str]
    retired_at: Mapped[dt.datetime | None]


class TransferRow(Base):
    """A certificate on its way to another issuer: ``open`` until that one issues its successor (``received``) or it is ``undone``."""

    __tablename__ = "transfers"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(CertificateRow.id))
    from_organisation: Mapped[str]
    to_organisation: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str]
    opened_at: Mapped[dt.datetime]
    closed_at: Mapped[dt.datetime | None]
    successor: Mapped[str | None]

    __table_args__ = (
        Index("uq_transfers_open", "certificate_id", unique=True, postgresql_where=text("state = 'open'")),
        Index("ix_transfers_to", "to_organisation", "id"),
        Index("ix_transfers_from", "from_organisation", "id"),
    )


class AnnualRuleRow(Base):
    """Certificates of a type are checked every year, by this day of it; the first time in the year after they were issued."""

    __tablename__ = "annual_rules"

    type_code: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[int] = mapped_column(SmallInteger)
    day: Mapped[int] = mapped_column(SmallInteger)
    basis: Mapped[str]
    set_at: Mapped[dt.datetime]
    set_by: Mapped[str]


class AnnualCheckRow(Base):
    """What an annual check found. A later row of the same year stands in place of the earlier one, which stays."""

    __tablename__ = "annual_checks"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(CertificateRow.id))
    year: Mapped[int] = mapped_column(SmallInteger)
    result: Mapped[str]
    remark: Mapped[str]
    at: Mapped[dt.datetime]
    organisation: Mapped[str]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    request_key: Mapped[str | None]

    __table_args__ = (
        Index("ix_annual_checks_certificate", "certificate_id", "year"),
        Index(
            "uq_annual_checks_request", "certificate_id", "actor_id", "request_key", unique=True,
            postgresql_where=text("request_key IS NOT NULL"),
        ),
    )  # fmt: skip


class MoveJobRow(Base):
    """One move for many certificates. ``actor``: who asked, as they were then."""

    __tablename__ = "move_jobs"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation: Mapped[str | None]
    move: Mapped[str]
    reason: Mapped[str]
    reason_code: Mapped[str | None]
    legal_basis: Mapped[str | None]
    dry_run: Mapped[bool]
    actor: Mapped[dict[str, Any]]
    actor_id: Mapped[str]
    request_key: Mapped[str]
    request: Mapped[bytes]
    items: Mapped[int]
    created_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]

    __table_args__ = (
        Index("uq_move_jobs_request", "actor_id", "request_key", unique=True),
        Index("ix_move_jobs_organisation", "organisation", "id"),
        Index("ix_move_jobs_open", "id", postgresql_where=text("finished_at IS NULL")),
    )


class MoveJobItemRow(Base):
    """One certificate of a job, as it was named. ``outcome``: a code; none: its turn has not come."""

    __tablename__ = "move_job_items"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(MoveJobRow.id), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    certificate_id: Mapped[uuid.UUID | None]
    outcome: Mapped[str | None]
    done_at: Mapped[dt.datetime | None]

    __table_args__ = (Index("ix_move_job_items_open", "job_id", "position", postgresql_where=text("outcome IS NULL")),)
