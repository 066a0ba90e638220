"""How a seal is made: shape, uploaded impressions, signer lists."""

revision = "0016_seal_making"
down_revision = "0015_seal_life"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
