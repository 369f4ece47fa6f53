"""The state of an incident: one serialisable object, carried whole when the workflow continues as new."""

from datetime import datetime, timedelta
from itertools import count
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts import Alert
from alerts.bounded import cut_text, json_size
from incident.audit_events import AuditEvent
from incident.dedup_key import earlier_dedup_key, incident_dedup_key, is_run
from incident.events import ResponderAction
from incident.limits import UNWRITTEN_BYTES
from incident.notification import budget_key
from incident.order import EventTimes
from incident.peers import PeerMessage
from incident.problem import Problem
from incident.receipt import Receipt, Verb
from incident.suppression import ListedIncident, Suppression
from incident.text import counted
from policy import Decision, Target, Tier
from policy.decision import TIERS, Budget, loudest_tier

TIMELINE_LENGTH = 200
"""Only the latest entries are kept for reading; the audit log keeps all."""
_FEW_EVENTS = 8
"""So few unwritten events fit in any case: none has more than an alert and its text."""
_REPEATED_EVENTS = frozenset(
    {"alert_added", "annotated", "classification_failed", "notification_failed", "no_data", "processed_late", "refired"}
)
"""Events of which any number may occur, so that they are counted while the audit log is unavailable for long."""

State = Literal["received", "holding", "suppressed", "notified", "acknowledged", "awaiting_human", "resolved", "closed"]
Queue = Literal["page", "message", "retry", "update", "digest"]
"""First attempts of pages, and of other messages; reminders and later attempts; updates; and entries of digests, which
wait for the database."""
DeadlineKind = Literal["hold", "step", "ack_timeout", "remind", "retry", "silence", "silence_ends", "stable"]


class PendingNotification(BaseModel):
    """A notification to send. It stays pending until its receipt arrives or it no longer matters."""

    model_config = ConfigDict(frozen=True)

    key: str
    dedup_key: str
    verb: Verb
    target: Target
    note: str = ""
    digest: bool = False
    original_receipt: Receipt | None = None
    """The receipt of the message that this one updates."""
    fallback_for: str = ""
    """The destination that could not be reached, when this notification replaces it."""
    retry_after_giveup: bool = False
    """All earlier attempts were given up; one may have reached the vendor all the same."""
    budget: Budget | None = Field(default=None, exclude_if=lambda value: value is None)
    """The page budget that it counts for: that of the first page of a fire."""
    fire: int = Field(default=0, exclude_if=lambda value: not value)
    """Which of the incident's fires it is about."""
    since: datetime | None = None
    """Since when it is being sent: a run that continues as new starts the attempts again, and not their time."""

    @property
    def budget_key(self) -> str:
        """Identifies the fire: all first pages of one fire count once for a page budget."""
        return budget_key(self.key, self.target)

    @property
    def queue(self) -> Queue:
        """What it waits for: nothing in one queue waits for what is in another."""
        if self.digest:
            return "digest"
        if self.verb not in {"notify", "remind"}:
            return "update"
        if self.verb == "remind" or self.retry_after_giveup:
            return "retry"
        return "page" if self.target.kind == "page" else "message"


class Deadline(BaseModel):
    """Something to do at a time, unless what it waits for happens first."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    kind: DeadlineKind
    step: int = 0
    notification: PendingNotification | None = None
    decision: Decision | None = Field(default=None, exclude_if=lambda value: value is None)
    """Of a hold: what it is for. In runs of earlier versions only if a louder decision is being held since."""
    problem: str = Field(default="", exclude_if=lambda value: not value)
    """Of a hold: the problem that must still be triggered then."""
    suppression: Suppression | None = Field(default=None, exclude_if=lambda value: value is None)
    """Of a hold: what it is, if it is not the rule's."""
    refired: str = Field(default="", exclude_if=lambda value: not value)
    """Of a hold: why it is another fire, if it is one; such as ``after it had cleared``."""


class TimelineEntry(BaseModel):
    """One line of an incident's timeline."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: datetime
    event: str
    by: str
    text: str


class IncidentState(BaseModel):
    """Mutable. Changed only by ``IncidentStateMachine`` and its parts."""

    incident: str
    first_run_id: str
    reopened_run_ids: list[str] = Field(default_factory=list[str], exclude_if=lambda value: not value)
    """The first runs of the executions that reopened it after it had closed."""
    problems: dict[str, Problem] = Field(default_factory=dict[str, Problem], exclude_if=lambda value: not value)
    """By ``GroupedAlert.problem``. In runs that earlier versions began there are none."""
    decisions: dict[str, Decision] = Field(default_factory=dict[str, Decision], exclude_if=lambda value: not value)
    """The policy's decisions about the problems, each once, without their reasons and traces."""
    lead: str = Field(default="", exclude_if=lambda value: not value)
    """The problem that the escalation is for, and that messages are about."""
    unchecked: dict[str, Deadline] = Field(default_factory=dict[str, Deadline], exclude_if=lambda value: not value)
    """Problems whose suppression may be over, and what they are held for: a worker checks it."""
    must_check: bool = Field(default=False, exclude_if=lambda value: not value)
    """The suppression of every open problem is to be checked."""
    listed_beyond: int = Field(default=0, exclude_if=lambda value: not value)
    """How many more notify nobody because of this incident than it keeps in ``listed``."""
    listed: dict[str, ListedIncident] = Field(
        default_factory=dict[str, ListedIncident], exclude_if=lambda value: not value
    )
    """The other incidents that notify nobody because of this one."""
    registered_inhibitors: list[str] = Field(default_factory=list[str], exclude_if=lambda value: not value)
    """The problems that are known to all workers and gateways as inhibitors."""
    outgoing: list[PeerMessage] = Field(default_factory=list[PeerMessage], exclude_if=lambda value: not value)
    """What is to be said to other incidents."""
    notified_at: datetime | None = Field(default=None, exclude_if=lambda value: value is None)
    """When somebody was last paged, or notified by a post."""
    tracks_problems: bool = Field(default=False, exclude_if=lambda value: not value)
    """Whether it follows each of its problems. Runs that earlier versions began have one, and follow the incident."""
    opened_at: datetime
    state: State = "received"
    tier: Tier | None = None
    decision: Decision | None = None
    held_decision: Decision | None = None
    """A decision that takes effect when its hold expires."""
    alert: Alert | None = None
    """The alert that the decision is about; ``latest_alert`` is the last one that arrived."""
    latest_alert: Alert | None = None
    undescribed: list[Alert] = Field(default_factory=list[Alert])
    """The alerts that were decided without Arize's description, the latest of each monitor, as they were read."""
    alert_count: int = 0
    cleared: bool = False
    acknowledged_by: str = ""
    acknowledged_source: str = ""
    acknowledged_at: datetime | None = None
    resolved_by: str = ""
    closed_at: datetime | None = None
    times: EventTimes = Field(default_factory=EventTimes)
    cycle: int = 0
    """How often the escalation started: with each fire, and when a silence, an acknowledgement or its timeout ended."""
    refire_count: int = 0
    """How often it fired again."""
    fires: int = 0
    """How many fires it has had: the first decision, each rise of the tier, and each time that it fires again."""
    known_fires: int = 0
    """The last of the fires that somebody knows of: who received a message, other than a ticket, or answered."""
    level: int = 0
    """The escalation step last taken, from 1; 0 before the first."""
    reminders: int = 0
    deadlines: list[Deadline] = Field(default_factory=list[Deadline])
    pending: list[PendingNotification] = Field(default_factory=list[PendingNotification])
    receipts: list[Receipt] = Field(default_factory=list[Receipt])
    settled: list[str] = Field(default_factory=list[str], exclude_if=lambda value: not value)
    """The keys of receipts of messages that were resolved before it was opened again: nothing changes them any more."""
    notified_targets: dict[str, Target] = Field(default_factory=dict[str, Target])
    """Destinations, by name, that hold a message which can be updated."""
    timeline: list[TimelineEntry] = Field(default_factory=list[TimelineEntry])
    unwritten_events: list[AuditEvent] = Field(default_factory=list[AuditEvent])
    """Audit events that are not known to be in the audit log yet."""
    omitted_events: dict[str, int] = Field(default_factory=dict[str, int])
    """How many events of each kind found no room among the unwritten ones."""
    bounded: bool = False
    """The state keeps the limits of ``incident.limits``; those of runs that 1.0 began do not."""
    random_key: bool = False
    """The key has the end of the run's id. Those of incidents that 1.0 opened have its beginning."""
    keyed: list[str] = Field(default_factory=list[str])
    """The pagers, by name, to which a page with the incident's own key was sent, or may have been."""
    vendor_ids: list[str] = Field(default_factory=list[str])
    """The vendors' own ids that lead to this incident: ``pagerduty:PGR0VU2``, ``pagerduty-merged:PT4KHLK``."""
    indexed: bool = False
    """The namespace has the search attribute of ``vendor_ids``: a worker said so."""
    early_actions: list[ResponderAction] = Field(default_factory=list[ResponderAction])
    """Actions in tickets whose receipts have not arrived yet."""
    event_number: int = 0
    processed_event_ids: list[str] = Field(default_factory=list[str])

    @property
    def dedup_key(self) -> str:
        """The incident's key at every vendor."""
        key = incident_dedup_key if self.random_key else earlier_dedup_key
        return key(self.incident, self.first_run_id)

    def is_run(self, part: str) -> bool:
        """Whether a key, a link or a person names this incident's run, or one that reopened it."""
        return any(is_run(one, part) for one in (self.first_run_id, *self.reopened_run_ids))

    @property
    def is_silenced(self) -> bool:
        """A person silenced it for a time, which is not over."""
        return any(one.kind == "silence" for one in self.deadlines)

    @property
    def is_held(self) -> bool:
        """Whether nobody is notified yet: all that is triggered is held, or suppressed."""
        return self.state in {"holding", "suppressed"}

    @property
    def is_over(self) -> bool:
        return self.state in {"resolved", "closed"}

    @property
    def open_problems(self) -> dict[str, Problem]:
        """Those that are not over, the loudest first, and of equals the first."""
        found = {key: one for key, one in self.problems.items() if one.is_open}
        return dict(sorted(found.items(), key=lambda item: -TIERS.index(self.tier_of(item[0]))))

    def tier_of(self, problem: str) -> Tier:
        """The loudest tier of a problem, also if it is only held."""
        tier = self.problems[problem].tier
        return loudest_tier([*([tier] if tier else []), *(one.tier for one in self.held_decisions(problem))])

    def held_decisions(self, problem: str) -> list[Decision]:
        """The decisions about a problem whose holds have not ended."""
        return [
            one.decision for one in self.deadlines if one.kind == "hold" and one.problem == problem and one.decision
        ]

    def decision_of(self, problem: Problem) -> Decision | None:
        """The policy's decision about a problem, with its reason and without its trace."""
        found = self.decisions.get(problem.decision)
        return found and found.model_copy(update={"reason": problem.reason})

    def keep_decision(self, decision: Decision) -> str:
        """Keep a decision of the policy, and return its key: that of an equal one, if there is one."""
        kept = decision.model_copy(update={"reason": "", "trace": (), "maintenance": ()})
        keys = (decision.rule if number == 1 else f"{decision.rule}#{number}" for number in count(1))
        key = next(key for key in keys if self.decisions.get(key, kept) == kept)
        if key not in self.decisions:
            used = {one.decision for one in self.problems.values()}
            self.decisions = {**{name: one for name, one in self.decisions.items() if name in used}, key: kept}
        return key

    def settle_messages(self) -> None:
        """The messages that were sent so far stay resolved, whatever happens next. Its tickets go on."""
        kinds = {name: target.kind for name, target in self.notified_targets.items()}
        self.settled = [one.key for one in self.receipts if kinds.get(one.destination) != "ticket"]

    @property
    def holders(self) -> set[str]:
        """The destinations that hold a message of what is going on, or are about to."""
        settled = set(self.settled)
        sent = {receipt.destination for receipt in self.receipts if receipt.key not in settled}
        return sent | {one.target.name for one in self.pending}

    def reminding(self) -> Decision | None:
        """The decision that says who is reminded, and how often: the loudest of an open problem that has reminders."""
        decisions = [self.decision, *(self.decision_of(one) for one in self.open_problems.values())]
        return next((one for one in decisions if one and one.remind), self.decision)

    def record(self, now: datetime, event: str, text: str, by: str = "tocsin", **data: object) -> None:
        """Add an event to the timeline and to the audit log, which keeps of an alert what decisions depend on."""
        self.event_number += 1
        key, by = str(self.event_number), by or "unknown"
        kept = {name: _compact(value) if isinstance(value, Alert) else value for name, value in data.items()}
        self.append_event(AuditEvent(key=key, at=now, event=event, by=by, text=text[:2000], data=kept))

    def append_event(self, event: AuditEvent, *, written: bool = False) -> None:
        """Add an existing event; ``written`` when the audit log holds it already."""
        entry = TimelineEntry(at=event.at, event=event.event, by=event.by, text=event.text[:500])
        self.timeline = [*self.timeline, entry][-TIMELINE_LENGTH:]
        if not written:
            self._add_unwritten(event)

    def _add_unwritten(self, event: AuditEvent) -> None:
        """While the audit log is unavailable for long, events lose their alert; at last only their number is kept."""
        if self.bounded and len(self.unwritten_events) >= _FEW_EVENTS:
            size = sum(json_size(one) for one in self.unwritten_events)
            if size + json_size(event) > UNWRITTEN_BYTES // 2:
                data = {name: value for name, value in event.data.items() if name != "alert"}
                event = event.model_copy(update={"text": cut_text(event.text, 500), "data": data})
                is_repeated = event.event in _REPEATED_EVENTS or event.event.startswith("update_sent_")
                room = UNWRITTEN_BYTES * 3 // 4 if is_repeated else UNWRITTEN_BYTES
                if size + json_size(event) > room:
                    self.omitted_events = {
                        **self.omitted_events,
                        event.event: self.omitted_events.get(event.event, 0) + 1,
                    }
                    return
        self.unwritten_events.append(event)

    def record_omitted(self, now: datetime) -> None:
        """Record how many events were omitted, as soon as the audit log has all the others."""
        if self.omitted_events and not self.unwritten_events:
            counts = ", ".join(f"{number:,} {event}" for event, number in self.omitted_events.items())
            total = counted(sum(self.omitted_events.values()), "event")
            self.omitted_events = {}
            self.record(now, "events_omitted", f"{total} while the audit log was unavailable: {counts}")

    def schedule(self, now: datetime, seconds: float, kind: DeadlineKind, step: int = 0) -> None:
        """Set a deadline that many seconds from now."""
        self.deadlines.append(Deadline(at=now + timedelta(seconds=seconds), kind=kind, step=step))

    def forget_acknowledgement(self) -> None:
        """Nobody works on it any more."""
        self.acknowledged_by = self.acknowledged_source = ""
        self.acknowledged_at = None

    def forget_merges(self) -> None:
        """The pages of the earlier escalation were merged into another incident of the vendor, and no later ones."""
        if self.bounded:
            self.vendor_ids = [one for one in self.vendor_ids if "-merged:" not in one]

    def keep_only_ticket_retries(self) -> None:
        """Drop every deadline but the retries of tickets: a person's answer does not make a ticket unnecessary.

        What a problem itself waits for stays, too: until it flaps no more.
        """
        self.deadlines = [
            one
            for one in self.deadlines
            if one.kind == "stable" or (one.notification and one.notification.target.kind == "ticket")
        ]


def _compact(alert: Alert) -> dict[str, object]:
    return alert.model_dump(mode="json", exclude={"raw"}, exclude_defaults=True)
