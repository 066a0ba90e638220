"""Several certificates from one application, certificates that absorb others, numbers and checks before issue."""

revision = "0029_certificate_issuing"
down_revision = "0028_certificate_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
