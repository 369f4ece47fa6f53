"""The names, inputs and results of the workflows: what clients need to start, signal and query them."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from incident.events import AlertBatch, GroupedAlert, ResponderAction
from incident.order import EventTimes
from incident.state import IncidentState
from incident.suppression import Suppression
from policy import Decision, Target

INCIDENT_WORKFLOW = "Incident"
CHANGE_WORKFLOW = "Change"
DIGEST_WORKFLOW = "Digest"
RECONCILE_WORKFLOW = "Reconcile"
SILENCE_WORKFLOW = "Silence"
BACKGROUND_SUFFIX = "-background"
"""The task queue of what a page must not wait behind has this suffix."""

ADD_ALERTS_SIGNAL = "add_alerts"
RESPONDER_ACTION_SIGNAL = "responder_action"
PEER_SIGNAL = "peer_message"
INCIDENT_QUERY = "incident"
PROCESSED_EVENT_IDS_QUERY = "processed_event_ids"
PROBLEMS_QUERY = "problems"

DESCRIBE_ACTIVITY = "describe"
"""The type of an activity that is retried for as long as its incident is open, so many attempts are no problem."""

MONITOR_MEMO = "tocsin_monitor"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class IncidentInput(_Frozen):
    """The first alerts of an incident, or the state that its previous run handed over."""

    alerts: AlertBatch | None = None
    decision: Decision | None = None
    """The gateway's decision about these alerts, the loudest. Without one, a worker decides."""
    decisions: tuple[Decision, ...] = ()
    """The decisions about the problems of these alerts, if they are not one problem's, without their traces."""
    decision_of: tuple[int, ...] = ()
    """For each alert, the index of its decision."""
    reopened: IncidentState | None = None
    """The state of the closed incident that these alerts open again."""
    suppressions: dict[str, Suppression] = {}
    """What suppressed these alerts when the gateway decided, by problem."""
    tracks_problems: bool = False
    """The incident follows each of its problems. Runs that earlier versions began do not."""
    state: IncidentState | None = None
    times: EventTimes | None = None
    """When the monitor last cleared, before this incident was opened: alerts from before that notify nobody."""
    inbox: tuple[GroupedAlert | ResponderAction, ...] = ()
    """What the previous run had not processed."""
    unlisted: bool = False
    """Temporal refused the search attributes, so the incident sets none: it notifies people all the same."""
    random_key: bool = False
    """The incident's key has random digits. Those of incidents that 1.0 opened have a time's."""
    bounded: bool = False
    """The run keeps the limits of ``incident.limits`` in its state. Runs that 1.0 began do not."""


class IncidentResult(_Frozen):
    """How an incident ended."""

    closed_by: str
    alert_count: int
    triggered_at: datetime | None = None
    """When its monitor last triggered, and cleared, by the sender's clock."""
    cleared_at: datetime | None = None
    local_triggered_at: datetime | None = Field(default=None, exclude_if=lambda value: value is None)
    local_cleared_at: datetime | None = Field(default=None, exclude_if=lambda value: value is None)
    """The same, if the sender stated local time."""
    problems: dict[str, EventTimes] = Field(default={}, exclude_if=lambda value: not value)
    """When the monitor of each problem last triggered, and cleared."""
    state: IncidentState | None = Field(default=None, exclude_if=lambda value: value is None)
    """As it was when it closed, for what opens it again; only where the policy says for how long that may happen."""


class MonitorMemo(_Frozen):
    """In an incident's memo under ``MONITOR_MEMO``: its monitor, and the identity of its alerts.

    ``identity`` is empty if it is too large for a memo: then the incident's own id is that of its alerts.
    """

    id: str
    identity: tuple[str, ...]
    grouped: bool = Field(default=False, exclude_if=lambda value: not value)
    """It may hold further monitors: the incident itself says which."""


class HeldProblem(_Frozen):
    """A problem of an incident, for what compares it with Arize's monitor."""

    problem: str
    monitor_id: str
    identity: tuple[str, ...]
    cleared: bool
    since: datetime
    """When it began, or last fired again."""


class DigestInput(_Frozen):
    """A destination's digest is due. ``fallback`` is notified when it cannot be sent."""

    destination: str
    fallback: tuple[Target, ...] = ()


class ReconcileInput(_Frozen):
    """What a run of the reconcile workflow does; the defaults are those of schedules of 1.0.0."""

    arize: bool = Field(default=True, description="Compare Arize's monitors with the incidents.")
    ended: bool = Field(default=False, description="Report incidents that ended outside Tocsin.")
    grace: float = Field(
        default=45.0, ge=0, description="Seconds: a webhook for what was just found may be on its way."
    )
    describe: bool = Field(
        default=False, description="Also refresh the descriptions of monitors. Schedules of 1.0.0 do not ask for it."
    )
