"""The table of what an installation is and stays."""

import datetime as dt

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from keys.models import Base


class InstallationRow(Base):
    """One row: the family of algorithms that this installation was made with."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("single", name="single"), CheckConstraint("crypto IN ('intl', 'sm')", name="crypto"))

    single: Mapped[bool] = mapped_column(primary_key=True)
    crypto: Mapped[str]
    made_at: Mapped[dt.datetime]
