"""The tables of people whose authority ended, and of answers to requests that change authority."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from seal.models import Base


class DepartureRow(Base):
    """A person left their office. ``at``: what they decided until then counts no more; ``barred``: nor does anything after it."""

    __tablename__ = "departures"

    person: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime]
    barred: Mapped[bool]


class AnswerRow(Base):
    """What was answered to a change of authority under a key (``Idempotency-Key``); ``status`` is None while it is being worked on.

    ``digest``: SHA-256 of path and body; ``claim``: the one request that works on it.
    """

    __tablename__ = "authority_answers"

    actor_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes]
    claim: Mapped[uuid.UUID]
    status: Mapped[int | None]
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    at: Mapped[dt.datetime]
