"""Photographs of holders until they are printed; secrets of subscribers and entrances hold their data key."""

import sqlalchemy as sa
from alembic import op

revision = "0035_certificate_photographs"
down_revision = "0034_certificate_figures"
branch_labels = None
depends_on = None

SECRETS = (("subscriptions", "secret"), ("subscriptions", "former"), ("entrances", "secret"), ("entrances", "former"))
"""Envelopes that nothing kept from outliving the key they name; their indexes stand since 0028."""


def upgrade() -> None:
    op.create_table(
        "photographs",
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("photo_sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_photographs_certificate_id")),
        sa.PrimaryKeyConstraint("certificate_id", name=op.f("pk_photographs")),
        schema="certs",
    )
    op.create_index("ix_photographs_photo_data_key", "photographs", [sa.text("substr(photo_sealed, 2, 16)")], schema="certs")
    _guard("photographs", "photo_sealed")
    for table, column in SECRETS:
        _guard(table, column)


def _guard(table: str, column: str) -> None:
    op.execute(
        f"CREATE TRIGGER {column}_data_key BEFORE INSERT OR UPDATE OF {column} ON certs.{table} FOR EACH ROW"
        f" WHEN (NOT identity.data_key_stands(NEW.{column})) EXECUTE FUNCTION identity.refuse_envelope()"
    )


def downgrade() -> None:
    for table, column in SECRETS:
        op.execute(f"DROP TRIGGER {column}_data_key ON certs.{table}")
    op.drop_table("photographs", schema="certs")
