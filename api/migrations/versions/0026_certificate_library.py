"""Search, retention and the scrubber of the library."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0026_certificate_library"
down_revision = "0025_certificate_verification"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TABLES = (
    "holder_searches", "disposal_items", "disposals", "legal_holds", "retention_rules", "scrub_findings", "scrub_rounds", "search_queue", "search_entries",
)  # fmt: skip
CLIENTS = "client_organisation IS NOT NULL AND client_organisation <> issuer"
TRIGGER = (
    """
CREATE FUNCTION certs.queue_for_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO certs.search_queue (certificate_id) SELECT id FROM inserted ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$""",
    """
CREATE TRIGGER queue_for_search AFTER INSERT ON certs.certificates
  REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION certs.queue_for_search()""",
)


def upgrade() -> None:
    _search()
    _scrubbing()
    _retention()
    _disposals()
    op.create_table(
        "holder_searches",
        sa.Column("access_id", sa.Uuid(), nullable=False),
        sa.Column("holder_index", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["access_id"], ["certs.accesses.id"], name=op.f("fk_holder_searches_access_id")),
        sa.PrimaryKeyConstraint("access_id", name=op.f("pk_holder_searches")),
        schema="certs",
    )
    op.create_index("ix_holder_searches_holder", "holder_searches", ["holder_index", "access_id"], schema="certs")
    op.create_index("ix_certificates_number", "certificates", ["number"], schema="certs")
    op.create_index("ix_certificates_issuer", "certificates", ["issuer", "id"], schema="certs")
    op.create_index(
        "ix_certificates_client", "certificates", ["client_organisation", "id"], schema="certs", postgresql_where=sa.text(CLIENTS)
    )
    op.create_index("ix_certificates_type", "certificates", ["type_code", "id"], schema="certs")


def _search() -> None:
    op.create_table(
        "search_entries",
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("grams", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_search_entries_certificate_id")),
        sa.PrimaryKeyConstraint("certificate_id", name=op.f("pk_search_entries")),
        schema="certs",
    )
    op.create_index("ix_search_entries_grams", "search_entries", ["grams"], schema="certs", postgresql_using="gin")
    op.create_table(
        "search_queue",
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("certificate_id", name=op.f("pk_search_queue")),
        schema="certs",
    )
    op.execute("INSERT INTO certs.search_queue (certificate_id) SELECT id FROM certs.certificates")
    for statement in TRIGGER:
        op.execute(statement)


def _scrubbing() -> None:
    op.create_table(
        "scrub_rounds",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.LargeBinary(), nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scrub_rounds")),
        schema="certs",
    )
    op.create_table(
        "scrub_findings",
        sa.Column("document_hash", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("found_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("mended_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("document_hash", name=op.f("pk_scrub_findings")),
        schema="certs",
    )
    op.create_index("ix_scrub_findings_open", "scrub_findings", ["found_at"], schema="certs", postgresql_where=sa.text("mended_at IS NULL"))


def _retention() -> None:
    op.create_table(
        "retention_rules",
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("years", sa.SmallInteger(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("set_at", TIME, nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("type_code", name=op.f("pk_retention_rules")),
        schema="certs",
    )
    op.create_table(
        "legal_holds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_at", TIME, nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("lifted_at", TIME, nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_legal_holds_certificate_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_holds")),
        schema="certs",
    )
    op.create_index(
        "uq_legal_holds_standing",
        "legal_holds",
        ["certificate_id"],
        unique=True,
        schema="certs",
        postgresql_where=sa.text("lifted_at IS NULL"),
    )


def _disposals() -> None:
    op.create_table(
        "disposals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("proposed_at", TIME, nullable=False),
        sa.Column("proposed_by", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("decided_at", TIME, nullable=True),
        sa.Column("decided_by", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disposals")),
        schema="certs",
    )
    op.create_index("ix_disposals_organisation", "disposals", ["organisation", "id"], schema="certs")
    op.create_table(
        "disposal_items",
        sa.Column("disposal_id", sa.Uuid(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("files", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("done_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["disposal_id"], ["certs.disposals.id"], name=op.f("fk_disposal_items_disposal_id")),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_disposal_items_certificate_id")),
        sa.PrimaryKeyConstraint("disposal_id", "certificate_id", name=op.f("pk_disposal_items")),
        schema="certs",
    )
    op.create_index("ix_disposal_items_certificate", "disposal_items", ["certificate_id"], schema="certs")
    op.create_index(
        "ix_disposal_items_waiting", "disposal_items", ["disposal_id"], schema="certs", postgresql_where=sa.text("done_at IS NULL")
    )


def downgrade() -> None:
    for name in ("type", "client", "issuer", "number"):
        op.drop_index(f"ix_certificates_{name}", table_name="certificates", schema="certs")
    op.execute("DROP TRIGGER queue_for_search ON certs.certificates")
    op.execute("DROP FUNCTION certs.queue_for_search()")
    for table in TABLES:
        op.drop_table(table, schema="certs")
