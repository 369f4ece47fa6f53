"""Secrets in a file that a command may replace while the gateway runs, such as ``tocsin arize connect``."""

from pathlib import Path

import structlog

_log = structlog.get_logger()

FileVersion = tuple[int, int, int]
"""Differs between two versions of a file."""


def file_version(path: Path) -> FileVersion:
    """A value that changes when the file is written or replaced, computed without reading it; of zeros if it is gone.

    It follows links: a mounted Secret or ConfigMap is changed by replacing links.
    """
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def read_secret_file(path: Path) -> tuple[str, ...]:
    """The secrets in a file, separated by commas; none if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(part.strip() for part in text.split(",") if part.strip())


class SecretFile:
    """The secrets that the file holds now. It is read again when it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = file_version(path)
        self._secrets: tuple[str, ...] = read_secret_file(path)

    def __call__(self) -> tuple[str, ...]:
        """The secrets; the last ones that were known if the file is gone, empty or cannot be read."""
        version = file_version(self._path)
        if version == self._version:
            return self._secrets
        secrets = read_secret_file(self._path)
        if secrets and secrets != self._secrets:
            _log.info("webhook_secrets_reloaded", file=str(self._path), secrets=len(secrets))
        self._version, self._secrets = version, secrets or self._secrets
        return self._secrets
