"""What checking a certificate needs beyond its record: keys of offline codes, places in status lists, the lists as signed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import CreateSequence, DropSequence, Sequence

revision = "0025_certificate_verification"
down_revision = "0024_certificate_templates"
branch_labels = None
depends_on = None

_ORDINALS = Sequence("status_ordinals", schema="certs")


def upgrade() -> None:
    op.execute(CreateSequence(_ORDINALS))
    op.create_table(
        "code_keys",
        sa.Column("kid", sa.LargeBinary(), nullable=False),
        sa.Column("algorithm", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signs_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signs_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("good_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("compromised_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_code_keys")),
        sa.UniqueConstraint("key_id", name=op.f("uq_code_keys_key_id")),
        schema="certs",
    )
    op.create_table(
        "status_entries",
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("list", sa.BigInteger(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("offline_text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_status_entries_certificate_id_certificates")),
        sa.PrimaryKeyConstraint("certificate_id", name=op.f("pk_status_entries")),
        sa.UniqueConstraint("list", "index", name=op.f("uq_status_entries_list_index")),
        schema="certs",
    )
    op.create_table(
        "status_tokens",
        sa.Column("list", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("jwt", sa.LargeBinary(), nullable=False),
        sa.Column("cwt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("list", name=op.f("pk_status_tokens")),
        schema="certs",
    )
    op.create_index("ix_certificates_not_valid", "certificates", ["id"], schema="certs", postgresql_where=sa.text("status <> '01'"))


def downgrade() -> None:
    op.drop_index("ix_certificates_not_valid", table_name="certificates", schema="certs")
    for table in ("status_tokens", "status_entries", "code_keys"):
        op.drop_table(table, schema="certs")
    op.execute(DropSequence(_ORDINALS))
