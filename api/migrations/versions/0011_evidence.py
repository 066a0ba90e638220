"""Anchors, witnesses and their checkpoints; tile roots in place of kept frontiers; the trail in order of time."""

import sqlalchemy as sa
from alembic import op

from keys.evidence.merkle import Frontier, leaf_hash, root_of, split_hashes
from keys.evidence.tiles import entry_of

revision = "0011_evidence"
down_revision = "0010_rotation"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _add_tile_roots()
    op.drop_column("log_checkpoints", "frontier", schema="keys")
    _index("object", "occurred_at", "id")
    _index("actor_id", "occurred_at", "id")
    op.create_index("ix_audit_events_time", "audit_events", ["occurred_at", "id"], schema="keys")
    _table(
        "log_halts",
        "id",
        _column("id", sa.Uuid()),
        _column("halted_at", TIME),
        _column("problem", sa.Text()),
        _column("resumed_at", TIME, True),
        _column("resumed_because", sa.Text(), True),
    )
    op.create_index(
        "ix_log_halts_open", "log_halts", [sa.text("(1)")], unique=True, schema="keys", postgresql_where=sa.text("resumed_at IS NULL")
    )
    _table("log_anchors", "size", _column("size", sa.BigInteger()), _column("token", sa.LargeBinary()), _column("created_at", TIME))
    _table(
        "log_witnesses",
        "name",
        _column("name", sa.Text()),
        _column("vkey", sa.Text()),
        _column("url", sa.Text()),
        _column("size", sa.BigInteger()),
        _column("added_at", TIME),
        _column("answered_at", TIME, True),
        _column("problem", sa.Text(), True),
    )
    op.create_table(
        "log_cosignatures",
        _column("size", sa.BigInteger()),
        _column("witness", sa.Text()),
        _column("line", sa.Text()),
        _column("created_at", TIME),
        sa.PrimaryKeyConstraint("size", "witness", name=op.f("pk_log_cosignatures")),
        schema="keys",
    )
    _table("witness_identity", "name", _column("name", sa.Text()), _column("key_id", sa.Uuid()), _column("created_at", TIME))
    _table(
        "witnessed_logs",
        "origin",
        _column("origin", sa.Text()),
        _column("vkey", sa.Text()),
        _column("size", sa.BigInteger()),
        _column("root", sa.LargeBinary()),
        _column("note", sa.Text()),
        _column("added_at", TIME),
        _column("cosigned_at", TIME, True),
    )


def _column(name: str, kind: sa.types.TypeEngine, nullable: bool = False) -> sa.Column:
    return sa.Column(name, kind, nullable=nullable, autoincrement=False)


def _table(name: str, key: str, *columns: sa.Column) -> None:
    op.create_table(name, *columns, sa.PrimaryKeyConstraint(key, name=op.f(f"pk_{name}")), schema="keys")


def _index(*columns: str) -> None:
    name = f"ix_audit_events_{columns[0].removesuffix('_id')}"
    op.drop_index(name, table_name="audit_events", schema="keys")
    op.create_index(name, "audit_events", list(columns), schema="keys")


def _add_tile_roots() -> None:
    op.add_column("log_tiles", sa.Column("root", sa.LargeBinary(), nullable=True), schema="keys")
    connection = op.get_bind()
    for level, index, hashes in connection.execute(sa.text("SELECT level, index, hashes FROM keys.log_tiles")).all():
        values = {"level": level, "index": index, "root": root_of(split_hashes(hashes))}
        connection.execute(sa.text("UPDATE keys.log_tiles SET root = :root WHERE level = :level AND index = :index"), values)
    op.alter_column("log_tiles", "root", nullable=False, schema="keys")


def _add_frontiers() -> None:
    """Only the newest checkpoint's is ever read."""
    op.add_column("log_checkpoints", sa.Column("frontier", sa.LargeBinary(), nullable=False, server_default=""), schema="keys")
    connection, frontier = op.get_bind(), Frontier()
    for (body,) in connection.execute(sa.text("SELECT body FROM keys.audit_events WHERE position IS NOT NULL ORDER BY position")):
        frontier.add(leaf_hash(entry_of(body)))
    values = {"size": frontier.size, "frontier": b"".join(frontier.nodes)}
    connection.execute(sa.text("UPDATE keys.log_checkpoints SET frontier = :frontier WHERE size = :size"), values)
    op.alter_column("log_checkpoints", "frontier", server_default=None, schema="keys")


def downgrade() -> None:
    for name in ("witnessed_logs", "witness_identity", "log_cosignatures", "log_witnesses", "log_anchors", "log_halts"):
        op.drop_table(name, schema="keys")
    op.drop_index("ix_audit_events_time", table_name="audit_events", schema="keys")
    _index("object", "id")
    _index("actor_id", "id")
    _add_frontiers()
    op.drop_column("log_tiles", "root", schema="keys")
