"""Sealed files that are upgraded and renewed."""

revision = "0018_seal_upgrades"
down_revision = "0017_seal_authority"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
