"""The quarantine's table."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Index, Integer, LargeBinary, MetaData, String, Table

metadata = MetaData()
quarantine = Table(
    "quarantined_deliveries",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("shape", String(20), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("touched_at", DateTime(timezone=True), nullable=False),
    Column("size", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("pending", Boolean, nullable=False),
    Column("replayed_at", DateTime(timezone=True)),
    Column("replayed_by", String(200), nullable=False),
    Column("replayed_role", String(20), nullable=False),
    Column("incident", String(200), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("key", String(8), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("plan_key", String(8), nullable=False),
    Column("plan", LargeBinary),
    # These cover what is counted at each insert, so that no body is read for it.
    Index("quarantined_deliveries_by_shape", "state", "shape", "size"),
    Index("quarantined_deliveries_pending", "pending", "touched_at"),
    Index("quarantined_deliveries_by_received_at", "received_at"),
    sqlite_autoincrement=True,
)
"""``pending``: work is left, see ``QuarantineKeeper``."""
