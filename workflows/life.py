"""The rules of an incident's life, without Temporal: what each event changes, and what is owed to whom.

``received → (holding) → notified → acknowledged → resolved → closed``, with ``awaiting_human`` where only a
person may close. The workflow around it brings the events and pays what is owed.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from alerts import Alert
from policy import Decision, IncidentFacts, Step, format_duration
from workflows.answers import Answers
from workflows.brief import amount
from workflows.messages import Answer, Arrival
from workflows.outbox import Outbox
from workflows.state import Appointment, IncidentState

_SEEN = 1000
_TOLD_REPEATS = (2, 5)
"""Repeats are told in threads at the 2nd and 5th alert, the 20th and 50th, and so on: a storm is told in few lines."""


class Life:
    """Changes an IncidentState. Every method takes the time; none reads a clock or does anything outside."""

    def __init__(self, state: IncidentState, outbox: Outbox) -> None:
        self.state = state
        self._outbox = outbox
        self.answers = Answers(state, outbox, self._begin)

    # ── Alerts ──────────────────────────────────────────────────────────────────────────────────────────

    def fresh(self, arrival: Arrival) -> Arrival | None:
        """The part of an arrival that is not a redelivery of what this incident has taken already."""
        seen = set(self.state.seen)
        ids = tuple(dict.fromkeys(event_id for event_id in arrival.event_ids if event_id))
        new = tuple(event_id for event_id in ids if event_id not in seen)
        self.state.seen = (self.state.seen + list(new))[-_SEEN:]
        known = len(ids) - len(new)
        if ids and not new and arrival.count <= known:
            return None
        return arrival.model_copy(update={"count": max(arrival.count - known, 1), "event_ids": new})

    def facts(self, burning: Sequence[Arrival], now: datetime) -> IncidentFacts:
        """What a condition may ask of this incident, the alerts that burn now included."""
        state = self.state
        return IncidentFacts(
            alerts=state.alerts + sum(arrival.count for arrival in burning),
            age=(now - state.opened_at).total_seconds() if state.decision else 0.0,
            tier=state.tier or "",
        )

    def arrived(self, arrivals: Iterable[Arrival], decision: Decision, now: datetime) -> None:
        """Alerts that still burn, and the loudest decision about them."""
        state = self.state
        arrivals = list(arrivals)
        if state.over:
            # Triggered again while its last messages were on their way: a new fire, not an echo.
            self.state.note(now, "reopened", "triggered again before it was closed")
            state.state, state.decision, state.tier, state.alert = "received", None, None, None
            state.resolved_by, state.cleared = "", False
        first = state.alert is None
        latest = arrivals[-1].alert
        count = sum(arrival.count for arrival in arrivals)
        state.alerts += count
        state.latest = latest
        if first:
            state.alert = latest
            ids = [event_id for arrival in arrivals for event_id in arrival.event_ids][:50]
            self.state.note(now, "received", latest.monitor, event_ids=ids, alert=_compact(latest))
        else:
            value = "" if latest.value is None else f", now {amount(latest.metric, latest.value)}"
            self.state.note(
                now, "joined", f"{count} more alert{'s' if count > 1 else ''}{value}", alert=_compact(latest)
            )
            if state.chronicle and _told_repeats(state.alerts) > _told_repeats(state.alerts - count):
                text = f"Triggered again: {state.alerts} alerts so far{value}."
                self._outbox.tell("note", text, kinds=frozenset({"post"}))
        if state.cleared:
            state.cleared = False
            if state.state == "awaiting_human":
                state.state = "acknowledged" if state.acknowledged_at else "notified"
            self.state.note(now, "burning_again", "triggered again after it had cleared")
        if state.decision is None:
            self._adopt(decision)
            self._classified(now, decision)
            if decision.hold:
                self._hold(decision, now)
            else:
                self._begin(now)
        elif state.tier is None or decision.louder_than(state.tier):
            self._rise(decision, now)
        elif state.state == "holding" and not decision.hold and state.tier == decision.tier:
            self.state.note(now, "hold_ended", f"rule {decision.rule} does not wait")
            self._adopt(decision)
            self._begin(now)

    def _classified(self, now: datetime, decision: Decision) -> None:
        text = f"{decision.tier} by rule {decision.rule}: {decision.why}"
        self.state.note(now, "classified", text, rule=decision.rule, tier=decision.tier, policy=decision.policy)

    def _adopt(self, decision: Decision) -> None:
        state = self.state
        if state.decision and state.decision.regulated and not decision.regulated:
            # Once regulated, always: a later alert without the model's name frees nobody of the duty.
            kept = state.decision
            decision = decision.model_copy(
                update={
                    "regulated": True,
                    "closed_by": kept.closed_by,
                    "tickets": (*decision.tickets, *kept.tickets),
                }
            )
        state.decision, state.tier, state.held = decision, decision.tier, None
        if decision.regulated:
            # Always opened, whatever the tier and whether or not there is a hold.
            self._open_tickets()

    def _hold(self, decision: Decision, now: datetime) -> None:
        assert decision.hold is not None
        self.state.held = decision
        if self.state.round == 0:
            self.state.state = "holding"
        self.state.appoint(now, decision.hold, "hold")
        self.state.note(now, "holding", f"acts only if it still burns in {format_duration(decision.hold)}")

    def _rise(self, decision: Decision, now: datetime) -> None:
        state = self.state
        if state.held and state.round > 0 and not decision.louder_than(state.held.tier) and decision.hold:
            return  # that rise is being held already
        self._classified(now, decision)
        state.alert = state.latest
        if decision.hold:
            self._hold(decision, now)
            return
        self._adopt(decision)
        self._begin(now)

    # ── Acting ──────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, now: datetime, note: str = "") -> None:
        """Take the first step, and appoint the later ones. ``note`` says why, where it is not for an alert."""
        state = self.state
        decision = state.decision
        assert decision is not None
        state.round += 1
        state.escalation = 0
        state.acknowledged_by = state.acknowledged_via = ""
        state.acknowledged_at = None
        state.agenda = []
        if state.state in {"holding", "acknowledged"}:
            state.state = "received"
        self._open_tickets()
        for target in decision.digest:
            self._outbox.owe("notify", target, f"digest-{state.round}-{target.name}", digest=True)
        self._climb(decision.steps, now, note)
        if decision.respond_within:
            self.state.appoint(now, decision.respond_within, "unanswered")

    def _climb(self, steps: tuple[Step, ...], now: datetime, note: str) -> None:
        for index, step in enumerate(steps):
            if index == 0:
                self._take_step(0, step, now, note)
            else:
                self.state.appoint(now, step.after, "step", index)

    def _take_step(self, index: int, step: Step, now: datetime, note: str = "") -> None:
        state = self.state
        state.escalation = index + 1
        if index > 0:
            waited = format_duration(step.after)
            names = ", ".join(target.name for target in step.notify)
            note = f"Nobody has acknowledged for {waited}: step {index + 1} of the escalation."
            text = f"step {index + 1} after {waited} without an acknowledgement: {names}"
            self.state.note(now, "escalated", text)
            if state.chronicle:
                self._outbox.tell("note", f"Escalated: {text}.", kinds=frozenset({"post", "ticket"}))
        told = {receipt.destination for receipt in state.receipts} | {owed.target.name for owed in state.owed}
        for target in step.notify:
            key = f"{state.round}-step-{index + 1}-{target.name}"
            # A pager folds a second trigger under the same key into the first, silently: a repeated step
            # is to be heard, so it has a key of its own there.
            thread = f"{state.thread}/{key}" if target.name in told else state.thread
            self._outbox.owe("notify", target, key, note, thread=thread)

    def _open_tickets(self) -> None:
        decision = self.state.decision
        assert decision is not None
        for target in decision.tickets:
            key = f"ticket-{target.name}"
            if not self._outbox.knows(key):
                note = "A person has to close this one." if decision.regulated else ""
                self._outbox.owe("notify", target, key, note)

    def due(self, now: datetime) -> None:
        """Do what is due."""
        state = self.state
        for appointment in sorted(state.agenda, key=lambda one: one.at):
            if appointment.at > now or appointment not in state.agenda or state.over:
                continue
            state.agenda.remove(appointment)
            decision = state.decision
            assert decision is not None
            match appointment.business:
                case "hold":
                    self._hold_is_over(now)
                case "step":
                    self._take_step(appointment.step, decision.steps[appointment.step], now)
                case "unanswered":
                    self._unanswered(decision, now)
                case "remind":
                    self._remind(decision, now)
                case "silence":
                    self.state.note(now, "silence_over", "it still burns")
                    self._begin(now, "The silence is over, and it still burns.")
                case "again":
                    if appointment.owed and (not state.acknowledged_at or appointment.owed.target.kind == "ticket"):
                        state.owed.append(appointment.owed)

    def _hold_is_over(self, now: datetime) -> None:
        held = self.state.held
        if held is None:
            return
        assert held.hold is not None
        self.state.note(now, "hold_ended", f"still triggered after {format_duration(held.hold)}")
        self._adopt(held)
        self._begin(now)

    def _unanswered(self, decision: Decision, now: datetime) -> None:
        raised, waited = decision.unanswered, decision.respond_within
        if raised is None or waited is None:
            return
        state = self.state
        self.state.note(now, "unanswered", f"nobody answered within {format_duration(waited)}: now {raised.tier}")
        state.decision = decision.model_copy(
            update={
                "tier": raised.tier,
                "steps": raised.steps,
                "fallback": raised.fallback or decision.fallback,
                "remind": raised.remind or decision.remind,
                "digest": (),
                "respond_within": None,
                "unanswered": None,
            }
        )
        state.tier = raised.tier
        self._begin(now)

    def _remind(self, decision: Decision, now: datetime) -> None:
        state = self.state
        assert decision.remind is not None
        state.reminders += 1
        note = f"Acknowledged by {state.acknowledged_by} and still open after {format_duration(decision.remind)}."
        self.state.note(now, "reminded", note)
        for target in decision.steps[0].notify if decision.steps else ():
            key = f"remind-{state.reminders}-{target.name}"
            self._outbox.owe("remind", target, key, note, thread=f"{state.thread}/{key}")
        self.state.appoint(now, decision.remind, "remind")

    def cleared(self, arrival: Arrival, now: datetime) -> None:
        """Arize says that the monitor is well again."""
        state = self.state
        state.latest = arrival.alert
        if state.over or state.decision is None:
            return
        alert = arrival.alert
        value = "" if alert.value is None else f" at {amount(alert.metric, alert.value)}"
        state.cleared = True
        if state.decision.regulated:
            self.answers.not_obeyed(f"cleared{value}", Answer(act="resolve", by="", via="arize"), now)
            return
        self.state.note(now, "cleared", f"the monitor cleared{value}", by="arize")
        self.answers.resolve("arize", now, via="")

    def no_data(self, arrival: Arrival, now: datetime) -> None:
        """Arize has no data to judge by: told, and no reason to think that the fire is out."""
        self.state.latest = arrival.alert
        self.state.note(now, "no_data", "the monitor has no data now", by="arize")

    def closed(self, now: datetime) -> None:
        """Everything is delivered that had to be, and recorded: nothing is left to happen."""
        self.state.state, self.state.closed_at = "closed", now

    # ── Time ────────────────────────────────────────────────────────────────────────────────────────────

    def next(self) -> Appointment | None:
        return min(self.state.agenda, key=lambda one: one.at, default=None)


def _told_repeats(alerts: int) -> int:
    """How many of the marks 2, 5, 20, 50, 200, 500 … that many alerts have passed."""
    marks, scale = 0, 1
    while alerts >= 2 * scale:
        marks += sum(alerts >= mark * scale for mark in _TOLD_REPEATS)
        scale *= 10
    return marks


def _compact(alert: Alert) -> dict[str, object]:
    """The alert as the audit log keeps it: enough to decide about it once more."""
    return alert.model_dump(mode="json", exclude={"raw"}, exclude_defaults=True)
