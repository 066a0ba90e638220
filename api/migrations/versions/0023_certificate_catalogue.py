"""The catalogue of certificate types, its versions, and what matters require."""

revision = "0023_certificate_catalogue"
down_revision = "0022_seal_gaps"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
