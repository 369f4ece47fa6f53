"""A notification: one message to one destination."""

from pydantic import BaseModel, ConfigDict, Field

from incident.audit_events import AuditBatch, AuditEvent, notification_event
from incident.dedup_key import incident_dedup_key, parse_dedup_key
from incident.message import MessageContent
from incident.receipt import Receipt, Verb
from incident.text import Text
from policy import Target
from policy.decision import Budget


class Notification(BaseModel):
    """One message to one destination. ``key`` is its idempotency key: the same on every attempt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    dedup_key: str = Field(description="The key that vendors group by, such as PagerDuty's dedup_key.")
    verb: Verb
    target: Target
    content: MessageContent
    note: Text = Field(default="", description="One sentence: the reason for this message.")
    original_receipt: Receipt | None = Field(default=None, description="The receipt of the message that this updates.")
    audit: AuditBatch = Field(description="Audit events to write after the message is sent.")
    budget: Budget | None = Field(default=None, exclude_if=lambda value: value is None)
    """The page budget that it counts for."""
    retry_after_giveup: bool = Field(
        default=False, description="All earlier attempts were given up; one may have reached the vendor."
    )

    @property
    def incident_key(self) -> str:
        """The incident's own key, by which callbacks name it: its id and its first run."""
        own = self.key.partition(":")[0]  # the keys of an incident's notifications begin with it
        return own if parse_dedup_key(own) else incident_dedup_key(self.audit.incident, self.audit.first_run_id)

    @property
    def pager_dedup_key(self) -> str:
        """The key for a pager, which folds a repeated key silently; a reminder has a key of its own."""
        return self.key if self.verb == "remind" else self.dedup_key

    @property
    def status(self) -> tuple[str, str]:
        """The state and the text after it: ``Acknowledged`` and `` by alice``, or ``Triggered`` and a note."""
        state = self.content.state
        if self.note.startswith(f"{state} "):
            return state, self.note.removeprefix(state)
        return state, f" · {self.note}" if self.note else ""

    def sent_event(self, receipt: Receipt) -> AuditEvent:
        """The audit event of this notification."""
        return notification_event(self.key, self.verb, self.target, receipt)


def budget_key(key: str, target: Target) -> str:
    """The fire of a first page, by the page's key: ``<dedup key>:<cycle>-step-1-<destination>``."""
    return key.removesuffix(f"-step-1-{target.name}")
