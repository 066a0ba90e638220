"""The table of key ceremonies."""

import datetime as dt
import uuid

from sqlalchemy.orm import Mapped, mapped_column

from keys.models import Base


class CeremonyRow(Base):
    """A ceremony that counted: its configuration file as read, its transcript and the SHA-256 of that, hexadecimal.

    ``administrator`` and ``witness`` are account ids. A trigger (migration ``0013_ceremony``) refuses every change.
    """

    __tablename__ = "ceremonies"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    held_at: Mapped[dt.datetime]
    administrator: Mapped[str]
    witness: Mapped[str]
    configuration: Mapped[bytes]
    transcript: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
