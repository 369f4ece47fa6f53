"""The schema of version 1.0.0: the audit log, the policies and the digest ledger."""

import sqlalchemy as sa
from alembic import op

revision = "v1_0_0"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create every table, and the triggers that refuse a change of a record or of a policy."""
    _create_log()
    _create_policies()
    _create_digests()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
        )
    for table in ("audit_records", "policies"):
        _make_append_only(table)


def _create_log() -> None:
    op.create_table(
        "audit_records",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("incident", sa.String(200), nullable=False),
        sa.Column("first_run_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.String(60), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("anchor", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.UniqueConstraint("incident", "first_run_id", "number", name="audit_records_unique_number"),
        sa.UniqueConstraint("incident", "first_run_id", "key", name="audit_records_unique_key"),
    )
    op.create_index("audit_records_by_at", "audit_records", ["at"])


def _create_policies() -> None:
    op.create_table(
        "policies",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.UniqueConstraint("digest", name="policies_unique_digest"),
    )


def _create_digests() -> None:
    op.create_table(
        "digests",
        sa.Column("key", sa.String(300), primary_key=True),
        sa.Column("destination", sa.String(200), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("receipt", sa.Text, nullable=False),
    )
    op.create_table(
        "digest_items",
        sa.Column("key", sa.String(400), primary_key=True),
        sa.Column("destination", sa.String(200), nullable=False),
        sa.Column("incident", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("drill", sa.Boolean, nullable=False),
        sa.Column("digest", sa.String(300)),
    )
    op.create_index("digest_items_by_digest", "digest_items", ["digest"])
    op.create_index("digest_items_by_destination", "digest_items", ["destination", "at"])


def _make_append_only(table: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()"
        )
        return
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )
