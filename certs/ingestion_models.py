"""Tables of stock certificates beside ``certs.models.ImportRow``: parts of an upload, scans, and later checks."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base


class ImportPartRow(Base):
    """A part of an uploaded file, encrypted under the import's ``content_key``; ``part_digest`` names it in the store."""

    __tablename__ = "import_parts"

    import_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.imports.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    octets: Mapped[int]
    part_digest: Mapped[bytes]

    __table_args__ = (Index("ix_import_parts_part_digest", "part_digest"),)


class ScanRow(Base):
    """A scan that an import brought: it becomes a sealed "copy of paper". ``state``: waiting, done, failed (``failure`` says why)."""

    __tablename__ = "scans"

    certificate_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.certificates.id"), primary_key=True)
    import_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.imports.id"))
    scan_digest: Mapped[bytes]
    seal_code: Mapped[str]
    matter_code: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(SmallInteger)
    failure: Mapped[str | None]
    lease_until: Mapped[dt.datetime | None]

    __table_args__ = (
        Index("ix_scans_import", "import_id"),
        Index("ix_scans_waiting", "certificate_id", postgresql_where=text("state = 'waiting'")),
        Index("ix_scans_scan_digest", "scan_digest"),
    )


class RecheckRow(Base):
    """A later check of what an import brought, by today's rules and registers: how many rows gained or lost each flag."""

    __tablename__ = "import_rechecks"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    import_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.imports.id"))
    cursor: Mapped[uuid.UUID | None]
    rows_done: Mapped[int]
    gained: Mapped[dict[str, Any]]
    lost: Mapped[dict[str, Any]]
    actor: Mapped[dict[str, Any]]
    started_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]

    __table_args__ = (
        Index("ix_import_rechecks_import", "import_id", "id"),
        Index("ix_import_rechecks_open", "id", postgresql_where=text("finished_at IS NULL")),
    )
