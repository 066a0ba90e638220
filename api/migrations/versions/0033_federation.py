"""Cities and provinces that exchange catalogues, statuses and requests."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB as JSONB_TYPE
from sqlalchemy.schema import CreateSequence, DropSequence, Sequence

revision = "0033_federation"
down_revision = "0032_certificate_copies"
branch_labels = None
depends_on = None

JSONB, TIME = JSONB_TYPE(), sa.DateTime(timezone=True)
TABLES = (
    "federation_holders",
    "federation_statuses",
    "federation_types",
    "federation_entries",
    "federation_queue",
    "federation_nonces",
    "federation_moves",
    "federation_peers",
    "federation_keys",
    "federation_self",
)
_CHANGES = Sequence("federation_changes", schema="certs")
_QUEUE = """
CREATE FUNCTION certs.queue_for_peers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM certs.federation_peers WHERE status IN ('active', 'suspended')) THEN
    INSERT INTO certs.federation_queue (certificate_id) SELECT id FROM written WHERE stage = 'issued';
  END IF;
  RETURN NULL;
END $$"""


def upgrade() -> None:
    op.execute(CreateSequence(_CHANGES))
    for part in (_ourselves, _peers, _moves_and_nonces, _changes, _types, _statuses, _holders, _queue_for_peers):
        part()


def _ourselves() -> None:
    op.create_table(
        "federation_self",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("instance", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("divisions", JSONB, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("cipher_id", sa.Uuid(), nullable=False),
        sa.Column("filled_to", sa.Uuid(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_federation_self")),
        schema="certs",
    )
    op.create_table(
        "federation_keys",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_federation_keys")),
        sa.UniqueConstraint("key_id", name=op.f("uq_federation_keys_key_id")),
        schema="certs",
    )


def _peers() -> None:
    op.create_table(
        "federation_peers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("instance", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("divisions", JSONB, nullable=False),
        sa.Column("card", JSONB, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("keys", JSONB, nullable=False),
        sa.Column("knows", JSONB, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_since", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("own_part", sa.LargeBinary(), nullable=True),
        sa.Column("their_part", sa.LargeBinary(), nullable=True),
        sa.Column("pair_key", sa.Text(), nullable=True),
        sa.Column("told_part", sa.Text(), nullable=True),
        sa.Column("indexed_to", sa.Uuid(), nullable=True),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("catalogue", sa.LargeBinary(), nullable=True),
        sa.Column("heard_at", TIME, nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_federation_peers")),
        schema="certs",
    )
    op.create_index(
        "uq_federation_peers_living",
        "federation_peers",
        ["instance"],
        schema="certs",
        unique=True,
        postgresql_where=sa.text("status IN ('proposed', 'active', 'suspended')"),
    )


def _moves_and_nonces() -> None:
    op.create_table(
        "federation_moves",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("peer_id", sa.Uuid(), nullable=False),
        sa.Column("move", sa.Text(), nullable=False),
        sa.Column("old", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["peer_id"], ["certs.federation_peers.id"], name=op.f("fk_federation_moves_peer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_federation_moves")),
        schema="certs",
    )
    op.create_index("ix_federation_moves_peer", "federation_moves", ["peer_id", "id"], schema="certs")
    op.create_table(
        "federation_nonces",
        sa.Column("peer_id", sa.Uuid(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("peer_id", "nonce", name=op.f("pk_federation_nonces")),
        schema="certs",
    )
    op.create_index("ix_federation_nonces_expires", "federation_nonces", ["expires_at"], schema="certs")


def _changes() -> None:
    op.create_table(
        "federation_queue",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_federation_queue")),
        schema="certs",
    )
    op.create_table(
        "federation_entries",
        sa.Column("certificate_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("certificate_id", name=op.f("pk_federation_entries")),
        sa.UniqueConstraint("seq", name=op.f("uq_federation_entries_seq")),
        schema="certs",
    )


def _types() -> None:
    op.create_table(
        "federation_types",
        sa.Column("peer_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("definition", JSONB, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["peer_id"], ["certs.federation_peers.id"], name=op.f("fk_federation_types_peer_id")),
        sa.PrimaryKeyConstraint("peer_id", "code", name=op.f("pk_federation_types")),
        schema="certs",
    )
    op.create_index("ix_federation_types_code", "federation_types", ["code"], schema="certs")


def _statuses() -> None:
    op.create_table(
        "federation_statuses",
        sa.Column("peer_id", sa.Uuid(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("type_code", sa.Text(), nullable=False),
        sa.Column("type_name", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("issuer_name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=True),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("successor", sa.Text(), nullable=True),
        sa.Column("document_hash", sa.LargeBinary(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["peer_id"], ["certs.federation_peers.id"], name=op.f("fk_federation_statuses_peer_id")),
        sa.PrimaryKeyConstraint("peer_id", "identifier", name=op.f("pk_federation_statuses")),
        schema="certs",
    )
    op.create_index(
        "ix_federation_statuses_document",
        "federation_statuses",
        ["document_hash"],
        schema="certs",
        postgresql_where=sa.text("document_hash IS NOT NULL"),
    )
    op.create_index("ix_federation_statuses_identifier", "federation_statuses", ["identifier"], schema="certs")


def _holders() -> None:
    op.create_table(
        "federation_holders",
        sa.Column("peer_id", sa.Uuid(), nullable=False),
        sa.Column("pair_index", sa.LargeBinary(), nullable=False),
        sa.Column("code_index", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["peer_id"], ["certs.federation_peers.id"], name=op.f("fk_federation_holders_peer_id")),
        sa.PrimaryKeyConstraint("peer_id", "pair_index", name=op.f("pk_federation_holders")),
        schema="certs",
    )


def _queue_for_peers() -> None:
    op.execute(_QUEUE)
    for event, name in (("INSERT", "queue_inserted_for_peers"), ("UPDATE", "queue_updated_for_peers")):
        op.execute(
            f"CREATE TRIGGER {name} AFTER {event} ON certs.certificates REFERENCING NEW TABLE AS written "
            "FOR EACH STATEMENT EXECUTE FUNCTION certs.queue_for_peers()"
        )


def downgrade() -> None:
    for name in ("queue_inserted_for_peers", "queue_updated_for_peers"):
        op.execute(f"DROP TRIGGER {name} ON certs.certificates")
    op.execute("DROP FUNCTION certs.queue_for_peers()")
    for table in TABLES:
        op.drop_table(table, schema="certs")
    op.execute(DropSequence(_CHANGES))
