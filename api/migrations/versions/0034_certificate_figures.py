"""Indices of the library that the measured figures asked for."""

revision = "0034_certificate_figures"
down_revision = "0033_federation"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
