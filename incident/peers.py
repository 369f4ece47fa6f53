"""What incidents say to each other: which one is suppressed because of which other one."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from incident.suppression import ListedIncident


class PeerMessage(BaseModel):
    """From one incident to another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: str
    kind: Literal["list", "unlist", "recheck"]
    """``list``: this incident notifies nobody because of yours; ``unlist``: it is over, or notifies; ``recheck``: what
    you notify nobody for may be over."""
    incident: str
    """The sender."""
    listed: ListedIncident | None = Field(default=None, exclude_if=lambda value: value is None)
