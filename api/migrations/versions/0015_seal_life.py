"""The life of a seal: documents, notices, filing, successors."""

revision = "0015_seal_life"
down_revision = "0014_trust_answers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
