"""What happens to an incident from outside: alerts, and the actions of responders."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts import Alert, incident_id
from incident.order import EventTimes
from incident.tickets import Ticket
from policy import Role

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
    "merge",
]
"""``merge``: the vendor merged its own incident into another one. The incident here stays open."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GroupedAlert(_Frozen):
    """An alert and how often it came: repeats that differ only in id and time are grouped into one."""

    alert: Alert
    count: int = 1
    event_ids: tuple[str, ...] = ()
    last_at: datetime | None = Field(default=None, description="When the newest repeat happened; `alert` is the first.")
    received_at: datetime | None = Field(
        default=None,
        description="When a gateway received the first, in UTC.",
        exclude_if=lambda value: value is None,
    )
    last_received_at: datetime | None = Field(
        default=None,
        description="When a gateway received the last, if there are several.",
        exclude_if=lambda value: value is None,
    )

    problem: str = Field(
        default="",
        description="The problem that it is about: the incident's own id if that is not grouped.",
        exclude_if=lambda value: not value,
    )
    times: EventTimes | None = Field(
        default=None,
        description="When the monitor last triggered and cleared, as far as the gateway knows, if the alert is late.",
        exclude_if=lambda value: value is None,
    )
    repeated: bool = Field(
        default=False,
        description="The gateway had it before: it counts, and neither opens an incident nor makes it fire again.",
        exclude_if=lambda value: not value,
    )

    @property
    def problem_id(self) -> str:
        """The problem, also if the gateway that sent it did not say so."""
        return self.problem or incident_id(self.alert)

    @property
    def happened_at(self) -> datetime | None:
        """When the newest of them happened, by the sender's clock; see ``Alert.ordering_time``."""
        return self.last_at or self.alert.ordering_time

    @property
    def arrived_at(self) -> datetime | None:
        """When a gateway received the newest of them; None if it did not say so."""
        return self.last_received_at or self.received_at


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
        default="", description="The incident's first run, or its beginning; an action for another run changes nothing."
    )
    seen_run_id: str = Field(
        default="",
        description="The first run of what the gateway last read of the incident, if the action names none and "
        "Temporal did not answer. It is for that opening, or for a later one that was open when it was done.",
        exclude_if=lambda value: not value,
    )
    id: str = Field(default="", description="The callback's own id: a redelivery is dropped.")
    occurred_at: datetime | None = Field(default=None, description="In UTC, by the vendor's clock.")
    refused: bool = Field(default=False, description="The gateway refused it already: it is only recorded.")
    ticket: Ticket | None = Field(
        default=None, description="The ticket in which it was done; only one that the incident opened counts."
    )
    vendor_id: str = Field(
        default="",
        description="The vendor's own id of the incident, or, of a merge, of the one that it is part of now.",
    )
    merged_into: str = Field(
        default="",
        description="It was done in the vendor's incident with this id. It counts as long as this one is part of it.",
        exclude_if=lambda value: not value,
    )

    @property
    def channel(self) -> str:
        """``in slack``: how the action came, for people."""
        return {"api": "through the API", "link": "through a link"}.get(self.source, f"in {self.source}")


class EventIds(_Frozen):
    """Ids of alerts and actions."""

    ids: tuple[str, ...]
