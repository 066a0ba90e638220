"""Tables of events on their way out and of approvals on their way in."""

import datetime as dt
import uuid

from sqlalchemy import ForeignKey, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from certs.models import Base


class SubscriptionRow(Base):
    """An address of an organisation that is told of events. ``secret`` signs, and is sealed; ``former`` signs beside it until it ends.

    No ``topics`` or ``types``: all of them. Delivery works on it only under its lease; ``due_at`` is when the next round may begin.
    ``failures`` in a row, the last ``trouble`` in one code word.
    """

    __tablename__ = "subscriptions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation: Mapped[str]
    name: Mapped[str]
    url: Mapped[str]
    topics: Mapped[list[str]]
    types: Mapped[list[str]]
    state: Mapped[str]
    secret: Mapped[bytes]
    former: Mapped[bytes | None]
    former_until: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime]
    created_by: Mapped[str]
    due_at: Mapped[dt.datetime]
    lease_owner: Mapped[uuid.UUID | None]
    lease_until: Mapped[dt.datetime | None]
    failures: Mapped[int]
    trouble: Mapped[str | None]
    failed_at: Mapped[dt.datetime | None]
    succeeded_at: Mapped[dt.datetime | None]

    __table_args__ = (
        Index("ix_subscriptions_organisation", "organisation"),
        Index("ix_subscriptions_secret_data_key", text("substr(secret, 2, 16)")),
        Index("ix_subscriptions_former_data_key", text("substr(former, 2, 16)")),
    )


class DeliveryRow(Base):
    """An event in the queue of one subscription, in the order of ``sequence``; kept for replaying once it was delivered or is dead."""

    __tablename__ = "deliveries"

    subscription_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.subscriptions.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("certs.outbox.id"))
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(SmallInteger)
    queued_at: Mapped[dt.datetime]
    tried_at: Mapped[dt.datetime | None]
    ended_at: Mapped[dt.datetime | None]
    answer: Mapped[int | None] = mapped_column(SmallInteger)
    trouble: Mapped[str | None]

    __table_args__ = (
        Index("ix_deliveries_waiting", "subscription_id", "sequence", postgresql_where=text("state = 'waiting'")),
        Index("ix_deliveries_dead", "subscription_id", "sequence", postgresql_where=text("state = 'dead'")),
        Index("ix_deliveries_ended", "ended_at", postgresql_where=text("state = 'delivered'")),
        Index("ix_deliveries_event", "event_id"),
    )


class EntranceRow(Base):
    """A door for an approving system that cannot speak OAuth: it signs its messages, and they count as those of ``client_id``."""

    __tablename__ = "entrances"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    client_id: Mapped[str]
    organisation: Mapped[str]
    name: Mapped[str]
    state: Mapped[str]
    secret: Mapped[bytes]
    former: Mapped[bytes | None]
    former_until: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime]
    created_by: Mapped[str]
    used_at: Mapped[dt.datetime | None]

    __table_args__ = (
        Index("ix_entrances_organisation", "organisation"),
        Index("ix_entrances_secret_data_key", text("substr(secret, 2, 16)")),
        Index("ix_entrances_former_data_key", text("substr(former, 2, 16)")),
    )


class DropRow(Base):
    """A file of approvals that was laid down in a client's folder: what became of it. The same content again is the same drop."""

    __tablename__ = "drops"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    client_id: Mapped[str]
    file_name: Mapped[str]
    file_hash: Mapped[bytes]
    state: Mapped[str]
    issued: Mapped[int]
    waiting: Mapped[int]
    refused: Mapped[int]
    trouble: Mapped[str | None]
    found_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]

    __table_args__ = (Index("ix_drops_file", "client_id", "file_hash", unique=True),)


class NoticeMarkRow(Base):
    """Up to which event a holder has seen the notices; ``reader`` is the blind index of their number."""

    __tablename__ = "notice_marks"

    reader: Mapped[bytes] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    seen_at: Mapped[dt.datetime]
