"""Every place a message can go: one module a vendor, found by its ``type``.

A new destination is one new module here (or a class behind the entry point ``tocsin.destinations``) and its
test; nothing else lists them.
"""

from activities.destinations.base import Destination, Secrets
from activities.destinations.registry import (
    OpenDestinations,
    destination_types,
    open_destination,
    open_destinations,
    with_console,
)

__all__ = [
    "Destination",
    "OpenDestinations",
    "Secrets",
    "destination_types",
    "open_destination",
    "open_destinations",
    "with_console",
]
