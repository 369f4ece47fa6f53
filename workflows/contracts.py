"""The names, inputs and results of the workflows: what clients need to start, signal and query them."""

from pydantic import BaseModel, ConfigDict, Field

from incident.events import AlertBatch, GroupedAlert, ResponderAction
from incident.state import IncidentState
from policy import Decision, Target

INCIDENT_WORKFLOW = "Incident"
CHANGE_WORKFLOW = "Change"
DIGEST_WORKFLOW = "Digest"
RECONCILE_WORKFLOW = "Reconcile"
BACKGROUND_SUFFIX = "-background"
"""The task queue of what a page must not wait behind has this suffix."""

ADD_ALERTS_SIGNAL = "add_alerts"
RESPONDER_ACTION_SIGNAL = "responder_action"
INCIDENT_QUERY = "incident"
PROCESSED_EVENT_IDS_QUERY = "processed_event_ids"

MONITOR_MEMO = "tocsin_monitor"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class IncidentInput(_Frozen):
    """The first alerts of an incident, or the state that its previous run handed over."""

    alerts: AlertBatch | None = None
    decision: Decision | None = None
    """The gateway's decision about these alerts. Without one, a worker decides."""
    state: IncidentState | None = None
    inbox: tuple[GroupedAlert | ResponderAction, ...] = ()
    """What the previous run had not processed."""


class IncidentResult(_Frozen):
    """How an incident ended."""

    closed_by: str
    alert_count: int


class MonitorMemo(_Frozen):
    """In an incident's memo under ``MONITOR_MEMO``: its monitor, and the identity of its alerts."""

    id: str
    identity: tuple[str, ...]


class DigestInput(_Frozen):
    """A destination's digest is due. ``fallback`` is notified when it cannot be sent."""

    destination: str
    fallback: tuple[Target, ...] = ()


class ReconcileInput(_Frozen):
    grace: float = Field(
        default=45.0, ge=0, description="Seconds: a webhook for what was just found may be on its way."
    )
