"""A destination's proof of delivery."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Verb = Literal["notify", "acknowledge", "resolve", "note", "remind", "refresh"]
"""What a notification does. ``refresh`` shows the incident's current state in a message that was sent before; a pager
keeps its own state and receives none."""


class Receipt(BaseModel):
    """The vendor's own id for a message, and when the vendor accepted it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    destination: str
    type: str
    id: str
    at: datetime
    key: str = ""
    url: str = ""
    location: str = Field(default="", description="Where the vendor keeps it, such as a Slack channel's id.")
