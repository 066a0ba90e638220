"""The table of uploaded impressions: what was sent, untouched, and the outlines it became."""

import datetime as dt
import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from seal.models import Base


class ImpressionRow(Base):
    """The impression of one application. ``drawing``: :meth:`seal.drawing.Drawing.to_bytes`; ``sha256`` is of ``source``."""

    __tablename__ = "impressions"

    seal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("seals.id"), primary_key=True)
    source: Mapped[bytes]
    media_type: Mapped[str]
    shape: Mapped[str]
    sha256: Mapped[bytes]
    drawing: Mapped[bytes]
    width_mm: Mapped[float]
    height_mm: Mapped[float]
    uploaded_by: Mapped[str]
    uploaded_at: Mapped[dt.datetime]
