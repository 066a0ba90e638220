"""Authority over seals: approvals, delegation, quotas, places, reviews, alerts."""

revision = "0017_seal_authority"
down_revision = "0016_seal_making"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
