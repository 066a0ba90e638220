"""The table of rules for systems that already exist."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from seal.models import Base


class ForeignRulesRow(Base):
    """Rules of one authority. ``authority`` is SHA-256 of its certificate on the trust list; one set of an authority is in force,
    and one is proposed, at a time. ``decided_*`` say who approved, rejected or ended it last."""

    __tablename__ = "foreign_rules"
    __table_args__ = (
        Index("uq_foreign_rules_active", "authority", unique=True, postgresql_where=text("status = 'active'")),
        Index("uq_foreign_rules_proposed", "authority", unique=True, postgresql_where=text("status = 'proposed'")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    authority: Mapped[bytes]
    rules: Mapped[dict[str, Any]]
    status: Mapped[str]
    reason: Mapped[str]
    proposed_by: Mapped[str]
    proposed_at: Mapped[dt.datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[dt.datetime | None]
    decision: Mapped[str | None]
