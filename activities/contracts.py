"""The activities' inputs and results, without their code: what workflows need to call them.

Activity types, by name: ``classify`` and ``describe`` (ClassifyRequest → Classification), ``decide_in_doubt``
(DoubtRequest → Decision), ``page``, ``post``,
``ticket`` and ``console`` (Notification → NotificationResult), ``add_to_digest`` (DigestRequest →
NotificationResult), ``send_digest`` (SendDigestRequest → SendDigestResult), ``write_audit_events`` (AuditBatch →
None), ``list_change_subscribers`` (Change → names of destinations), ``send_change_event`` (ChangeNotification →
Receipt), ``scan_monitors`` (ScanRequest → Scan), ``repair`` (RepairRequest → Repair), ``refresh_descriptions``
(None → Refresh), ``report_ended_incidents`` (None → EndedReport), ``check_suppressions`` (SuppressionCheck →
SuppressionsFound), ``set_inhibitors`` (InhibitorsUpdate → None).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerts import Alert
from incident.audit_events import AuditBatch
from incident.change import Change
from incident.message import MessageContent
from incident.receipt import Receipt
from incident.suppression import Inhibitor, Suppression
from policy import Decision, IncidentFacts, Target


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassifyRequest(_Frozen):
    """Alerts that arrived together; the loudest decision counts."""

    alerts: tuple[Alert, ...]
    now: datetime
    incident: IncidentFacts = IncidentFacts()
    describe: bool = Field(
        default=False, description="Describe the alerts first. Workflow code of 1.0.0 does not ask for it."
    )


class DoubtRequest(_Frozen):
    """Alerts of a model that no attempt could classify, without what they hold: that may be what fails."""

    model: str
    reason: str


class Classification(_Frozen):
    """The loudest decision, and the alerts that it is about, described and interpreted, in the request's order.

    ``alerts`` is empty if a worker of 1.0.0 decided. ``undescribed`` are the positions of alerts that Arize did not
    describe in time, and may describe later.
    """

    decision: Decision
    alerts: tuple[Alert, ...] = ()
    undescribed: tuple[int, ...] = ()
    decisions: tuple[Decision, ...] = Field(
        default=(),
        description="The decisions that differ, each once, without their traces; empty if there is only one.",
        exclude_if=lambda value: not value,
    )
    decision_of: tuple[int, ...] = Field(
        default=(),
        description="For each alert, the index of its decision in `decisions`.",
        exclude_if=lambda value: not value,
    )
    suppressions: tuple[Suppression | None, ...] = Field(
        default=(), description="What suppresses each alert; empty if nothing does.", exclude_if=lambda value: not value
    )

    def each_decision(self, count: int) -> list[Decision]:
        """The decision about each of so many alerts."""
        if len(self.decision_of) != count:
            return [self.decision] * count
        return [self.decisions[index] for index in self.decision_of]

    @model_validator(mode="before")
    @classmethod
    def _of_version_1_0_0(cls, value: Any) -> Any:
        """The result was the decision itself: histories of open incidents have it."""
        if isinstance(value, Mapping) and "decision" not in value:
            return {"decision": cast("Mapping[str, Any]", value)}
        return cast("Any", value)


class ProblemCheck(_Frozen):
    """A problem whose suppression may be over, or have begun."""

    problem: str
    alert: Alert
    decision: Decision
    suppression: Suppression | None = None


class SuppressionCheck(_Frozen):
    """Problems of one incident."""

    incident: str
    now: datetime
    problems: tuple[ProblemCheck, ...]


class SuppressionsFound(_Frozen):
    """What suppresses each problem now; None if nothing does."""

    problems: dict[str, Suppression | None]


class InhibitorsUpdate(_Frozen):
    """All problems of an incident that inhibit other incidents now."""

    incident: str
    inhibitors: tuple[Inhibitor, ...]


class NotificationResult(_Frozen):
    """``audit_written``: the audit log holds the events that came with the notification, and its own.

    ``indexed``: the namespace has the search attribute of vendors' ids, so the incident may set it.
    """

    receipt: Receipt | None
    audit_written: bool
    over_budget: str = Field(
        default="",
        description="The incident that lists this one, since the page budget is used up; nothing was sent.",
        exclude_if=lambda value: not value,
    )
    indexed: bool = Field(default=False, exclude_if=lambda value: not value)


class DigestRequest(_Frozen):
    """An incident to add to a destination's next digest. ``key`` is its idempotency key."""

    key: str
    target: Target
    content: MessageContent
    audit: AuditBatch


class SendDigestRequest(_Frozen):
    """``key`` is the digest's: the same on every attempt."""

    key: str
    destination: str


class SendDigestResult(_Frozen):
    """``incidents`` is how many the digest held; ``receipt`` says where it is, or why none was sent."""

    incidents: int
    receipt: Receipt


class ChangeNotification(_Frozen):
    """A change event for one destination."""

    destination: str
    change: Change


class Discrepancy(_Frozen):
    """Arize and Tocsin disagree about a monitor: triggered without an open incident, or cleared with one."""

    monitor_id: str
    incident: str = Field(default="", description="The open incident that must be cleared; empty when none is open.")


class ScanRequest(_Frozen):
    """What the previous execution found: ``matched`` has the monitors that were triggered, and the incident of each."""

    matched: dict[str, str] = {}
    was_clear: dict[str, str] = Field(default={}, exclude_if=lambda value: not value)
    """By monitor: the run of its last incident, which is closed, if the monitor was clear after that."""


class Scan(_Frozen):
    """The discrepancies found, the triggered monitors that have an incident, and how many could not be compared."""

    found: tuple[Discrepancy, ...] = ()
    matched: dict[str, str] = {}
    was_clear: dict[str, str] = Field(default={}, exclude_if=lambda value: not value)
    failed: int = Field(default=0, exclude_if=lambda value: not value)


class RepairRequest(_Frozen):
    """The discrepancies of a scan. Each is repaired only if it still exists."""

    found: tuple[Discrepancy, ...]
    matched: dict[str, str] = {}
    was_clear: dict[str, str] = Field(default={}, exclude_if=lambda value: not value)


class Repair(_Frozen):
    """How many incidents were opened and cleared, the incident of every triggered monitor, and what failed."""

    opened: int = 0
    cleared: int = 0
    matched: dict[str, str] = {}
    was_clear: dict[str, str] = Field(default={}, exclude_if=lambda value: not value)
    failed: int = Field(
        default=0, description="Monitors that could not be repaired.", exclude_if=lambda value: not value
    )


class EndedReport(_Frozen):
    """How many incidents that ended outside Tocsin were reported, and how many of them were opened again."""

    reported: int = 0
    reopened: int = 0


class Refresh(_Frozen):
    """What a refresh of the descriptions did: monitors that Arize lists, those read again, and those that are gone."""

    monitors: int = 0
    described: int = 0
    removed: int = 0
    complete: bool = Field(default=True, description="Nothing was left for the next refresh.")
