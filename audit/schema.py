"""The tables, append-only by triggers in SQLite and in PostgreSQL."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.schema import DDL

metadata = MetaData()

records = Table(
    "audit_records",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("incident", String(200), nullable=False),
    Column("opening", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("key", String(400), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("what", String(60), nullable=False),
    Column("by", String(200), nullable=False),
    Column("text", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("anchor", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("incident", "opening", "number", name="audit_one_number_once"),
    UniqueConstraint("incident", "opening", "key", name="audit_one_key_once"),
    Index("audit_by_time", "at"),
)

policies = Table(
    "policies",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("content", Text, nullable=False),
)

digest_entries = Table(
    "digest_entries",
    metadata,
    Column("key", String(400), primary_key=True),
    Column("destination", String(200), nullable=False),
    Column("incident", String(200), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("brief", Text, nullable=False),
    Column("drill", Boolean, nullable=False),
    Column("issue", String(300), index=True),
    Index("digest_entries_by_destination", "destination", "at"),
)
digest_issues = Table(
    "digest_issues",
    metadata,
    Column("key", String(300), primary_key=True),
    Column("destination", String(200), nullable=False),
    Column("begun_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Column("receipt", Text, nullable=False),
)

_APPEND_ONLY = "the audit log is append-only"


def _append_only(table: Table, prefix: str) -> None:
    for action in ("UPDATE", "DELETE"):
        event.listen(
            table,
            "after_create",
            DDL(
                f"CREATE TRIGGER IF NOT EXISTS {prefix}_no_{action.lower()} BEFORE {action} ON {table.name} "
                f"BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
            ).execute_if(dialect="sqlite"),
        )
    event.listen(
        table,
        "after_create",
        DDL(
            "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_APPEND_ONLY}'; END $$"
        ).execute_if(dialect="postgresql"),
    )
    event.listen(
        table,
        "after_create",
        DDL(
            f"CREATE TRIGGER {prefix}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        ).execute_if(dialect="postgresql"),
    )


_append_only(records, "audit")
_append_only(policies, "policies")
