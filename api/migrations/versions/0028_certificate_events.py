"""Events to subscribers, and their deliveries."""

revision = "0028_certificate_events"
down_revision = "0027_certificate_ingestion"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
