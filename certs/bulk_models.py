"""Tables of bulk issuing: the job, and one row for every approval of it."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base


class BulkIssueRow(Base):
    """A job. ``upload``: of the reading that fills it; ``request``: SHA-256 of all rows, keyed, once they are in."""

    __tablename__ = "bulk_issues"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    client_id: Mapped[str]
    organisation: Mapped[str | None]
    name: Mapped[str]
    key: Mapped[str]
    state: Mapped[str]
    upload: Mapped[uuid.UUID]
    request: Mapped[bytes | None]
    items: Mapped[int]
    address: Mapped[str | None]
    created_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]

    __table_args__ = (
        Index("uq_bulk_issues_key", "client_id", "key", unique=True),
        Index("ix_bulk_issues_running", "id", postgresql_where=text("state = 'running'")),
        Index("ix_bulk_issues_organisation", "organisation", "id"),
    )


class BulkIssueItemRow(Base):
    """One approval. ``body``: its members as they came, an envelope, dropped once the row is settled: they hold ID numbers."""

    __tablename__ = "bulk_issue_items"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(BulkIssueRow.id, ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[bytes | None]
    state: Mapped[str]
    code: Mapped[str | None]
    errors: Mapped[list[dict[str, Any]] | None]
    certificate_id: Mapped[uuid.UUID | None]
    lease_until: Mapped[dt.datetime | None]
    attempts: Mapped[int]

    __table_args__ = (
        Index("ix_bulk_issue_items_waiting", "job_id", "position", postgresql_where=text("state = 'waiting'")),
        Index("ix_bulk_issue_items_refused", "job_id", "position", postgresql_where=text("state = 'refused'")),
        Index("ix_bulk_issue_items_body_data_key", text("substr(body, 2, 16)")),
    )


def body_context(job_id: uuid.UUID, position: int) -> str:
    """What a row's envelope is bound to."""
    return f"certs.bulk:{job_id}:{position}"
