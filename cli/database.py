"""The audit database, for commands that read it."""

import logging
import os
from pathlib import Path
from typing import TextIO, cast

from cli.errors import DATABASE, exit_with_error


def existing_database_url() -> str:
    """As ``database_url``. Ends the command if it names a SQLite file that does not exist.

    A log that is verified by a mistyped name must not be created, and found intact.
    """
    from sqlalchemy.engine import make_url

    url = database_url()
    parts = make_url(url)
    file = parts.database or ""
    if parts.get_backend_name() == "sqlite" and not Path(file).is_file():
        exit_with_error(f"there is no audit log at {file}: check TOCSIN_DATABASE_URL and TOCSIN_STATE_DIR", DATABASE)
    return url


def database_url() -> str:
    """The database's address, from the settings. From here on, only warnings are logged, to standard error."""
    from worker.settings import read_settings

    log_to_standard_error()
    return read_settings(os.environ).database_url


def log_to_standard_error() -> None:
    """From here on, only warnings are logged, and never between the lines, or in the JSON, that a command prints."""
    import structlog

    from worker.standard_error import LenientStderr

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", LenientStderr())),
    )
