"""The schema of the audit database, one revision a release that changes it.

To change the schema: change ``audit/schema.py``; add a module to ``versions/`` whose ``down_revision`` is the newest
revision and whose ``upgrade`` makes the same change; set ``audit.schema.REVISION`` to it. Never change a released
revision. ``tests/audit/test_migrations.py`` compares models and migrations, and upgrades a database of every release.
There is no downgrade: the log is append-only.
"""

import logging
import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

_running = threading.Lock()  # alembic keeps its context in module globals


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the database to a revision, within the connection's open transaction."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _running:
        command.upgrade(config, revision)
