"""What the database itself refuses: to change or drop evidence, and to forget a seal or its code."""

from alembic import op

revision = "0005_guards"
down_revision = "0004_certs"
branch_labels = None
depends_on = None

AUDIT = (
    """
CREATE FUNCTION keys.audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND NEW.position IS NOT NULL
     AND (NEW.id, NEW.occurred_at, NEW.action, NEW.object, NEW.actor_id, NEW.outcome, NEW.body)
       = (OLD.id, OLD.occurred_at, OLD.action, OLD.object, OLD.actor_id, OLD.outcome, OLD.body) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'the audit trail is append-only';
END $$""",
    """
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON keys.audit_events
  FOR EACH ROW EXECUTE FUNCTION keys.audit_append_only()""",
    """
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON keys.audit_events
  FOR EACH STATEMENT EXECUTE FUNCTION keys.audit_append_only()""",
)

HISTORY = """
CREATE FUNCTION seal.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% keeps what it holds', TG_TABLE_NAME;
END $$"""

NEVER_CHANGED = ("status_changes", "uses")
NEVER_DROPPED = ("seals", "code_counters")


def upgrade() -> None:
    for statement in AUDIT:
        op.execute(statement)
    op.execute(HISTORY)
    for table in NEVER_CHANGED:
        op.execute(f"CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON seal.{table} FOR EACH ROW EXECUTE FUNCTION seal.refuse_change()")
    for table in NEVER_DROPPED:
        op.execute(f"CREATE TRIGGER kept BEFORE DELETE ON seal.{table} FOR EACH ROW EXECUTE FUNCTION seal.refuse_change()")


def downgrade() -> None:
    for table in (*NEVER_CHANGED, *NEVER_DROPPED):
        op.execute(f"DROP TRIGGER kept ON seal.{table}")
    op.execute("DROP FUNCTION seal.refuse_change()")
    op.execute("DROP TRIGGER audit_no_truncate ON keys.audit_events")
    op.execute("DROP TRIGGER audit_append_only ON keys.audit_events")
    op.execute("DROP FUNCTION keys.audit_append_only()")
