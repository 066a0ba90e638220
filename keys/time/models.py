"""The tables of trusted time: who signs time stamps, instants that never go back, time stamps that wait."""

import datetime as dt
import uuid

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from keys.models import Base


class TimestampSignerRow(Base):
    """A key that signs time stamps. The newest signs; the others are history.

    ``chain``  the certificates above its own up to the root, its issuer first, DER one behind the other
    """

    __tablename__ = "timestamp_signers"

    serial: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("stored_keys.id"))
    certificate: Mapped[bytes]
    chain: Mapped[bytes]
    not_before: Mapped[dt.datetime]
    not_after: Mapped[dt.datetime]
    created_at: Mapped[dt.datetime]


class TimeMarkRow(Base):
    """An instant that only goes forward: ``clock``, the last one the clock was trusted at, and ``tsa``, the last one stamped.

    ``count``  of ``clock``: how often an operator acknowledged a doubt; of ``tsa``: how many time stamps were made
    """

    __tablename__ = "time_marks"

    name: Mapped[str] = mapped_column(primary_key=True)
    instant: Mapped[dt.datetime]
    count: Mapped[int]


class TimestampRow(Base):
    """A time stamp of something, or a place in the queue while ``token`` is null.

    ``subject``  kind and identifier, as in the audit (``certificate:0190…``)
    ``digest``   what is stamped, under ``algorithm``
    """

    __tablename__ = "timestamps"
    __table_args__ = (
        Index("ix_timestamps_waiting", "enqueued_at", postgresql_where=text("token IS NULL")),
        Index("ix_timestamps_subject", "subject"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    subject: Mapped[str]
    digest: Mapped[bytes]
    algorithm: Mapped[str]
    enqueued_at: Mapped[dt.datetime]
    next_attempt_at: Mapped[dt.datetime]
    token: Mapped[bytes | None]
    stamped_at: Mapped[dt.datetime | None]
