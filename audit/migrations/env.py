"""Alembic runs this file for each command. The connection comes from ``audit.migrations.upgrade``."""

from alembic import context

from audit.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # SQLite's is too, since Database opens the transaction itself
)
with context.begin_transaction():
    context.run_migrations()
