"""Suspension, partitioned lists, answers of the status responder."""

revision = "0008_status"
down_revision = "0007_pki"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
