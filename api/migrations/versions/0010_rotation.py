"""Keys that come before they are used and stay until nobody needs them: the suite, token keys, personal-data keys."""

import sqlalchemy as sa
from alembic import op

revision = "0010_rotation"
down_revision = "0009_time"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)

# A kid that was once used names that key for ever.
SIGNING_KEYS_KEPT = (
    """
CREATE FUNCTION keys.signing_keys_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND (NEW.kid, NEW.alg, NEW.key_id, NEW.created_at) = (OLD.kid, OLD.alg, OLD.key_id, OLD.created_at)
     AND (OLD.compromised_at IS NULL OR NEW.compromised_at = OLD.compromised_at) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a signing key keeps its name, for ever';
END $$""",
    """
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON keys.signing_keys
  FOR EACH ROW EXECUTE FUNCTION keys.signing_keys_kept()""",
)

# Writing an envelope and destroying its data key exclude each other: the writer holds a shared lock on the key until it commits,
# whoever destroys the key holds it alone and looks for envelopes then.
DATA_KEY_STANDS = (
    """
CREATE FUNCTION identity.data_key_lock(key_id uuid) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT hashtextextended('identity.data_key.' || key_id, 0)
$$""",
    """
CREATE FUNCTION identity.data_key_stands(envelope bytea) RETURNS boolean LANGUAGE plpgsql VOLATILE STRICT AS $$
DECLARE
  key uuid := encode(substr(envelope, 2, 16), 'hex')::uuid;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(identity.data_key_lock(key));
  RETURN EXISTS (SELECT FROM identity.personal_data_keys WHERE key_id = key AND role = 'data' AND destroyed_at IS NULL);
END $$""",
    """
CREATE FUNCTION identity.refuse_envelope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'an envelope of %.% names no data key that stands', TG_TABLE_SCHEMA, TG_TABLE_NAME;
END $$""",
)

ENVELOPES = (
    ("identity", "bindings", "number_sealed"),
    ("identity", "credentials", "totp_sealed"),
    ("identity", "population", "number_sealed"),
    ("identity", "population", "name_sealed"),
    ("identity", "population", "mobile_sealed"),
    ("certs", "holders", "code_sealed"),
)


def upgrade() -> None:
    _installation()
    _signing_keys()
    _data_keys()
    for schema, table, column in ENVELOPES:
        name = column.removesuffix("_sealed")
        op.create_index(f"ix_{table}_{name}_data_key", table, [sa.text(f"substr({column}, 2, 16)")], schema=schema)
        op.execute(
            f"CREATE TRIGGER {name}_data_key BEFORE INSERT OR UPDATE OF {column} ON {schema}.{table} FOR EACH ROW"
            f" WHEN (NOT identity.data_key_stands(NEW.{column})) EXECUTE FUNCTION identity.refuse_envelope()"
        )


def _installation() -> None:
    op.create_table(
        "installation",
        sa.Column("single", sa.Boolean(), nullable=False),
        sa.Column("crypto", sa.Text(), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.CheckConstraint("single", name=op.f("ck_installation_single")),
        sa.CheckConstraint("crypto IN ('intl', 'sm')", name=op.f("ck_installation_crypto")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_installation")),
        schema="keys",
    )
    # What has keys already was made before there was a choice.
    op.execute("INSERT INTO keys.installation SELECT true, 'intl', min(created_at) FROM keys.stored_keys HAVING count(*) > 0")


def _signing_keys() -> None:
    op.add_column("signing_keys", sa.Column("signs_from", INSTANT, nullable=True), schema="keys")
    op.add_column("signing_keys", sa.Column("signs_until", INSTANT, nullable=True), schema="keys")
    op.add_column("signing_keys", sa.Column("published_until", INSTANT, nullable=True), schema="keys")
    op.add_column("signing_keys", sa.Column("compromised_at", INSTANT, nullable=True), schema="keys")
    op.execute("UPDATE keys.signing_keys SET signs_from = created_at, signs_until = retired_at, published_until = retired_at")
    op.alter_column("signing_keys", "signs_from", nullable=False, schema="keys")
    op.drop_column("signing_keys", "retired_at", schema="keys")
    for statement in SIGNING_KEYS_KEPT:
        op.execute(statement)


def _data_keys() -> None:
    op.add_column("personal_data_keys", sa.Column("seals_from", INSTANT, nullable=True), schema="identity")
    op.add_column("personal_data_keys", sa.Column("destroyed_at", INSTANT, nullable=True), schema="identity")
    op.execute("UPDATE identity.personal_data_keys SET seals_from = created_at")
    op.alter_column("personal_data_keys", "seals_from", nullable=False, schema="identity")
    for statement in DATA_KEY_STANDS:
        op.execute(statement)


def downgrade() -> None:
    for schema, table, column in ENVELOPES:
        name = column.removesuffix("_sealed")
        op.execute(f"DROP TRIGGER {name}_data_key ON {schema}.{table}")
        op.drop_index(f"ix_{table}_{name}_data_key", table_name=table, schema=schema)
    op.execute("DROP FUNCTION identity.refuse_envelope()")
    op.execute("DROP FUNCTION identity.data_key_stands(bytea)")
    op.execute("DROP FUNCTION identity.data_key_lock(uuid)")
    op.drop_column("personal_data_keys", "destroyed_at", schema="identity")
    op.drop_column("personal_data_keys", "seals_from", schema="identity")
    op.execute("DROP TRIGGER kept ON keys.signing_keys")
    op.execute("DROP FUNCTION keys.signing_keys_kept()")
    op.add_column("signing_keys", sa.Column("retired_at", INSTANT, nullable=True), schema="keys")
    op.execute("UPDATE keys.signing_keys SET retired_at = coalesce(compromised_at, published_until)")
    for column in ("compromised_at", "published_until", "signs_until", "signs_from"):
        op.drop_column("signing_keys", column, schema="keys")
    op.drop_table("installation", schema="keys")
