"""The log's table, append-only by triggers in SQLite and in PostgreSQL."""

from sqlalchemy import (
    BigInteger,
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

_APPEND_ONLY = "the audit log is append-only"

for _action in ("UPDATE", "DELETE"):
    event.listen(
        records,
        "after_create",
        DDL(
            f"CREATE TRIGGER IF NOT EXISTS audit_no_{_action.lower()} BEFORE {_action} ON audit_records "
            f"BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
        ).execute_if(dialect="sqlite"),
    )
event.listen(
    records,
    "after_create",
    DDL(
        "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_APPEND_ONLY}'; END $$"
    ).execute_if(dialect="postgresql"),
)
event.listen(
    records,
    "after_create",
    DDL(
        "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_records "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    ).execute_if(dialect="postgresql"),
)
