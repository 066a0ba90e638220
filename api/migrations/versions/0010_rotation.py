"""Token keys that come before they sign and stay until nobody needs them; re-wrapping."""

revision = "0010_rotation"
down_revision = "0009_time"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
