"""The tables beside a seal's life: notices, codes ever given, requests answered once, and what other registries say."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ForeignKey, Identity, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from seal.models import Base


class NoticeRow(Base):
    """What an organisation's keepers are told. ``kind``: the move, or ``expiring``; ``read_by``: the first keeper who saw it."""

    __tablename__ = "notices"
    __table_args__ = (
        Index("ix_notices_organisation", "organisation", "id"),
        Index("uq_notices_expiring", "seal_id", unique=True, postgresql_where=text("kind = 'expiring'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"))
    organisation: Mapped[str]
    kind: Mapped[str]
    at: Mapped[dt.datetime]
    reason_code: Mapped[str]
    text: Mapped[str]
    read_at: Mapped[dt.datetime | None]
    read_by: Mapped[str | None]


class CodeRow(Base):
    """Every code that any seal ever had, ours and others', in one form of 14 digits: none is given twice."""

    __tablename__ = "codes"

    canonical: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str]
    source: Mapped[str | None]
    taken_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))


class RequestRow(Base):
    """One change of a seal for one ``Idempotency-Key`` of one person."""

    __tablename__ = "seal_requests"

    actor_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes]
    seal_id: Mapped[uuid.UUID]
    at: Mapped[dt.datetime]


class RegistryRow(Base):
    """Another registry of seals that an administrator registered. ``roots``: DER, what its answers must be signed under.

    ``url`` is asked and nothing else is; ``divisions``: of which seals it may speak (GB/T 2260, as far as its trailing zeros leave open).
    """

    __tablename__ = "registries"

    name: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    divisions: Mapped[list[str]] = mapped_column(ARRAY(Text))
    roots: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary))
    registered_by: Mapped[str]
    registered_at: Mapped[dt.datetime]
    withdrawn_at: Mapped[dt.datetime | None]


class ForeignSealRow(Base):
    """A seal of others, as a feed told it."""

    __tablename__ = "foreign_seals"

    source: Mapped[str] = mapped_column(ForeignKey("registries.name"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    organisation: Mapped[str]
    valid_from: Mapped[dt.datetime]
    valid_to: Mapped[dt.datetime]
    taken_at: Mapped[dt.datetime]


class ForeignStatusRow(Base):
    """One step in the life of a seal of others, as a feed told it. ``position``: the feed's own count."""

    __tablename__ = "foreign_statuses"
    __table_args__ = (Index("ix_foreign_statuses_code", "code", "at"),)

    source: Mapped[str] = mapped_column(ForeignKey("registries.name"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]
    invalid_type: Mapped[int | None]
    at: Mapped[dt.datetime]


class ForeignAnswerRow(Base):
    """The last signed answer of another registry about one seal: what it says (``answer``), its octets (``jws``), or the failure."""

    __tablename__ = "foreign_answers"

    source: Mapped[str] = mapped_column(ForeignKey("registries.name"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    answer: Mapped[dict[str, Any]]
    jws: Mapped[bytes]
    produced_at: Mapped[dt.datetime | None]
    fetched_at: Mapped[dt.datetime | None]
    tried_at: Mapped[dt.datetime]
    failure: Mapped[str | None]


class FeedImportRow(Base):
    """How far a feed was taken in: the position after which the next import goes on, and what it could not take."""

    __tablename__ = "feed_imports"

    source: Mapped[str] = mapped_column(ForeignKey("registries.name"), primary_key=True)
    position: Mapped[int]
    taken: Mapped[int]
    flagged: Mapped[int]
    at: Mapped[dt.datetime]


class StatusListRow(Base):
    """A signed list of the status of our seals, as it was served."""

    __tablename__ = "status_lists"

    version: Mapped[int] = mapped_column(primary_key=True)
    issued_at: Mapped[dt.datetime]
    next_update: Mapped[dt.datetime]
    position: Mapped[int]
    digest: Mapped[bytes]
    jws: Mapped[bytes]
