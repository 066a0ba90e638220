"""Cities and provinces that exchange catalogues, statuses and requests."""

revision = "0033_federation"
down_revision = "0032_certificate_copies"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
