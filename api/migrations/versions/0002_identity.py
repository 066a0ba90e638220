"""the tables of identity"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_identity"
down_revision = "0001_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("division", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=True),
        sa.Column("roles", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("identity_level", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("division ~ '^[0-9]{6}$'", name=op.f("ck_accounts_division")),
        sa.CheckConstraint(
            "jsonb_exists(roles, 'system_admin')::int + jsonb_exists(roles, 'security_admin')::int + jsonb_exists(roles, 'auditor')::int <= 1",
            name=op.f("ck_accounts_separate_administrators"),
        ),
        sa.CheckConstraint("identity_level BETWEEN 0 AND 4", name=op.f("ck_accounts_identity_level")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("username", name=op.f("uq_accounts_username")),
        schema="identity",
    )
    op.create_table(
        "bindings",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("code_type", sa.Text(), nullable=False),
        sa.Column("number_index", sa.LargeBinary(), nullable=False),
        sa.Column("number_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("number_masked", sa.Text(), nullable=False),
        sa.Column("bound_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_bindings")),
        sa.UniqueConstraint("number_index", name=op.f("uq_bindings_number_index")),
        schema="identity",
    )
    op.create_table(
        "credentials",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("totp_last_step", sa.BigInteger(), nullable=False),
        sa.Column("totp_enrolled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_credentials")),
        schema="identity",
    )
    op.create_table(
        "evidence",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("check_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("claim_digest", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("mobile_outcome", sa.Text(), nullable=True),
        sa.Column("flags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
        schema="identity",
    )
    op.create_index("ix_evidence_account", "evidence", ["account_id", "checked_at"], unique=False, schema="identity")
    op.create_index(op.f("ix_evidence_check_id"), "evidence", ["check_id"], unique=False, schema="identity")
    op.create_table(
        "half_logins",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("spent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_half_logins")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_half_logins_secret_hash")),
        schema="identity",
    )
    op.create_index(op.f("ix_half_logins_expires_at"), "half_logins", ["expires_at"], unique=False, schema="identity")
    op.create_table(
        "legal_persons",
        sa.Column("uscc", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("representative_index", sa.LargeBinary(), nullable=True),
        sa.Column("flags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("uscc", name=op.f("pk_legal_persons")),
        schema="identity",
    )
    op.create_table(
        "oidc_clients",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=True),
        sa.Column("division", sa.Text(), nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("redirect_uris", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("post_logout_redirect_uris", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("grant_types", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("id_token_alg", sa.Text(), nullable=False),
        sa.Column("may_introspect", sa.Boolean(), nullable=False),
        sa.Column("conformance_profile", sa.Text(), nullable=True),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=True),
        sa.Column("previous_secret_hash", sa.LargeBinary(), nullable=True),
        sa.Column("previous_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("division ~ '^[0-9]{6}$'", name=op.f("ck_oidc_clients_division")),
        sa.CheckConstraint("public = (secret_hash IS NULL)", name=op.f("ck_oidc_clients_secret")),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_oidc_clients")),
        schema="identity",
    )
    op.create_table(
        "organisations",
        sa.Column("uscc", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("division", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("uscc", name=op.f("pk_organisations")),
        schema="identity",
    )
    op.create_table(
        "personal_data_keys",
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('index', 'data')", name=op.f("ck_personal_data_keys_role")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_personal_data_keys")),
        schema="identity",
    )
    op.create_index(
        "uq_personal_data_keys_index", "personal_data_keys", ["role"], unique=True, schema="identity", postgresql_where="role = 'index'"
    )
    op.create_table(
        "population",
        sa.Column("number_index", sa.LargeBinary(), nullable=False),
        sa.Column("code_type", sa.Text(), nullable=False),
        sa.Column("name_index", sa.LargeBinary(), nullable=False),
        sa.Column("mobile_index", sa.LargeBinary(), nullable=True),
        sa.Column("number_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("mobile_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number_index", name=op.f("pk_population")),
        schema="identity",
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amr", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("acr", sa.Text(), nullable=False),
        sa.Column("authenticator_level", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_sessions_secret_hash")),
        schema="identity",
    )
    op.create_index("ix_sessions_live", "sessions", ["account_id"], unique=False, schema="identity", postgresql_where="ended_at IS NULL")
    op.create_table(
        "throttles",
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("window_started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_throttles")),
        schema="identity",
    )
    op.create_index(op.f("ix_throttles_window_started"), "throttles", ["window_started"], unique=False, schema="identity")
    op.create_table(
        "oidc_consents",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["identity.oidc_clients.client_id"], name=op.f("fk_oidc_consents_client_id")),
        sa.PrimaryKeyConstraint("account_id", "client_id", name=op.f("pk_oidc_consents")),
        schema="identity",
    )
    op.create_table(
        "oidc_grants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("code_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("code_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("code_challenge", sa.Text(), nullable=True),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acr", sa.Text(), nullable=False),
        sa.Column("amr", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("authenticator_level", sa.BigInteger(), nullable=False),
        sa.Column("offline", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_because", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["client_id"], ["identity.oidc_clients.client_id"], name=op.f("fk_oidc_grants_client_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oidc_grants")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_oidc_grants_code_hash")),
        schema="identity",
    )
    op.create_index("ix_oidc_grants_account", "oidc_grants", ["account_id", "client_id"], unique=False, schema="identity")
    op.create_index("ix_oidc_grants_created_at", "oidc_grants", ["created_at"], unique=False, schema="identity")
    op.create_index("ix_oidc_grants_session", "oidc_grants", ["session_id"], unique=False, schema="identity")
    op.create_table(
        "oidc_access_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("grant_id", sa.Uuid(), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["grant_id"], ["identity.oidc_grants.id"], name=op.f("fk_oidc_access_tokens_grant_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_oidc_access_tokens")),
        schema="identity",
    )
    op.create_index(op.f("ix_oidc_access_tokens_expires_at"), "oidc_access_tokens", ["expires_at"], unique=False, schema="identity")
    op.create_index(op.f("ix_oidc_access_tokens_grant_id"), "oidc_access_tokens", ["grant_id"], unique=False, schema="identity")
    op.create_table(
        "oidc_refresh_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("successor_salt", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["grant_id"], ["identity.oidc_grants.id"], name=op.f("fk_oidc_refresh_tokens_grant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_oidc_refresh_tokens")),
        schema="identity",
    )
    op.create_index(op.f("ix_oidc_refresh_tokens_expires_at"), "oidc_refresh_tokens", ["expires_at"], unique=False, schema="identity")
    op.create_index(op.f("ix_oidc_refresh_tokens_grant_id"), "oidc_refresh_tokens", ["grant_id"], unique=False, schema="identity")


def downgrade() -> None:
    op.drop_index(op.f("ix_oidc_refresh_tokens_grant_id"), table_name="oidc_refresh_tokens", schema="identity")
    op.drop_index(op.f("ix_oidc_refresh_tokens_expires_at"), table_name="oidc_refresh_tokens", schema="identity")
    op.drop_table("oidc_refresh_tokens", schema="identity")
    op.drop_index(op.f("ix_oidc_access_tokens_grant_id"), table_name="oidc_access_tokens", schema="identity")
    op.drop_index(op.f("ix_oidc_access_tokens_expires_at"), table_name="oidc_access_tokens", schema="identity")
    op.drop_table("oidc_access_tokens", schema="identity")
    op.drop_index("ix_oidc_grants_session", table_name="oidc_grants", schema="identity")
    op.drop_index("ix_oidc_grants_created_at", table_name="oidc_grants", schema="identity")
    op.drop_index("ix_oidc_grants_account", table_name="oidc_grants", schema="identity")
    op.drop_table("oidc_grants", schema="identity")
    op.drop_table("oidc_consents", schema="identity")
    op.drop_index(op.f("ix_throttles_window_started"), table_name="throttles", schema="identity")
    op.drop_table("throttles", schema="identity")
    op.drop_index("ix_sessions_live", table_name="sessions", schema="identity", postgresql_where="ended_at IS NULL")
    op.drop_table("sessions", schema="identity")
    op.drop_table("population", schema="identity")
    op.drop_index("uq_personal_data_keys_index", table_name="personal_data_keys", schema="identity", postgresql_where="role = 'index'")
    op.drop_table("personal_data_keys", schema="identity")
    op.drop_table("organisations", schema="identity")
    op.drop_table("oidc_clients", schema="identity")
    op.drop_table("legal_persons", schema="identity")
    op.drop_index(op.f("ix_half_logins_expires_at"), table_name="half_logins", schema="identity")
    op.drop_table("half_logins", schema="identity")
    op.drop_index(op.f("ix_evidence_check_id"), table_name="evidence", schema="identity")
    op.drop_index("ix_evidence_account", table_name="evidence", schema="identity")
    op.drop_table("evidence", schema="identity")
    op.drop_table("credentials", schema="identity")
    op.drop_table("bindings", schema="identity")
    op.drop_table("accounts", schema="identity")
