"""The activities' inputs and results, without their code: what workflows need to call them.

Activity types, by name: ``classify`` (ClassifyRequest → Decision), ``page``, ``post``, ``ticket`` and ``console``
(Notification → NotificationResult), ``add_to_digest`` (DigestRequest → NotificationResult), ``send_digest``
(SendDigestRequest → SendDigestResult), ``write_audit_events`` (AuditBatch → None), ``list_change_subscribers``
(Change → names of destinations), ``send_change_event`` (ChangeNotification → Receipt), ``scan_monitors``
(ScanRequest → Scan), ``repair`` (RepairRequest → Repair).
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from alerts import Alert
from incident.audit_events import AuditBatch
from incident.change import Change
from incident.message import MessageContent
from incident.receipt import Receipt
from policy import IncidentFacts, Target


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassifyRequest(_Frozen):
    """Alerts that arrived together; the loudest decision counts."""

    alerts: tuple[Alert, ...]
    now: datetime
    incident: IncidentFacts = IncidentFacts()


class NotificationResult(_Frozen):
    """``audit_written``: the audit log holds the events that came with the notification, and its own."""

    receipt: Receipt
    audit_written: bool


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
    """``matched`` is the previous scan's: monitors that were triggered, and the incident of each."""

    matched: dict[str, str] = {}


class Scan(_Frozen):
    """The discrepancies found, and the triggered monitors that have an incident."""

    found: tuple[Discrepancy, ...] = ()
    matched: dict[str, str] = {}


class RepairRequest(_Frozen):
    """The discrepancies of a scan. Each is repaired only if it still exists."""

    found: tuple[Discrepancy, ...]
    matched: dict[str, str] = {}


class Repair(_Frozen):
    """How many incidents were opened and cleared, and the incident of every triggered monitor."""

    opened: int = 0
    cleared: int = 0
    matched: dict[str, str] = {}
