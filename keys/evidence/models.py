"""Tables of the audit trail, its Merkle log, and what others say of it: anchors, cosignatures, witnessed logs."""

import datetime as dt
import uuid

from sqlalchemy import Index, text
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
        Index("ix_audit_events_object", "object", "occurred_at", "id"),
        Index("ix_audit_events_actor", "actor_id", "occurred_at", "id"),
        Index("ix_audit_events_time", "occurred_at", "id"),
    )


class LogTile(Base):
    """A full tile of 256 hashes (C2SP tlog-tiles): ``hashes`` is 8,192 octets, ``root`` their Merkle tree hash."""

    __tablename__ = "log_tiles"

    level: Mapped[int] = mapped_column(primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)
    hashes: Mapped[bytes]
    root: Mapped[bytes]


class LogCheckpoint(Base):
    """A signed statement of the log's size and root. ``note`` bears the log's own signature only."""

    __tablename__ = "log_checkpoints"

    size: Mapped[int] = mapped_column(primary_key=True)
    root: Mapped[bytes]
    note: Mapped[str]
    created_at: Mapped[dt.datetime]


class LogIdentity(Base):
    """The log's name (``origin``) and signing key; one row."""

    __tablename__ = "log_identity"

    origin: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[uuid.UUID]
    created_at: Mapped[dt.datetime]


class LogHalt(Base):
    """The log was found damaged: nothing is signed until somebody says why it may go on (``resumed_at``)."""

    __tablename__ = "log_halts"
    __table_args__ = (Index("ix_log_halts_open", text("(1)"), unique=True, postgresql_where=text("resumed_at IS NULL")),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    halted_at: Mapped[dt.datetime]
    problem: Mapped[str]
    resumed_at: Mapped[dt.datetime | None]
    resumed_because: Mapped[str | None]


class LogAnchor(Base):
    """An RFC 3161 time stamp over the checkpoint of ``size``: ``token`` is a DER TimeStampToken over SHA-256 of its note."""

    __tablename__ = "log_anchors"

    size: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[bytes]
    created_at: Mapped[dt.datetime]


class LogWitness(Base):
    """A witness we ask. ``size``: the newest checkpoint it cosigned; ``problem``: what its last answer was, if not that."""

    __tablename__ = "log_witnesses"

    name: Mapped[str] = mapped_column(primary_key=True)
    vkey: Mapped[str]
    url: Mapped[str]
    size: Mapped[int] = mapped_column(default=0)
    added_at: Mapped[dt.datetime]
    answered_at: Mapped[dt.datetime | None]
    problem: Mapped[str | None]


class LogCosignature(Base):
    """A witness's signature line under the checkpoint of ``size``."""

    __tablename__ = "log_cosignatures"

    size: Mapped[int] = mapped_column(primary_key=True)
    witness: Mapped[str] = mapped_column(primary_key=True)
    line: Mapped[str]
    created_at: Mapped[dt.datetime]


class WitnessIdentity(Base):
    """Our own name and key as a witness for others; one row."""

    __tablename__ = "witness_identity"

    name: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[uuid.UUID]
    created_at: Mapped[dt.datetime]


class WitnessedLog(Base):
    """A log we are a witness for: its key, and the newest checkpoint we cosigned (size 0: none yet)."""

    __tablename__ = "witnessed_logs"

    origin: Mapped[str] = mapped_column(primary_key=True)
    vkey: Mapped[str]
    size: Mapped[int] = mapped_column(default=0)
    root: Mapped[bytes] = mapped_column(default=b"")
    note: Mapped[str] = mapped_column(default="")
    added_at: Mapped[dt.datetime]
    cosigned_at: Mapped[dt.datetime | None]
