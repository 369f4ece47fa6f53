"""What must follow from a stream, in a few rules that know no code of Tocsin.

1. A trigger that is newer than the last clear of its problem leads to a page, or a post of a high one.
2. What happened before the newest known event of its problem changes nothing. Without a plausible time, arrival counts.
3. A clear ends what it is newer than. A person ends a regulated problem; its clear waits for that person.
4. An acknowledgement stops the later steps of its own escalation, and of no other.
5. A problem that fires again after its clear, or more than 30 minutes after its last alert, answered or not, pages
   again. Any other repeat pages nobody.

Where these rules leave room (a clear at the same instant as its trigger), the problem is not judged any further.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.invariant.stream import Act, Monitor

SECOND_STEP = timedelta(minutes=15)
REFIRES_AFTER = timedelta(minutes=30)
CLOCK_CHANGE = timedelta(hours=1)
STEP = timedelta(seconds=20)
"""How much time a step of a stream takes."""
TOLERANCE = timedelta(seconds=15)
"""Within which two things are simultaneous: the model does not say which came first."""


@dataclass(frozen=True)
class Event:
    """A delivery, as the world sent it."""

    status: str
    arrived: datetime
    stated: datetime | None
    """None without a plausible time."""
    event_id: str
    value: float


@dataclass
class Problem:
    """One monitor's problem: what is known of it, and how often each destination must have been notified."""

    monitor: Monitor
    tolerance: timedelta = TOLERANCE
    is_open: bool = False
    acknowledged: bool = False
    cleared: bool = False
    waits_for_person: bool = False
    level: int = 0
    newest: datetime | None = None
    newest_status: str = ""
    last_clear: datetime | None = None
    must: Counter[str] = field(default_factory=Counter)
    may: Counter[str] = field(default_factory=Counter)
    due: list[tuple[datetime, datetime, str]] = field(default_factory=list)
    """Later steps: the earliest and the latest moment at which each is taken, and its destination."""
    unclear: str = ""
    """Why the problem is not judged any further."""
    _last_alerts: list[tuple[datetime, datetime]] = field(default_factory=list)
    """When alerts since the escalation began were stated, and arrived."""
    _seen: set[tuple[object, ...]] = field(default_factory=set)
    _batch: list[Event | Act] = field(default_factory=list)
    _escalated: Counter[str] = field(default_factory=Counter)

    @property
    def destinations(self) -> tuple[str, ...]:
        return ("primary", "secondary") if self.monitor.critical else ("ops",)

    # ── What happens ────────────────────────────────────────────────────────────────────────────────────

    def add(self, event: Event | Act) -> None:
        """Something happens; ``settle`` applies it."""
        self._batch.append(event)

    def settle(self, now: datetime) -> None:
        """Everything that was added has been processed. Several things at once need not page one by one."""
        batch, self._batch = self._batch, []
        self._run_due(now, at_once=len(batch) > 0)
        self._escalated.clear()
        was_open, fired_again = self.is_open, False
        for one in batch:
            before = self._escalated.total()
            if fired_again and isinstance(one, Act):
                self.unclear = "who acted had not been notified that it fires again"
            if isinstance(one, Event):
                self._apply(one, now)
            else:
                self._act(one, now)
            fired_again |= was_open and self._escalated.total() > before
            was_open |= self.is_open
            if len(batch) == 1 and self._escalated.total() > before:
                self.must += self._escalated
        self.may += self._escalated
        if len(batch) > 1 and self.is_open and not self.acknowledged and self._escalated:
            self.must[self.destinations[0]] += 1

    def _run_due(self, now: datetime, *, at_once: bool) -> None:
        """Steps whose time has come. One that is due in the same step of a stream as something else is not judged."""
        for step in list(self.due):
            earliest, latest, destination = step
            if at_once and earliest <= now + self.tolerance:
                self.unclear = "a step is due at the moment of something else"
            elif now >= latest + self.tolerance:
                self.due.remove(step)
                self.must[destination] += 1
                self.may[destination] += 1
                self.level = 2

    # ── Deliveries ──────────────────────────────────────────────────────────────────────────────────────

    def _apply(self, event: Event, now: datetime) -> None:
        if self._is_repeat(event):
            if self._shares_id(event):
                self.unclear = "a redelivery, or a new event under an id that a trigger and a clear have"
            if event.status == "CLEARED" and event.stated == self.newest:
                self.unclear = "a clear comes again, and has its trigger's time"
            return
        at = event.stated or event.arrived
        if event.stated and self.newest and event.stated < self.newest:
            if event.status == "TRIGGERED":
                if self.monitor.clock == "local" and self.newest - event.stated <= CLOCK_CHANGE:
                    self.unclear = "clocks may have been set back"
                if event.stated in {stated for stated, _ in self._last_alerts}:
                    self.unclear = "a trigger states the time of an earlier one, as a constant would"
                self._note_alert(event)
                if not self.is_open and not (self.last_clear and event.stated <= self.last_clear):
                    self.unclear = "a person closed it, and an older trigger came"
            return
        if event.stated and event.stated == self.newest and event.status == "CLEARED" != self.newest_status:
            self.unclear = "a clear has its trigger's time"
            return
        self.newest, self.newest_status = at, event.status
        if event.status == "CLEARED":
            self._clear(at)
        else:
            self._trigger(event, now)

    def _is_repeat(self, event: Event) -> bool:
        """A redelivery: the same id and evaluation, or without an id the same evaluation."""
        if event.event_id:
            key: tuple[object, ...] = (event.status, event.event_id, event.stated, event.value)
            self._seen.add((event.status, event.event_id))
        elif event.stated:
            key = (event.status, event.stated, event.value)
        else:
            return False
        known = key in self._seen
        self._seen.add(key)
        return known

    def _shares_id(self, event: Event) -> bool:
        """Whether its id identifies nothing: a trigger and a clear of the problem have it."""
        return bool(event.event_id) and {(one, event.event_id) for one in ("TRIGGERED", "CLEARED")} <= self._seen

    def _note_alert(self, event: Event) -> None:
        if event.status == "TRIGGERED":
            self._last_alerts.append((event.stated or event.arrived, event.arrived))

    def _trigger(self, event: Event, now: datetime) -> None:
        if not self.is_open:
            self.is_open, self.cleared, self.waits_for_person = True, False, False
            if self.monitor.regulated:
                self._escalated["compliance"] += 1
            self._escalate(event.arrived, now)
        elif self.cleared:
            self.cleared = self.waits_for_person = False
            self._escalate(event.arrived, now)
        else:
            gaps = [now - arrived for _, arrived in self._last_alerts]
            gaps += [(event.stated or event.arrived) - stated for stated, _ in self._last_alerts]
            if min(gaps) > REFIRES_AFTER:
                self.waits_for_person = False
                self._escalate(event.arrived, now)
            elif (
                max(min(now - arrived for _, arrived in self._last_alerts), timedelta())
                > REFIRES_AFTER - self.tolerance
            ):
                self.unclear = "about 30 minutes after the last alert"
            elif event.stated and event.stated - max(stated for stated, _ in self._last_alerts) > REFIRES_AFTER:
                self.unclear = "long after the last one by its own time, and soon after it by its arrival"
        self._note_alert(event)

    def _escalate(self, began: datetime, now: datetime) -> None:
        """An escalation began between two moments."""
        self.acknowledged, self.level = False, 1
        self._escalated[self.destinations[0]] += 1
        self.due = [(began + SECOND_STEP, now + SECOND_STEP, one) for one in self.destinations[1:]]
        self._last_alerts = []

    def _clear(self, at: datetime) -> None:
        self.last_clear = at
        if not self.is_open:
            return
        if self.monitor.regulated:
            self.cleared = self.waits_for_person = True
        else:
            self._close()

    def _close(self) -> None:
        self.is_open = self.acknowledged = self.cleared = self.waits_for_person = False
        self.due = []

    # ── Responders ──────────────────────────────────────────────────────────────────────────────────────

    def _act(self, act: Act, now: datetime) -> None:
        if not self.is_open:
            return
        match act.action:
            case "acknowledge" | "take over":
                self.acknowledged, self.due = True, []
            case "unacknowledge":
                self._withdraw(now)
            case "resolve without role" if self.monitor.regulated:
                self.acknowledged = self.waits_for_person = True
                self.due = []
            case _:
                self._close()

    def _withdraw(self, now: datetime) -> None:
        if not self.acknowledged or self.cleared:
            self.acknowledged = False
            return
        self.acknowledged = self.waits_for_person = False
        remaining = self.destinations[self.level :]
        if remaining:
            self.due = [(now + SECOND_STEP - STEP, now + SECOND_STEP, one) for one in remaining]
        else:
            last, self._last_alerts = self._last_alerts, []
            self._escalate(now - STEP, now)
            self._last_alerts = last

    # ── What must be true ───────────────────────────────────────────────────────────────────────────────

    def faults(self, notified: Counter[str], is_open: bool, now: datetime) -> list[str]:
        """Where what happened differs from what must follow."""
        if self.unclear:
            return []
        found: list[str] = []
        just_due = Counter(destination for earliest, _, destination in self.due if earliest <= now + self.tolerance)
        for destination in (*self.destinations, *(("compliance",) if self.monitor.regulated else ())):
            count, least = notified[destination], self.must[destination]
            most = max(self.may[destination], least) + just_due[destination]
            if count < least:
                found.append(f"lost: {destination} was notified {count} times, and must have been {least} times")
            if count > most:
                found.append(f"too many: {destination} was notified {count} times, and may have been {most} times")
        if is_open != self.is_open:
            found.append(f"its incident is {'open' if is_open else 'closed'}, and must not be")
        return found
