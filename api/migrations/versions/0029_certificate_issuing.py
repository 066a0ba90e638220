"""Several certificates from one application, certificates that absorb others, numbers and checks before issue."""

import sqlalchemy as sa
from alembic import op

revision = "0029_certificate_issuing"
down_revision = "0028_certificate_events"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TABLES = ("merged_items", "merge_rules", "application_items", "applications", "numbers_given", "number_series", "issuing_rules")


def upgrade() -> None:
    _numbers()
    _applications()
    _merging()


def _numbers() -> None:
    op.create_table(
        "issuing_rules",
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("yearly", sa.Boolean(), nullable=False),
        sa.Column("common", sa.Boolean(), nullable=False),
        sa.Column("unique_number", sa.Boolean(), nullable=False),
        sa.Column("in_force", sa.Text(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["type_code"], ["certs.types.code"], name=op.f("fk_issuing_rules_type_code")),
        sa.PrimaryKeyConstraint("type_code", "issuer", name=op.f("pk_issuing_rules")),
        schema="certs",
    )
    op.create_table(
        "number_series",
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("year", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("type_code", "issuer", "year", name=op.f("pk_number_series")),
        schema="certs",
    )
    op.create_table(
        "numbers_given",
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("year", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("serial", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_numbers_given_certificate_id")),
        sa.PrimaryKeyConstraint("type_code", "issuer", "year", "serial", name=op.f("pk_numbers_given")),
        schema="certs",
    )
    op.create_index("ix_numbers_given_certificate", "numbers_given", ["certificate_id"], schema="certs")


def _applications() -> None:
    op.create_table(
        "applications",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_applications")),
        sa.UniqueConstraint("client_id", "key", name=op.f("uq_applications_client_id_key")),
        schema="certs",
    )
    op.create_index("ix_applications_organisation", "applications", ["organisation", "id"], schema="certs")
    op.create_table(
        "application_items",
        sa.Column("application_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["application_id"], ["certs.applications.id"], name=op.f("fk_application_items_application_id")),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_application_items_certificate_id")),
        sa.PrimaryKeyConstraint("application_id", "position", name=op.f("pk_application_items")),
        sa.UniqueConstraint("certificate_id", name=op.f("uq_application_items_certificate_id")),
        schema="certs",
    )


def _merging() -> None:
    op.create_table(
        "merge_rules",
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("absorbed", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("claim_days", sa.SmallInteger(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["type_code"], ["certs.types.code"], name=op.f("fk_merge_rules_type_code")),
        sa.ForeignKeyConstraint(["absorbed"], ["certs.types.code"], name=op.f("fk_merge_rules_absorbed")),
        sa.PrimaryKeyConstraint("type_code", "absorbed", name=op.f("pk_merge_rules")),
        schema="certs",
    )
    op.create_table(
        "merged_items",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("department", sa.Text(), nullable=False),
        sa.Column("absorbed_id", sa.Uuid(), nullable=True),
        sa.Column("claim_days", sa.SmallInteger(), nullable=False),
        sa.Column("opened_at", TIME, nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("claimed_at", TIME, nullable=True),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("alerted_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["certificate_id"], ["certs.certificates.id"], name=op.f("fk_merged_items_certificate_id")),
        sa.ForeignKeyConstraint(["absorbed_id"], ["certs.certificates.id"], name=op.f("fk_merged_items_absorbed_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merged_items")),
        sa.UniqueConstraint("certificate_id", "position", name=op.f("uq_merged_items_certificate_id_position")),
        schema="certs",
    )
    indexes = {
        "ix_merged_items_department": (["department", "id"], "opened_at IS NOT NULL"),
        "ix_merged_items_due": (["due_on"], "claimed_at IS NULL AND alerted_at IS NULL AND due_on IS NOT NULL"),
        "ix_merged_items_absorbed": (["absorbed_id"], "absorbed_id IS NOT NULL"),
    }
    for name, (columns, condition) in indexes.items():
        op.create_index(name, "merged_items", columns, schema="certs", postgresql_where=sa.text(condition))


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table, schema="certs")
