"""Keys on a token, and the state of the key store."""

revision = "0006_custody"
down_revision = "0005_guards"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
