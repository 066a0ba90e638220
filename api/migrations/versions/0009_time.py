"""Time stamps that wait, and the last instant the clock showed."""

revision = "0009_time"
down_revision = "0008_status"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
