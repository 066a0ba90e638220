"""What the seals still lacked."""

revision = "0022_seal_gaps"
down_revision = "0021_authority_life"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
