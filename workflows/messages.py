"""What the outside says to an incident, and what it answers. One model for each signal, update and query."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from activities.contracts import Receipt
from alerts import Alert
from policy import Decision, Tier

INCIDENT_WORKFLOW = "Incident"
CHANGE_WORKFLOW = "Change"
ASIDE = "-aside"
"""At the end of the name of the task queue of what is not urgent."""
ARRIVE_SIGNAL = "arrive"
ANSWER_SIGNAL = "answer"
INCIDENT_QUERY = "incident"
TAKEN_QUERY = "taken"

MONITOR = "tocsin_monitor"

FORBIDDEN = "Forbidden"
"""Error type of an update: the responder's role may not do that here."""
OVER = "Over"
"""Error type of an update: the incident is resolved or closed already."""

State = Literal["received", "holding", "suppressed", "notified", "acknowledged", "awaiting_human", "resolved", "closed"]
OPEN_STATES: tuple[State, ...] = (
    "received",
    "holding",
    "suppressed",
    "notified",
    "acknowledged",
    "awaiting_human",
)
Act = Literal[
    "acknowledge",
    "resolve",
    "annotate",
    "unacknowledge",
    "reopen",
    "escalate",
    "reassign",
    "silence",
    "false_alarm",
]
Role = Literal["viewer", "responder", "compliance", "admin"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Arrival(_Frozen):
    """An alert, and how many times it came: repeats that differ only in id and time travel as one."""

    alert: Alert
    count: int = 1
    event_ids: tuple[str, ...] = ()


class Arrivals(_Frozen):
    """Alerts in the order in which they came."""

    arrivals: tuple[Arrival, ...]


class EventIds(_Frozen):
    ids: tuple[str, ...]


class Answer(_Frozen):
    """What a responder did, wherever they did it."""

    act: Act
    by: str = Field(description="The responder's name; empty where no person is behind it.")
    role: Role | Literal[""] = ""
    via: str = Field(default="api", description="Where it was done: api, pagerduty, …")
    token: str = Field(default="", description="The name of the API token that was shown.")
    note: str = ""
    seconds: float = Field(default=0.0, ge=0, le=86_400, description="For how long it is silenced.")
    opening: str = Field(default="", description="Of which opening, where the answer says; one for another is dropped.")
    id: str = Field(default="", description="The callback's own id: a redelivery is dropped.")


class MonitorMemo(_Frozen):
    """In an incident's memo under ``MONITOR``: which monitor it is about, and what its alerts are known by."""

    id: str
    identity: tuple[str, ...]


class TimelineEntry(_Frozen):
    at: datetime
    what: str
    by: str
    text: str


class IncidentView(_Frozen):
    """An incident as the API and the terminal show it."""

    id: str
    opening: str
    state: State
    tier: Tier | None = None
    rule: str = ""
    model: str = ""
    environment: str = ""
    team: str = ""
    regulated: bool = False
    closed_by: str = Field(default="", description="The role that alone may close it.")
    escalation: int = Field(default=0, description="The step last taken, from 1; 0 before any.")
    alerts: int = Field(default=0, description="How many alerts joined.")
    cleared: bool = Field(default=False, description="Arize has said that the monitor is well again.")
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None
    resolved_by: str = ""
    opened_at: datetime
    closed_at: datetime | None = None
    headline: str = ""
    awaiting: str = Field(default="", description="What happens next, and when.")
    alert: Alert | None = None
    decision: Decision | None = None
    receipts: tuple[Receipt, ...] = ()
    findings: tuple[str, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()


class Closing(_Frozen):
    """The workflow's result."""

    by: str
    alerts: int
