"""Key ceremonies."""

revision = "0013_ceremony"
down_revision = "0012_trust"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
