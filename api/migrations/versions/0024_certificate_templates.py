"""Certificates that wait for a rare character, the outlines supplied for them, and what was agreed instead."""

import sqlalchemy as sa
from alembic import op

revision = "0024_certificate_templates"
down_revision = "0023_certificate_catalogue"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "glyph_waits",
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("character", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_glyph_waits_certificate_id_certificates")),
        sa.PrimaryKeyConstraint("certificate_id", "character", name=op.f("pk_glyph_waits")),
        schema="certs",
    )
    op.create_index("ix_glyph_waits_character", "glyph_waits", ["character"], schema="certs")
    op.create_table(
        "glyphs",
        sa.Column("character", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_hash", sa.LargeBinary(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("supplied_by", sa.Text(), nullable=False),
        sa.Column("supplied_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("character", name=op.f("pk_glyphs")),
        schema="certs",
    )
    op.create_table(
        "glyph_substitutes",
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("character", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("agreed_by", sa.Text(), nullable=False),
        sa.Column("agreed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["certificate_id"], ["certs.certificates.id"], name=op.f("fk_glyph_substitutes_certificate_id_certificates")
        ),
        sa.PrimaryKeyConstraint("certificate_id", "character", name=op.f("pk_glyph_substitutes")),
        schema="certs",
    )


def downgrade() -> None:
    op.drop_table("glyph_substitutes", schema="certs")
    op.drop_table("glyphs", schema="certs")
    op.drop_index("ix_glyph_waits_character", table_name="glyph_waits", schema="certs")
    op.drop_table("glyph_waits", schema="certs")
