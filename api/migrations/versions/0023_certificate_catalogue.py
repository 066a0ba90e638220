"""The catalogue of certificate types, its versions, and what matters require."""

import datetime as dt
import hashlib
import json
import unicodedata

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023_certificate_catalogue"
down_revision = "0022_seal_gaps"
branch_labels = None
depends_on = None

KEPT = """
CREATE FUNCTION certs.keep_published_types() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.status NOT IN ('published', 'retired') THEN
    RETURN NEW;
  END IF;
  IF TG_OP = 'UPDATE' AND NEW.status IN ('published', 'retired')
     AND (NEW.type_code, NEW.version, NEW.definition, NEW.digest) = (OLD.type_code, OLD.version, OLD.definition, OLD.digest) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a version of a certificate type is kept';
END $$"""

HISTORY = """
CREATE FUNCTION certs.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% keeps what it holds', TG_TABLE_NAME;
END $$"""

TYPES = sa.table(
    "types",
    sa.column("code", sa.Text()),
    sa.column("definition", postgresql.JSONB()),
    sa.column("updated_at", sa.DateTime(timezone=True)),
    sa.column("name_zh", sa.Text()),
    sa.column("name_en", sa.Text()),
    sa.column("holder_kind", sa.Text()),
    sa.column("search", sa.Text()),
    schema="certs",
)
VERSIONS = sa.table(
    "type_versions",
    sa.column("type_code", sa.Text()),
    sa.column("version", sa.BigInteger()),
    sa.column("status", sa.Text()),
    sa.column("definition", postgresql.JSONB()),
    sa.column("digest", sa.LargeBinary()),
    sa.column("writers", postgresql.JSONB()),
    sa.column("written_at", sa.DateTime(timezone=True)),
    sa.column("published_at", sa.DateTime(timezone=True)),
    schema="certs",
)
MOVES = sa.table(
    "type_moves",
    *(sa.column(name) for name in ("type_code", "version", "move", "old", "new", "at", "actor_kind", "actor_id", "actor_name", "reason", "digest")),
    schema="certs",
)  # fmt: skip


def upgrade() -> None:
    _versions()
    _moves()
    _requests()
    _matters()
    _listed()
    op.add_column("certificates", sa.Column("type_version", sa.BigInteger(), nullable=True), schema="certs")
    op.execute("UPDATE certs.certificates SET type_version = 1 WHERE source = 'issued'")
    op.execute(KEPT)
    op.execute(HISTORY)
    op.execute(
        "CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON certs.type_versions FOR EACH ROW EXECUTE FUNCTION certs.keep_published_types()"
    )
    op.execute("CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON certs.type_moves FOR EACH ROW EXECUTE FUNCTION certs.refuse_change()")


def _versions() -> None:
    op.create_table(
        "type_versions",
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("definition", postgresql.JSONB(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("writers", postgresql.JSONB(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["type_code"], ["certs.types.code"], name=op.f("fk_type_versions_type_code")),
        sa.PrimaryKeyConstraint("type_code", "version", name=op.f("pk_type_versions")),
        schema="certs",
    )
    op.create_index("ix_type_versions_status", "type_versions", ["status", "type_code"], unique=False, schema="certs")


def _moves() -> None:
    op.create_table(
        "type_moves",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("move", sa.Text(), nullable=False),
        sa.Column("old", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["type_code", "version"],
            ["certs.type_versions.type_code", "certs.type_versions.version"],
            name=op.f("fk_type_moves_type_code_version"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_type_moves")),
        schema="certs",
    )
    op.create_index("ix_type_moves_version", "type_moves", ["type_code", "version", "id"], unique=False, schema="certs")


def _requests() -> None:
    op.create_table(
        "catalogue_requests",
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("actor_id", "key", name=op.f("pk_catalogue_requests")),
        schema="certs",
    )


def _matters() -> None:
    op.create_table(
        "matter_papers",
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("paper_code", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("mandatory", sa.Boolean(), nullable=False),
        sa.Column("types", postgresql.JSONB(), nullable=False),
        sa.Column("enough", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("matter_code", "paper_code", name=op.f("pk_matter_papers")),
        schema="certs",
    )
    op.create_table(
        "matter_answers",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("matter_code", sa.Text(), nullable=False),
        sa.Column("paper_code", sa.Text(), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "matter_code", "paper_code", name=op.f("pk_matter_answers")),
        schema="certs",
    )


def _listed() -> None:
    """Today's types become published version 1; the table keeps what lists and searches show."""
    texts = ("status", "name_zh", "name_en", "holder_kind", "sharing_class", "search")
    for name in texts:
        op.add_column("types", sa.Column(name, sa.Text(), nullable=True), schema="certs")
    for name in ("version", "open_version"):
        op.add_column("types", sa.Column(name, sa.BigInteger(), nullable=True), schema="certs")
    op.add_column("types", sa.Column("issuers", postgresql.JSONB(), nullable=True), schema="certs")
    connection = op.get_bind()
    for code, definition, at in connection.execute(sa.select(TYPES.c.code, TYPES.c.definition, TYPES.c.updated_at)).all():
        _publish(connection, code, definition, at)
    op.execute("UPDATE certs.types SET status = 'published', version = 1, sharing_class = 'conditional', issuers = '[]'")
    for name in (*texts, "issuers"):
        op.alter_column("types", name, nullable=False, schema="certs")
    op.drop_column("types", "definition", schema="certs")


def _publish(connection: sa.Connection, code: str, definition: dict[str, object], at: dt.datetime) -> None:
    digest = hashlib.sha256(json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).digest()
    connection.execute(
        VERSIONS.insert().values(
            type_code=code, version=1, status="published", definition=definition, digest=digest, writers=["fujie"],
            written_at=at, published_at=at,
        )
    )  # fmt: skip
    connection.execute(
        MOVES.insert().values(
            type_code=code, version=1, move="ship", old=None, new="published", at=at, actor_kind="system", actor_id="fujie",
            actor_name="Fujie", reason="stood before there were versions", digest=digest,
        )
    )  # fmt: skip
    fields = definition.get("fields")
    labels = [str(one["name"]) for one in fields] if isinstance(fields, list) else []
    words = " ".join((code, str(definition["name_zh"]), str(definition["name_en"]), *labels))
    shown = {
        "name_zh": definition["name_zh"],
        "name_en": definition["name_en"],
        "holder_kind": definition["holder_kind"],
        "search": " ".join(unicodedata.normalize("NFKC", words).lower().split()),
    }
    connection.execute(TYPES.update().where(TYPES.c.code == code).values(shown))


def downgrade() -> None:
    """Back to one definition a type: the one in force or last in force; a type that never was is gone."""
    op.drop_column("certificates", "type_version", schema="certs")
    op.add_column("types", sa.Column("definition", postgresql.JSONB(), nullable=True), schema="certs")
    op.execute(
        "UPDATE certs.types t SET definition = v.definition FROM certs.type_versions v WHERE v.type_code = t.code AND v.version = t.version"
    )
    for table in ("type_moves", "type_versions", "catalogue_requests", "matter_papers", "matter_answers"):
        op.drop_table(table, schema="certs")
    op.execute("DELETE FROM certs.types WHERE definition IS NULL")
    op.alter_column("types", "definition", nullable=False, schema="certs")
    for name in ("status", "name_zh", "name_en", "holder_kind", "sharing_class", "search", "version", "open_version", "issuers"):
        op.drop_column("types", name, schema="certs")
    op.execute("DROP FUNCTION certs.keep_published_types()")
    op.execute("DROP FUNCTION certs.refuse_change()")
