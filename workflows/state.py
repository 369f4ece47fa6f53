"""Everything an incident remembers: one serialisable object, carried whole when it continues as new."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from activities.contracts import Entry, Receipt, Verb
from alerts import Alert
from policy import Decision, Target, Tier
from workflows.messages import Answer, Arrival, Arrivals, State, TimelineEntry

TIMELINE = 200
"""So many of the latest entries are kept for people to read; the audit log keeps all."""

Business = Literal["hold", "step", "unanswered", "remind", "again", "silence"]


class Owed(BaseModel):
    """A message that is to be delivered. It stays here until its receipt, or until it no longer matters."""

    model_config = ConfigDict(frozen=True)

    key: str
    thread: str
    verb: Verb
    target: Target
    note: str = ""
    digest: bool = False
    first: Receipt | None = None
    """What this message adds to or changes."""
    in_place_of: str = ""
    """The destination that could not be reached, where this one is told instead."""
    again: bool = False
    """It was given up before, and may have got through all the same."""


class Appointment(BaseModel):
    """Something to be done at a time, unless what it waits for comes first."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    business: Business
    step: int = 0
    owed: Owed | None = None


class IncidentState(BaseModel):
    """Mutable, and changed by ``Life`` and its ``Outbox`` only."""

    incident: str
    opening: str
    opened_at: datetime
    state: State = "received"
    tier: Tier | None = None
    decision: Decision | None = None
    held: Decision | None = None
    """Decided, but not acted on before its hold is over."""
    alert: Alert | None = None
    """The alert that the decision is about; ``latest`` is the last one that came."""
    latest: Alert | None = None
    alerts: int = 0
    cleared: bool = False
    acknowledged_by: str = ""
    acknowledged_via: str = ""
    acknowledged_at: datetime | None = None
    resolved_by: str = ""
    closed_at: datetime | None = None
    round: int = 0
    """How often the steps began: once, and once more for each rise of the tier."""
    escalation: int = 0
    reminders: int = 0
    agenda: list[Appointment] = []
    owed: list[Owed] = []
    receipts: list[Receipt] = []
    told: dict[str, Target] = {}
    """By name: who got a message that can be changed or added to."""
    timeline: list[TimelineEntry] = []
    unrecorded: list[Entry] = []
    chronicle: bool = False
    """Threads and tickets are told how it goes on; not so in a run that began before that was built."""
    frugal: bool = False
    """Spends few events: see ``Opening``."""
    numbered: int = 0
    seen: list[str] = []

    @property
    def thread(self) -> str:
        """The incident's key at every vendor: its id, and which opening of it."""
        return f"{self.incident}.{self.opening[:8]}"

    @property
    def over(self) -> bool:
        return self.state in {"resolved", "closed"}

    def note(self, now: datetime, what: str, text: str, by: str = "tocsin", **data: object) -> None:
        """Into the timeline that people read, and to the audit log."""
        self.numbered += 1
        key, by = str(self.numbered), by or "unknown"
        self.write(Entry(key=key, at=now, what=what, by=by, text=text[:2000], data=dict(data)), recorded=False)

    def write(self, entry: Entry, *, recorded: bool) -> None:
        """The same for an entry that exists; ``recorded`` where the audit log has it already."""
        shown = TimelineEntry(at=entry.at, what=entry.what, by=entry.by, text=entry.text[:500])
        self.timeline = [*self.timeline, shown][-TIMELINE:]
        if not recorded:
            self.unrecorded.append(entry)

    def appoint(self, now: datetime, seconds: float, business: Business, step: int = 0) -> None:
        """Do something that many seconds from now, unless what it waits for comes first."""
        self.agenda.append(Appointment(at=now + timedelta(seconds=seconds), business=business, step=step))


class Opening(BaseModel):
    """The workflow's input: the first alerts, or the state that the run before handed on."""

    model_config = ConfigDict(frozen=True)

    arrivals: Arrivals | None = None
    state: IncidentState | None = None
    inbox: tuple[Arrival | Answer, ...] = ()
    """What the run before had not come to."""
    chronicle: bool = False
    """Said by whoever begins a run today; what 0.1.0 began goes on as it began. Costs no event, as a patch does two."""
    decision: Decision | None = None
    """What the gateway, by the policy in force there, decided about these alerts. Left out, a worker decides."""
    frugal: bool = False
    """The same for what 0.2.0 began: from 0.3.0 on a run hears alerts and answers in the order in which they came,
    records an answer without an activity, lets a timer ring early rather than cancel it, and finds its search
    attributes set by the gateway."""
