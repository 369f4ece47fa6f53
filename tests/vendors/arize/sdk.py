"""The generated client inside the ``arize`` SDK, whose import takes seconds and so is done when it is needed."""

from importlib import import_module
from typing import Any


def generated() -> Any:
    """``arize._generated.api_client``, private to the SDK: its ``models``, its ``api``, an ``…Api`` for each family."""
    return import_module("arize._generated.api_client")
