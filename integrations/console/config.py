"""The keys of a console destination in a policy."""

from typing import ClassVar

from policy import DestinationConfig
from policy.destinations import Kind


class ConsoleConfig(DestinationConfig):
    kind: ClassVar[Kind] = "console"
