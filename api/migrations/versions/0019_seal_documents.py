"""Documents to be sealed: requests, pictures, batches."""

revision = "0019_seal_documents"
down_revision = "0018_seal_upgrades"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
