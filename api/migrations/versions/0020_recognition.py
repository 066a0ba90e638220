"""Other systems' seals: their rules and their answers."""

revision = "0020_recognition"
down_revision = "0019_seal_documents"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
