"""The audit database, for commands that read it."""

import logging
import os
from typing import TextIO, cast


def database_url() -> str:
    """The database's address, from the settings. From here on, only warnings are logged, to standard error."""
    import structlog

    from worker.settings import read_settings
    from worker.standard_error import LenientStderr

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", LenientStderr())),
    )
    return read_settings(os.environ).database_url
