"""What workflows and activities say to each other: the activities' signatures, with no side effect behind them.

Activity types, by name: ``classify`` (Classification → Decision), ``page``, ``post``, ``ticket`` and ``console``
(Delivery → Delivered), ``digest`` (DigestDelivery → Delivered), ``issue_digest`` (DigestSending → DigestOutcome),
``send_digest`` (DigestIssue → Receipt; for digests that 0.1.0 gathered), ``record`` (Entries → None), ``hearers``
(Change → names of destinations), ``tell_change`` (ChangeDelivery → Receipt), ``survey_monitors`` (Survey → Surveyed),
``mend`` (Mending → Mended).
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from alerts import Alert, clean, web_address
from policy import IncidentFacts, Target, Tier

Verb = Literal["notify", "acknowledge", "resolve", "note", "remind", "change"]
"""``change``: show what stands there as the incident is now; a pager, which keeps its own state, is told nothing."""

PERMANENT = "Permanent"
"""Error type: trying again cannot help; the tier's fallback is told at once."""
TEMPORARY = "Temporary"
"""Error type: the vendor is busy or away; tried again, after its own Retry-After where it names one."""

DIGEST_WORKFLOW = "Digest"
DIGEST_ISSUE_WORKFLOW = "DigestIssue"
DIGEST_SIGNAL = "add"
CATCH_UP_WORKFLOW = "CatchUp"


TRIGGERED = "Triggered"
"""The state, as a brief says it, of an incident that waits for an answer."""

LINE_CHARS, TEXT_CHARS = 2_000, 4_000


def _line(text: str) -> str:
    return clean(text, LINE_CHARS)


def _something(text: str) -> str:
    """What a vendor demands may not be empty, though somebody sent nothing that can be shown."""
    return _line(text) or "(no text that can be shown)"


def _text(text: str) -> str:
    lines = [clean(line, TEXT_CHARS) for line in text[: 4 * TEXT_CHARS].splitlines()]
    whole = "\n".join(lines).strip()
    return whole if len(whole) <= TEXT_CHARS else whole[: TEXT_CHARS - 1].rstrip() + "…"


Line = Annotated[str, AfterValidator(_line)]
"""One line without control and direction-changing characters, cut to what a reader can take in.

Whatever an alert, a person or a policy wrote becomes one of these before any destination sees it. A vendor's own
markup is left in it: each destination sends it as text, or escapes it.
"""
Something = Annotated[str, AfterValidator(_something)]
"""A line that is never empty."""
Text = Annotated[str, AfterValidator(_text)]
"""Several such lines."""
Address = Annotated[str, AfterValidator(web_address)]
"""An http(s) address, or nothing: what is no address must not stop the message that it stands in."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fact(_Frozen):
    label: Line
    value: Line


def _that_say_something(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    return tuple(fact for fact in facts if fact.label and fact.value)


class Link(_Frozen):
    text: Something
    url: Address


def _that_lead_somewhere(links: tuple[Link, ...]) -> tuple[Link, ...]:
    return tuple(link for link in links if link.url)


class Finding(_Frozen):
    """One piece of context: what was found, where, and a link to it."""

    source: Something
    text: Something
    url: Address = ""
    image: Address = Field(default="", description="A picture of it, for those who can show one.")


class Brief(_Frozen):
    """What a message says, once for every vendor; each destination renders it within its vendor's limits."""

    headline: Something
    """Tier, model, what is wrong, by how much, where. Its first 60 characters fit a lock screen."""
    state: Something
    tier: Tier
    priority: Line = ""
    incident: Something
    model: Line = ""
    team: Line = ""
    environment: Line = ""
    component: Line = ""
    metric: Line = ""
    since: datetime | None = None
    respond_by: datetime | None = Field(default=None, description="When an answer is due, by the policy.")
    facts: Annotated[tuple[Fact, ...], AfterValidator(_that_say_something)] = ()
    why: Text = ""
    links: Annotated[tuple[Link, ...], AfterValidator(_that_lead_somewhere)] = ()
    findings: tuple[Finding, ...] = ()
    tags: tuple[Line, ...] = ()
    page: Address = Field(default="", description="Where the incident can be looked at; set when it is delivered.")
    closed_by: str = Field(default="", description="The role that alone may close it.")
    drill: bool = Field(default=False, description="A fire drill: marked as one everywhere, and counted nowhere.")


class Receipt(_Frozen):
    """A destination's proof of delivery: its own id for what was sent, and when."""

    destination: str
    type: str
    id: str
    at: datetime
    key: str = ""
    url: str = ""
    place: str = Field(default="", description="Where it stands there: a Slack channel's id, for one.")


class Entry(_Frozen):
    """What happened, for the audit log. ``key`` is its idempotency key within the opening of its incident."""

    key: str
    at: datetime
    what: str
    by: str = "tocsin"
    text: str = ""
    data: dict[str, Any] = {}


class Entries(_Frozen):
    """Entries of one incident, in order. ``opening`` is the first run's id: what tells two incidents apart."""

    incident: str
    opening: str
    entries: tuple[Entry, ...] = ()


class Delivery(_Frozen):
    """One message to one destination. ``key`` is its idempotency key: the same on every attempt."""

    key: str
    thread: str = Field(description="The incident's own key: PagerDuty's dedup_key; the same for all its messages.")
    verb: Verb
    target: Target
    brief: Brief
    note: Text = Field(default="", description="One sentence: why this message, now.")
    first: Receipt | None = Field(default=None, description="The receipt of what this message adds to or changes.")
    record: Entries = Field(description="What is to be recorded by the way, once the message is out.")
    again: bool = Field(default=False, description="It was given up before, and may have got through all the same.")

    @property
    def opening(self) -> str:
        """What answers name the incident by: its id, and which opening of it."""
        return f"{self.record.incident}.{self.record.opening[:8]}"

    @property
    def alarm(self) -> str:
        """The key that a pager is to know it by: the incident's, which it folds repeats into, silently.

        A reminder has one of its own, since it is to be heard.
        """
        return self.key if self.verb == "remind" else self.thread

    def told(self, receipt: Receipt) -> Entry:
        """The record of this delivery."""
        return told(self.key, self.verb, self.target, receipt)


class Delivered(_Frozen):
    """``recorded``: the audit log has what came with the delivery, and the delivery itself."""

    receipt: Receipt
    recorded: bool


class Classification(_Frozen):
    """Alerts that arrived together; the loudest decision counts."""

    alerts: tuple[Alert, ...]
    now: datetime
    incident: IncidentFacts = IncidentFacts()


class DigestEntry(_Frozen):
    """One incident for a digest."""

    key: str
    target: Target
    brief: Brief


class DigestDelivery(_Frozen):
    """An entry on its way into a digest, and what is to be recorded by the way."""

    entry: DigestEntry
    record: Entries

    def told(self, receipt: Receipt) -> Entry:
        """The record of this delivery."""
        return told(self.entry.key, "notify", self.entry.target, receipt)


class Noisy(_Frozen):
    """A monitor that spoke often."""

    monitor: Line
    model: Line = ""
    times: int


class ModelTrend(_Frozen):
    """How a model fared, all tiers: incidents by tier in this period, in the one before, and the wait for an answer."""

    model: Line
    team: Line = ""
    tiers: dict[str, int]
    before: int
    answered_after: float | None = Field(default=None, description="Seconds, the median.")

    @property
    def total(self) -> int:
        return sum(self.tiers.values())


class Trend(_Frozen):
    """The report for those who own a product: every model's incidents, period by period."""

    models: tuple[ModelTrend, ...] = ()
    periods: tuple[str, ...] = Field(default=(), description="The days on which they begin, the last one being now's.")
    tiers: dict[str, tuple[int, ...]] = Field(default={}, description="Incidents by tier, one number a period.")


class DigestIssue(_Frozen):
    """One issue of a digest: everything gathered since the one before, and how that compares."""

    key: str
    destination: str
    briefs: tuple[Brief, ...]
    since: datetime
    until: datetime | None = None
    periods: tuple[str, ...] = ()
    counts: tuple[int, ...] = Field(default=(), description="Entries in each period; the last one is this issue's.")
    noisy: tuple[Noisy, ...] = ()
    trend: Trend | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """A line an incident, for places that show no more."""
        return tuple(
            brief.headline if brief.state == TRIGGERED else f"{brief.headline} · {brief.state}" for brief in self.briefs
        )

    @property
    def counted(self) -> tuple[Brief, ...]:
        """Without fire drills, which stand in it and are never counted."""
        return tuple(brief for brief in self.briefs if not brief.drill)


class DigestDue(_Frozen):
    """A destination's digest is to be sent now. ``fallback`` hears of it where that cannot be done."""

    destination: str
    fallback: tuple[Target, ...] = ()


class DigestSending(_Frozen):
    """``key`` is the issue's: the same on every attempt."""

    key: str
    destination: str


class DigestOutcome(_Frozen):
    """``entries`` is how many incidents the issue held; ``receipt`` says where it is, or why none was sent."""

    entries: int
    receipt: Receipt


class Change(_Frozen):
    """Something that Arize says has changed: a new version of a prompt or an evaluator. Nothing is on fire."""

    key: str
    kind: str
    at: datetime
    text: Something
    source: Something = "Arize"
    url: Address = ""
    facts: tuple[Fact, ...] = ()


class ChangeDelivery(_Frozen):
    """A change on its way to one destination."""

    target: str
    change: Change


class Discrepancy(_Frozen):
    """Arize and Tocsin disagree about a monitor: it burns and nothing is open, or it is well and an incident is."""

    monitor_id: str
    incident: str = Field(default="", description="The open incident that is to be told; empty where none is open.")


class CatchUpDue(_Frozen):
    grace: float = Field(default=45.0, ge=0, description="Seconds: what Arize has just found may be on its way here.")


class Survey(_Frozen):
    """``handled`` is what the survey before said: monitors that were triggered then, and the incident of each."""

    handled: dict[str, str] = {}


class Surveyed(_Frozen):
    found: tuple[Discrepancy, ...] = ()
    handled: dict[str, str] = {}


class Mending(_Frozen):
    """What a survey found, and has to be so still."""

    found: tuple[Discrepancy, ...]
    handled: dict[str, str] = {}


class Mended(_Frozen):
    """How many were opened and cleared, and the incidents of all monitors that are triggered, by monitor."""

    opened: int = 0
    cleared: int = 0
    handled: dict[str, str] = {}


def told(key: str, verb: Verb, target: Target, receipt: Receipt) -> Entry:
    """How a delivery is recorded, wherever that is done."""
    return Entry(
        key=key,
        at=receipt.at,
        what="notified" if verb == "notify" else f"told_{verb}",
        text=f"{target.name} ({target.type}): {receipt.id}",
        data={"destination": target.name, "receipt": receipt.id},
    )
