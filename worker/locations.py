"""Paths and files: what commands need before, or instead of, the settings. Imports only the standard library."""

import os
import stat
from pathlib import Path

SHIPPED_POLICY = Path(__file__).resolve().parent.parent / "policies" / "tocsin.yaml"


def display_path(path: Path) -> str:
    """A path for people: relative to the working directory if it is below it, otherwise unchanged."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def restrict_new_files() -> None:
    """Let only the owner read what this process and its children create: alerts lie in the state folder in clear."""
    os.umask(0o077)


def readable_by_others(path: Path) -> bool:
    """Whether other users of this machine may read a folder or file. One that does not exist is not readable."""
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return False
