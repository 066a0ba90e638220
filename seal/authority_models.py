"""The tables of authority over seals: requirements, approvals, legal bases, windows, counters, refusals, alerts."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from seal.models import Base


class RequirementRow(Base):
    """What using one seal takes beyond what every seal takes. A seal without a row takes what every seal takes."""

    __tablename__ = "requirements"

    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"), primary_key=True)
    assurance: Mapped[int]
    authenticator: Mapped[int]
    approvals: Mapped[int]
    changed_at: Mapped[dt.datetime]
    changed_by: Mapped[str]


class ApprovalRow(Base):
    """An approver agreed that this document is sealed with this seal. ``requester``: who asked for it, never the approver."""

    __tablename__ = "approvals"
    __table_args__ = (
        Index("ix_approvals_document", "document_hash", "seal_id"),
        Index(
            "uq_approvals_standing",
            "seal_id",
            "document_hash",
            "approver",
            "requester",
            unique=True,
            postgresql_where=text("withdrawn_at IS NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"))
    document_hash: Mapped[bytes]
    requester: Mapped[str]
    approver: Mapped[str]
    approver_name: Mapped[str]
    at: Mapped[dt.datetime]
    withdrawn_at: Mapped[dt.datetime | None]


class LegalBasisRow(Base):
    """Why an approval matter may take this seal, which is none for approvals: the text of the law, and the two who answer for it."""

    __tablename__ = "legal_bases"
    __table_args__ = (
        Index("uq_legal_bases_standing", "seal_id", "matter_code", unique=True, postgresql_where=text("withdrawn_at IS NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"))
    matter_code: Mapped[str]
    basis: Mapped[str]
    proposed_by: Mapped[str]
    proposed_at: Mapped[dt.datetime]
    confirmed_by: Mapped[str | None]
    confirmed_at: Mapped[dt.datetime | None]
    withdrawn_by: Mapped[str | None]
    withdrawn_at: Mapped[dt.datetime | None]


class WindowRow(Base):
    """A service window: who runs it, its division, where it stands, the networks its desks are in (CIDR; none: any)."""

    __tablename__ = "windows"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    organisation: Mapped[str]
    division: Mapped[str]
    place: Mapped[str]
    networks: Mapped[list[str]]
    closed_at: Mapped[dt.datetime | None]
    changed_at: Mapped[dt.datetime]


class WindowSealRow(Base):
    """A seal that a window was given to keep, until it is returned."""

    __tablename__ = "window_seals"
    __table_args__ = (Index("uq_window_seals_kept", "seal_id", "window_id", unique=True, postgresql_where=text("returned_at IS NULL")),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    window_id: Mapped[str] = mapped_column(ForeignKey("windows.id"))
    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"))
    given_at: Mapped[dt.datetime]
    given_by: Mapped[str]
    returned_at: Mapped[dt.datetime | None]
    returned_by: Mapped[str | None]


class PostingRow(Base):
    """Who works at a window, until they leave it."""

    __tablename__ = "postings"
    __table_args__ = (Index("uq_postings_standing", "person", "window_id", unique=True, postgresql_where=text("ended_at IS NULL")),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    window_id: Mapped[str] = mapped_column(ForeignKey("windows.id"))
    person: Mapped[str]
    since: Mapped[dt.datetime]
    posted_by: Mapped[str]
    ended_at: Mapped[dt.datetime | None]
    ended_by: Mapped[str | None]


class GrantCounterRow(Base):
    """Uses under a grant with a quota: ``period`` is a civil date or ``total``. The row's lock makes the count exact."""

    __tablename__ = "grant_counters"

    grant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("grants.id"), primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[int]
    quota: Mapped[int]


class RefusalRow(Base):
    """A use that was asked for and refused: what the alerts look at."""

    __tablename__ = "refusals"
    __table_args__ = (Index("ix_refusals_seal", "seal_id", "at"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"))
    at: Mapped[dt.datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    matter_code: Mapped[str]
    code: Mapped[str]
    address: Mapped[str | None]


class AlertRow(Base):
    """Something about a seal that somebody should look at. ``mark`` tells one occasion from another of the same rule."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("uq_alerts_occasion", "seal_id", "rule", "mark", unique=True),
        Index("ix_alerts_open", "seal_id", "at", postgresql_where=text("acknowledged_at IS NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"))
    rule: Mapped[str]
    mark: Mapped[str]
    at: Mapped[dt.datetime]
    details: Mapped[dict[str, Any]]
    acknowledged_at: Mapped[dt.datetime | None]
    acknowledged_by: Mapped[str | None]
    note: Mapped[str]
