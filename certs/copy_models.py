"""Tables of annotated copies, applications for access, rates of requesters and the working-day calendar.

``sha256`` of a copy is what a file is recognised by for ever; ``document_hash`` names the stored file and is empty once that was dropped.
"""

import datetime as dt
import uuid

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base


class CopyRow(Base):
    """An annotated copy (加注件) of a certificate: made for one requester and one purpose, until an instant."""

    __tablename__ = "copies"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"))
    stage: Mapped[str]
    verification_code: Mapped[str] = mapped_column(unique=True)
    original_hash: Mapped[bytes]
    requester_kind: Mapped[str]
    requester_id: Mapped[str]
    organisation: Mapped[str | None]
    requester_name: Mapped[str]
    purpose: Mapped[str]
    matter_code: Mapped[str | None]
    basis: Mapped[str]
    seal_code: Mapped[str]
    made_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    withdrawn_at: Mapped[dt.datetime | None]
    withdrawn_reason: Mapped[str]
    sha256: Mapped[bytes | None]
    document_hash: Mapped[bytes | None]
    request_key: Mapped[str]
    request: Mapped[bytes]
    lease_until: Mapped[dt.datetime | None]
    failure: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("requester_id", "request_key"),
        Index("ix_copies_certificate", "certificate_id", "id"),
        Index("ix_copies_organisation", "organisation", "id", postgresql_where=text("organisation IS NOT NULL")),
        Index("ix_copies_sha256", "sha256", postgresql_where=text("sha256 IS NOT NULL")),
        Index("ix_copies_document_hash", "document_hash", postgresql_where=text("document_hash IS NOT NULL")),
        Index("ix_copies_kept", "expires_at", postgresql_where=text("document_hash IS NOT NULL")),
    )


class CopySealRow(Base):
    """With which seal, and in which matter, copies of an organisation's certificates are sealed; none: as the original was."""

    __tablename__ = "copy_seals"

    organisation: Mapped[str] = mapped_column(primary_key=True)
    seal_code: Mapped[str]
    matter_code: Mapped[str]
    set_at: Mapped[dt.datetime]
    set_by: Mapped[str]


class DownloadRow(Base):
    """A temporary address of a copy's file: ``token`` is the SHA-256 of what stands in the address."""

    __tablename__ = "copy_downloads"

    token: Mapped[bytes] = mapped_column(primary_key=True)
    copy_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.copies.id"))
    made_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    used_at: Mapped[dt.datetime | None]

    __table_args__ = (Index("ix_copy_downloads_expires_at", "expires_at"),)


class AccessApplicationRow(Base):
    """An organisation asks to be let use the certificates of one type; once open it may, until ``until``."""

    __tablename__ = "access_applications"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation: Mapped[str]
    type_code: Mapped[str]
    uses: Mapped[list[str]] = mapped_column(JSONB)
    matter_code: Mapped[str]
    purpose: Mapped[str]
    basis: Mapped[str]
    without_holder: Mapped[bool]
    per_day: Mapped[int]
    until: Mapped[dt.date]
    stage: Mapped[str]
    applicant_kind: Mapped[str]
    applicant_id: Mapped[str]
    applicant_name: Mapped[str]
    submitted_at: Mapped[dt.datetime]
    due_at: Mapped[dt.datetime]
    overdue_at: Mapped[dt.datetime | None]
    decided_at: Mapped[dt.datetime | None]
    decided_by: Mapped[str | None]
    decided_name: Mapped[str]
    reason: Mapped[str]
    request_key: Mapped[str]
    request: Mapped[bytes]

    __table_args__ = (
        UniqueConstraint("applicant_id", "request_key"),
        Index("ix_access_applications_organisation", "organisation", "id"),
        Index("ix_access_applications_open", "organisation", "type_code", postgresql_where=text("stage = 'open'")),
        Index("ix_access_applications_waiting", "due_at", postgresql_where=text("stage = 'submitted'")),
    )


class RateRow(Base):
    """How often a requester may do what: ``requester`` is a client or an organisation, ``type_code`` empty for every type."""

    __tablename__ = "requester_rates"

    requester: Mapped[str] = mapped_column(primary_key=True)
    use: Mapped[str] = mapped_column(primary_key=True)
    type_code: Mapped[str] = mapped_column(primary_key=True)
    per_minute: Mapped[int]
    per_day: Mapped[int]
    set_at: Mapped[dt.datetime]
    set_by: Mapped[str]


class RateUseRow(Base):
    """What a requester did on a civil day."""

    __tablename__ = "requester_uses"

    requester: Mapped[str] = mapped_column(primary_key=True)
    use: Mapped[str] = mapped_column(primary_key=True)
    type_code: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[dt.date] = mapped_column(primary_key=True)
    used: Mapped[int]


class WorkingDayRow(Base):
    """A day that differs from its weekday: a holiday, or a Saturday or Sunday that is worked."""

    __tablename__ = "working_days"

    day: Mapped[dt.date] = mapped_column(primary_key=True)
    works: Mapped[bool]
    name: Mapped[str]
    set_at: Mapped[dt.datetime]
    set_by: Mapped[str]
