"""The life of a seal: documents, notices, filing, successors; other registries and our own signed list."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015_seal_life"
down_revision = "0014_trust_answers"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
IN_USE = "status IN ('active', 'suspended')"


def upgrade() -> None:
    _lives()
    _notices_and_requests()
    _codes()
    _registries()
    _answers_and_lists()


def _lives() -> None:
    op.add_column("seals", sa.Column("second_reviewer", sa.Text(), nullable=True), schema="seal")
    op.add_column("seals", sa.Column("succession", sa.Text(), nullable=True), schema="seal")
    for name in ("predecessor", "successor"):
        op.add_column("seals", sa.Column(name, sa.Uuid(), nullable=True), schema="seal")
        foreign = op.f(f"fk_seals_{name}")
        op.create_foreign_key(foreign, "seals", "seals", [name], ["id"], source_schema="seal", referent_schema="seal")
    op.create_index(op.f("ix_seals_predecessor"), "seals", ["predecessor"], schema="seal")
    names = ["organisation", "kind", "name"]
    op.create_index("uq_seals_named", "seals", names, unique=True, schema="seal", postgresql_where=sa.text(IN_USE))
    ending = sa.text("status IN ('active', 'suspended', 'made', 'filed')")
    op.create_index("ix_seals_valid_to", "seals", ["valid_to"], schema="seal", postgresql_where=ending)
    # A review was one person's then: the move keeps its name, which now is the second's.
    op.add_column("status_changes", sa.Column("reason_code", sa.Text(), server_default="other", nullable=False), schema="seal")
    documents = sa.Column("documents", postgresql.JSONB(), server_default="[]", nullable=False)
    op.add_column("status_changes", documents, schema="seal")
    op.add_column("status_changes", sa.Column("recorded_at", MOMENT, server_default=sa.text("now()"), nullable=False), schema="seal")
    op.execute("ALTER TABLE seal.status_changes DISABLE TRIGGER USER")  # a history keeps what it holds; this adds to it
    op.execute("UPDATE seal.status_changes SET recorded_at = at")
    op.execute("ALTER TABLE seal.status_changes ENABLE TRIGGER USER")
    op.create_index("ix_status_changes_recorded_at", "status_changes", ["recorded_at"], schema="seal")


def _notices_and_requests() -> None:
    op.create_table(
        "notices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("read_at", MOMENT, nullable=True),
        sa.Column("read_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["seal_id"], ["seal.seals.id"], name=op.f("fk_notices_seal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        schema="seal",
    )
    op.create_index("ix_notices_organisation", "notices", ["organisation", "id"], schema="seal")
    once = sa.text("kind = 'expiring'")
    op.create_index("uq_notices_expiring", "notices", ["seal_id"], unique=True, schema="seal", postgresql_where=once)
    op.create_table(
        "seal_requests",
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("seal_id", sa.Uuid(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("actor_id", "key", name=op.f("pk_seal_requests")),
        schema="seal",
    )


def _codes() -> None:
    op.create_table(
        "codes",
        sa.Column("canonical", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("taken_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("canonical", name=op.f("pk_codes")),
        schema="seal",
    )
    op.execute("INSERT INTO seal.codes (canonical, code) SELECT code, code FROM seal.seals WHERE code IS NOT NULL")


def _registries() -> None:
    op.create_table(
        "registries",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("divisions", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("roots", postgresql.ARRAY(sa.LargeBinary()), nullable=False),
        sa.Column("registered_by", sa.Text(), nullable=False),
        sa.Column("registered_at", MOMENT, nullable=False),
        sa.Column("withdrawn_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_registries")),
        schema="seal",
    )
    op.create_table(
        "foreign_seals",
        *_of_a_registry("foreign_seals"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("valid_from", MOMENT, nullable=False),
        sa.Column("valid_to", MOMENT, nullable=False),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("source", "code", name=op.f("pk_foreign_seals")),
        schema="seal",
    )
    op.create_table(
        "foreign_statuses",
        *_of_a_registry("foreign_statuses"),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("invalid_type", sa.BigInteger(), nullable=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("source", "code", "position", name=op.f("pk_foreign_statuses")),
        schema="seal",
    )
    op.create_index("ix_foreign_statuses_code", "foreign_statuses", ["code", "at"], schema="seal")


def _of_a_registry(table: str) -> tuple[sa.schema.SchemaItem, ...]:
    return (
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["seal.registries.name"], name=op.f(f"fk_{table}_source")),
    )


def _answers_and_lists() -> None:
    op.create_table(
        "foreign_answers",
        *_of_a_registry("foreign_answers"),
        sa.Column("answer", postgresql.JSONB(), nullable=False),
        sa.Column("jws", sa.LargeBinary(), nullable=False),
        sa.Column("produced_at", MOMENT, nullable=True),
        sa.Column("fetched_at", MOMENT, nullable=True),
        sa.Column("tried_at", MOMENT, nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("source", "code", name=op.f("pk_foreign_answers")),
        schema="seal",
    )
    op.create_table(
        "feed_imports",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.Column("flagged", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["source"], ["seal.registries.name"], name=op.f("fk_feed_imports_source")),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_feed_imports")),
        schema="seal",
    )
    op.create_table(
        "status_lists",
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", MOMENT, nullable=False),
        sa.Column("next_update", MOMENT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("jws", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_status_lists")),
        schema="seal",
    )


def downgrade() -> None:
    for table in ("status_lists", "feed_imports", "foreign_answers", "foreign_statuses", "foreign_seals", "registries", "codes"):
        op.drop_table(table, schema="seal")
    for table in ("seal_requests", "notices"):
        op.drop_table(table, schema="seal")
    op.drop_index("ix_status_changes_recorded_at", "status_changes", schema="seal")
    for name in ("recorded_at", "documents", "reason_code"):
        op.drop_column("status_changes", name, schema="seal")
    for index in ("ix_seals_valid_to", "uq_seals_named"):
        op.drop_index(index, "seals", schema="seal")
    op.drop_index(op.f("ix_seals_predecessor"), "seals", schema="seal")
    for name in ("successor", "predecessor"):
        op.drop_constraint(op.f(f"fk_seals_{name}"), "seals", schema="seal", type_="foreignkey")
        op.drop_column("seals", name, schema="seal")
    for name in ("succession", "second_reviewer"):
        op.drop_column("seals", name, schema="seal")
