"""The version of Tocsin that runs; it stands in ``pyproject.toml`` alone."""

from importlib.metadata import version

VERSION = version("tocsin")
