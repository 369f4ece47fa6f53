"""The tables of the audit database, as the code uses them.

The migrations in ``audit/migrations`` create them, with the triggers that make records and policies append-only. A
test compares both. ``REVISION`` names the newest migration: a database that has it needs no migration, and alembic is
then not imported.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    select,
)

REVISION = "v1_0_0"
VERSION_TABLE = "tocsin_schema_version"
"""Alembic's own table, renamed: other applications may keep theirs in the same PostgreSQL database."""

metadata = MetaData()

records = Table(
    "audit_records",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("incident", String(200), nullable=False),
    Column("first_run_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("key", String(400), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("event", String(60), nullable=False),
    Column("by", String(200), nullable=False),
    Column("text", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("anchor", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("incident", "first_run_id", "number", name="audit_records_unique_number"),
    UniqueConstraint("incident", "first_run_id", "key", name="audit_records_unique_key"),
    Index("audit_records_by_at", "at"),
)

policies = Table(
    "policies",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("content", Text, nullable=False),
    UniqueConstraint("digest", name="policies_unique_digest"),
)

digests = Table(
    "digests",
    metadata,
    Column("key", String(300), primary_key=True),
    Column("destination", String(200), nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Column("receipt", Text, nullable=False),
)

digest_items = Table(
    "digest_items",
    metadata,
    Column("key", String(400), primary_key=True),
    Column("destination", String(200), nullable=False),
    Column("incident", String(200), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("content", Text, nullable=False),
    Column("drill", Boolean, nullable=False),
    Column("digest", String(300)),
    Index("digest_items_by_digest", "digest"),
    Index("digest_items_by_destination", "destination", "at"),
)

_versions = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


def revision_of(connection: Connection) -> str:
    """The migration that the database stands at; empty for a new database."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return ""
    return connection.execute(select(_versions.c.version_num)).scalar() or ""
