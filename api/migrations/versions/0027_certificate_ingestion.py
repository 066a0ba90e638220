"""Stock certificates: imports that are uploaded and run beside the requests, re-checks and scans."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027_certificate_ingestion"
down_revision = "0026_certificate_library"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
# What rows that are there get, and no new one.
COLUMNS = (
    ("state", sa.Text(), "'running'"), ("dry_run", sa.Boolean(), "false"), ("grade", sa.Text(), "'B'"), ("encoding", sa.Text(), "''"),
    ("organisation", sa.Text(), "''"), ("actor", postgresql.JSONB(), "'{}'"), ("flagged", sa.BigInteger(), "0"),
    ("octets", sa.BigInteger(), "0"), ("octets_done", sa.BigInteger(), "0"),
)  # fmt: skip
ABSENT = (
    ("failure", sa.Text()), ("content_key", sa.LargeBinary()), ("lease_owner", sa.Uuid()), ("lease_until", TIME),
)  # fmt: skip
STANDS = (
    """
CREATE FUNCTION certs.holders_data_keys_stand() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE one bytea;
BEGIN
  FOR one IN SELECT DISTINCT substr(code_sealed, 1, 17) FROM inserted WHERE code_sealed IS NOT NULL LOOP
    IF NOT identity.data_key_stands(one) THEN
      RAISE EXCEPTION 'an envelope of certs.holders names no data key that stands';
    END IF;
  END LOOP;
  RETURN NULL;
END $$""",
    "DROP TRIGGER code_data_key ON certs.holders",
    """
CREATE TRIGGER code_data_key BEFORE UPDATE OF code_sealed ON certs.holders FOR EACH ROW
  WHEN (NOT identity.data_key_stands(NEW.code_sealed)) EXECUTE FUNCTION identity.refuse_envelope()""",
    # Once a statement instead of once a row: what it refuses is refused all the same, in the same transaction.
    """
CREATE TRIGGER code_data_keys AFTER INSERT ON certs.holders
  REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION certs.holders_data_keys_stand()""",
)
FORMER = (
    "DROP TRIGGER code_data_keys ON certs.holders",
    "DROP TRIGGER code_data_key ON certs.holders",
    "DROP FUNCTION certs.holders_data_keys_stand()",
    """
CREATE TRIGGER code_data_key BEFORE INSERT OR UPDATE OF code_sealed ON certs.holders FOR EACH ROW
  WHEN (NOT identity.data_key_stands(NEW.code_sealed)) EXECUTE FUNCTION identity.refuse_envelope()""",
)


def upgrade() -> None:
    op.add_column("certificates", sa.Column("import_id", sa.Uuid(), nullable=True), schema="certs")
    op.create_index(
        "ix_certificates_import", "certificates", ["import_id", "id"], schema="certs", postgresql_where=sa.text("import_id IS NOT NULL")
    )
    _imports()
    _parts()
    _scans()
    _rechecks()
    for statement in STANDS:
        op.execute(statement)


def _imports() -> None:
    for name, kind, value in COLUMNS:
        op.add_column("imports", sa.Column(name, kind, nullable=False, server_default=sa.text(value)), schema="certs")
        op.alter_column("imports", name, server_default=None, schema="certs")
    for name, kind in ABSENT:
        op.add_column("imports", sa.Column(name, kind, nullable=True), schema="certs")
    op.execute("UPDATE certs.imports SET state = 'done' WHERE finished")
    op.execute("UPDATE certs.imports SET flagged = (SELECT count(*) FROM certs.import_flags WHERE import_flags.import_id = imports.id)")
    op.alter_column("import_flags", "certificate_id", nullable=True, schema="certs")
    op.drop_constraint("uq_imports_file_hash_type_code", "imports", schema="certs")
    op.create_index(
        "uq_imports_file", "imports", ["file_hash", "type_code", "organisation"],
        unique=True, schema="certs", postgresql_where=sa.text("NOT dry_run"),
    )  # fmt: skip
    op.create_index("ix_imports_organisation", "imports", ["organisation", "id"], schema="certs")
    op.create_index("ix_imports_open", "imports", ["id"], schema="certs", postgresql_where=sa.text("state IN ('waiting', 'running')"))
    op.create_index("ix_imports_content_key_data_key", "imports", [sa.text("substr(content_key, 2, 16)")], schema="certs")
    op.execute(
        "CREATE TRIGGER content_key_data_key BEFORE INSERT OR UPDATE OF content_key ON certs.imports FOR EACH ROW"
        " WHEN (NOT identity.data_key_stands(NEW.content_key)) EXECUTE FUNCTION identity.refuse_envelope()"
    )


def _parts() -> None:
    op.create_table(
        "import_parts",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False),
        sa.Column("part_digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["certs.imports.id"], name=op.f("fk_import_parts_import_id")),
        sa.PrimaryKeyConstraint("import_id", "number", name=op.f("pk_import_parts")),
        schema="certs",
    )
    op.create_index("ix_import_parts_part_digest", "import_parts", ["part_digest"], schema="certs")


def _scans() -> None:
    op.create_table(
        "scans",
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("scan_digest", sa.LargeBinary(), nullable=False),
        sa.Column("seal_code", sa.Text(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_scans_certificate_id")),
        sa.ForeignKeyConstraint(["import_id"], ["certs.imports.id"], name=op.f("fk_scans_import_id")),
        sa.PrimaryKeyConstraint("certificate_id", name=op.f("pk_scans")),
        schema="certs",
    )
    op.create_index("ix_scans_import", "scans", ["import_id"], schema="certs")
    op.create_index("ix_scans_waiting", "scans", ["certificate_id"], schema="certs", postgresql_where=sa.text("state = 'waiting'"))
    op.create_index("ix_scans_scan_digest", "scans", ["scan_digest"], schema="certs")


def _rechecks() -> None:
    op.create_table(
        "import_rechecks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("cursor", sa.Uuid(), nullable=True),
        sa.Column("rows_done", sa.BigInteger(), nullable=False),
        sa.Column("gained", postgresql.JSONB(), nullable=False),
        sa.Column("lost", postgresql.JSONB(), nullable=False),
        sa.Column("actor", postgresql.JSONB(), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["import_id"], ["certs.imports.id"], name=op.f("fk_import_rechecks_import_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_rechecks")),
        schema="certs",
    )
    op.create_index("ix_import_rechecks_import", "import_rechecks", ["import_id", "id"], schema="certs")
    op.create_index("ix_import_rechecks_open", "import_rechecks", ["id"], schema="certs", postgresql_where=sa.text("finished_at IS NULL"))


def downgrade() -> None:
    op.drop_index("ix_certificates_import", "certificates", schema="certs")
    op.drop_column("certificates", "import_id", schema="certs")
    for statement in FORMER:
        op.execute(statement)
    for table in ("import_rechecks", "scans", "import_parts"):
        op.drop_table(table, schema="certs")
    op.execute("DROP TRIGGER content_key_data_key ON certs.imports")
    for name in ("uq_imports_file", "ix_imports_organisation", "ix_imports_open", "ix_imports_content_key_data_key"):
        op.drop_index(name, "imports", schema="certs")
    op.execute("DELETE FROM certs.import_flags WHERE certificate_id IS NULL OR import_id IN (SELECT id FROM certs.imports WHERE dry_run)")
    # The former key has no room for them.
    op.execute("DELETE FROM certs.import_flags WHERE import_id IN (SELECT id FROM certs.imports WHERE organisation <> '')")
    op.execute("DELETE FROM certs.imports WHERE dry_run OR organisation <> ''")
    op.alter_column("import_flags", "certificate_id", nullable=False, schema="certs")
    op.create_unique_constraint("uq_imports_file_hash_type_code", "imports", ["file_hash", "type_code"], schema="certs")
    for name, _ in (*ABSENT, *((name, kind) for name, kind, _ in COLUMNS)):
        op.drop_column("imports", name, schema="certs")
