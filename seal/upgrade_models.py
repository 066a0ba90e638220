"""The tables of sealed files that are kept provable: what is due when, and every version there was."""

import datetime as dt
import uuid

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from seal.models import Base


class SealedFileRow(Base):
    """A sealed file that is upgraded and renewed.

    ``subject``       what it is, as in the audit (``certificate:0190…``)
    ``first_hash``    SHA-256 of the file as it was issued; ``current_hash``: of its newest version
    ``due_at``        when the next time stamp is due; ``next_attempt_at``: not before, because somebody has it in hand or it failed
    ``failure``       the code of the last failure, until it succeeds
    """

    __tablename__ = "sealed_files"
    __table_args__ = (Index("ix_sealed_files_due", "due_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(unique=True)
    first_hash: Mapped[bytes] = mapped_column(unique=True)
    current_hash: Mapped[bytes] = mapped_column(unique=True)
    level: Mapped[str]
    enrolled_at: Mapped[dt.datetime]
    due_at: Mapped[dt.datetime]
    next_attempt_at: Mapped[dt.datetime]
    attempts: Mapped[int]
    failure: Mapped[str | None]


class SealedVersionRow(Base):
    """One version of a sealed file, never changed. ``stamped_at``, ``ends_at``, ``algorithm``: of its last document time stamp."""

    __tablename__ = "sealed_versions"
    __table_args__ = (Index("ix_sealed_versions_file", "file_id"),)

    document_hash: Mapped[bytes] = mapped_column(primary_key=True)
    file_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sealed_files.id"))
    level: Mapped[str]
    made_at: Mapped[dt.datetime]
    stamped_at: Mapped[dt.datetime | None]
    ends_at: Mapped[dt.datetime | None]
    algorithm: Mapped[str | None]
