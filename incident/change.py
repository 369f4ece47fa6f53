"""A change that Arize reports, such as a new version of a prompt."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from incident.message import Fact
from incident.text import RequiredLine, WebAddress


class Change(BaseModel):
    """A change event. It opens no incident and pages nobody."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    kind: str
    at: datetime
    text: RequiredLine
    source: RequiredLine = "Arize"
    url: WebAddress = ""
    facts: tuple[Fact, ...] = ()
