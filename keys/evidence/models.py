"""Tables of the audit trail and its Merkle log."""

import datetime as dt
import uuid

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from keys.models import Base


class AuditEvent(Base):
    """One event. ``body`` is the leaf of the log; ``position`` is its index there, given after commit.

    A trigger (migration ``0005_guards``) refuses every change but giving a position once, and every deletion.
    """

    __tablename__ = "audit_events"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    occurred_at: Mapped[dt.datetime]
    action: Mapped[str]
    object: Mapped[str]
    actor_id: Mapped[str]
    outcome: Mapped[str]
    body: Mapped[bytes]
    position: Mapped[int | None] = mapped_column(unique=True)

    __table_args__ = (
        Index("ix_audit_events_pending", "id", postgresql_where=position.is_(None)),
        Index("ix_audit_events_object", "object", "id"),
        Index("ix_audit_events_actor", "actor_id", "id"),
    )


class LogTile(Base):
    """A full tile of 256 hashes (C2SP tlog-tiles): ``hashes`` is 8,192 octets."""

    __tablename__ = "log_tiles"

    level: Mapped[int] = mapped_column(primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)
    hashes: Mapped[bytes]


class LogCheckpoint(Base):
    """A signed statement of the log's size and root. ``frontier`` holds the roots of its perfect subtrees, largest first."""

    __tablename__ = "log_checkpoints"

    size: Mapped[int] = mapped_column(primary_key=True)
    root: Mapped[bytes]
    frontier: Mapped[bytes]
    note: Mapped[str]
    created_at: Mapped[dt.datetime]


class LogIdentity(Base):
    """The log's name (``origin``) and signing key; one row."""

    __tablename__ = "log_identity"

    origin: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[uuid.UUID]
    created_at: Mapped[dt.datetime]
