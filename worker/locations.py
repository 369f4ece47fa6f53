"""Paths that commands need before, or instead of, the settings. Imports nothing but the standard library."""

import os
from pathlib import Path

SHIPPED_POLICY = Path(__file__).resolve().parent.parent / "policies" / "tocsin.yaml"


def display_path(path: Path) -> str:
    """A path for people: relative to the working directory if it is below it, otherwise unchanged."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
