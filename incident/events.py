"""What happens to an incident from outside: alerts, and the actions of responders."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts import Alert

ActionType = Literal[
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
ROLES: tuple[Role, ...] = ("viewer", "responder", "compliance", "admin")
"""Each role includes the rights of the roles before it."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GroupedAlert(_Frozen):
    """An alert and how often it came: repeats that differ only in id and time are grouped into one."""

    alert: Alert
    count: int = 1
    event_ids: tuple[str, ...] = ()


class AlertBatch(_Frozen):
    """Alerts in the order in which they arrived."""

    alerts: tuple[GroupedAlert, ...]


class ResponderAction(_Frozen):
    """What a responder did, in any place."""

    type: ActionType
    by: str = Field(description="The responder's name; empty when no person is behind it.")
    role: Role | Literal[""] = ""
    source: str = Field(default="api", description="Where it was done: api, pagerduty, …")
    token: str = Field(default="", description="The name of the API token that was used.")
    note: str = ""
    silence_seconds: float = Field(default=0.0, ge=0, le=86_400, description="For how long notifications are silenced.")
    first_run_id: str = Field(
        default="", description="The incident's first run, or its beginning; an action for another run is dropped."
    )
    id: str = Field(default="", description="The callback's own id: a redelivery is dropped.")

    @property
    def channel(self) -> str:
        """``in slack``: how the action came, for people."""
        return {"api": "through the API", "link": "through a link"}.get(self.source, f"in {self.source}")


class EventIds(_Frozen):
    """Ids of alerts and actions."""

    ids: tuple[str, ...]
