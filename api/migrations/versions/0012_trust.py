"""Authorities of others that we trust."""

revision = "0012_trust"
down_revision = "0011_evidence"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
