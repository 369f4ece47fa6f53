"""The rules of an incident's life, without Temporal: what each event changes, and what is owed to whom.

``received → (holding) → notified → acknowledged → resolved → closed``, with ``awaiting_human`` where only a
person may close. The workflow around it brings the events and pays what is owed.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from activities.contracts import Entry, Receipt, Verb
from alerts import Alert
from policy import Decision, Step, Target, format_duration
from workflows.messages import Answer, Arrival, TimelineEntry
from workflows.state import Appointment, Business, IncidentState, Owed

TRY_AGAIN = timedelta(minutes=1)
"""After all attempts at a delivery failed for a passing reason, and the fallback was told."""
_TIMELINE = 200
_SEEN = 1000
_ROLES = ("viewer", "responder", "compliance", "admin")
_ANSWERABLE = frozenset({"page", "post", "console"})
_THREADED = frozenset({"post", "ticket", "console"})


class Life:
    """Changes an IncidentState. Every method takes the time; none reads a clock or does anything outside."""

    def __init__(self, state: IncidentState) -> None:
        self.state = state

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

    def arrived(self, arrivals: Iterable[Arrival], decision: Decision, now: datetime) -> None:
        """Alerts that still burn, and the loudest decision about them."""
        state = self.state
        arrivals = list(arrivals)
        if state.over:
            # Triggered again while its last messages were on their way: a new fire, not an echo.
            self._note(now, "reopened", "triggered again before it was closed")
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
            self._note(now, "received", latest.monitor, event_ids=ids, alert=_compact(latest))
        else:
            value = "" if latest.value is None else f", now {latest.value:g}"
            self._note(
                now, "joined", f"{count} more alert{'s' if count > 1 else ''}{value}", alert=_compact(latest)
            )
        if state.cleared:
            state.cleared = False
            if state.state == "awaiting_human":
                state.state = "acknowledged" if state.acknowledged_at else "notified"
            self._note(now, "burning_again", "triggered again after it had cleared")
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
            self._note(now, "hold_ended", f"rule {decision.rule} does not wait")
            self._adopt(decision)
            self._begin(now)

    def _classified(self, now: datetime, decision: Decision) -> None:
        text = f"{decision.tier} by rule {decision.rule}: {decision.why}"
        self._note(now, "classified", text, rule=decision.rule, tier=decision.tier, policy=decision.policy)

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
        self._appoint(now, decision.hold, "hold")
        self._note(now, "holding", f"acts only if it still burns in {format_duration(decision.hold)}")

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

    def _begin(self, now: datetime) -> None:
        """Take the first step, and appoint the later ones."""
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
            self._owe("notify", target, f"digest-{state.round}-{target.name}", digest=True)
        self._climb(decision.steps, now)
        if decision.respond_within:
            self._appoint(now, decision.respond_within, "unanswered")

    def _climb(self, steps: tuple[Step, ...], now: datetime) -> None:
        for index, step in enumerate(steps):
            if index == 0:
                self._take_step(0, step, now)
            else:
                self._appoint(now, step.after, "step", index)

    def _take_step(self, index: int, step: Step, now: datetime) -> None:
        state = self.state
        state.escalation = index + 1
        note = ""
        if index > 0:
            waited = format_duration(step.after)
            names = ", ".join(target.name for target in step.notify)
            note = f"Nobody has acknowledged for {waited}: step {index + 1} of the escalation."
            self._note(
                now, "escalated", f"step {index + 1} after {waited} without an acknowledgement: {names}"
            )
        told = {receipt.destination for receipt in state.receipts} | {owed.target.name for owed in state.owed}
        for target in step.notify:
            key = f"{state.round}-step-{index + 1}-{target.name}"
            # A pager folds a second trigger under the same key into the first, silently: a repeated step
            # is to be heard, so it has a key of its own there.
            thread = f"{state.thread}/{key}" if target.name in told else state.thread
            self._owe("notify", target, key, note, thread=thread)

    def _open_tickets(self) -> None:
        decision = self.state.decision
        assert decision is not None
        for target in decision.tickets:
            key = f"ticket-{target.name}"
            if not self._known(key):
                note = "A person has to close this one." if decision.regulated else ""
                self._owe("notify", target, key, note)

    def _known(self, key: str) -> bool:
        full = f"{self.state.thread}:{key}"
        waiting = [one.owed for one in self.state.agenda if one.owed]
        return any(one.key == full for one in (*self.state.owed, *self.state.receipts, *waiting))

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
                case "again":
                    if appointment.owed and (
                        not state.acknowledged_at or appointment.owed.target.kind == "ticket"
                    ):
                        state.owed.append(appointment.owed)

    def _hold_is_over(self, now: datetime) -> None:
        held = self.state.held
        if held is None:
            return
        assert held.hold is not None
        self._note(now, "hold_ended", f"still triggered after {format_duration(held.hold)}")
        self._adopt(held)
        self._begin(now)

    def _unanswered(self, decision: Decision, now: datetime) -> None:
        raised, waited = decision.unanswered, decision.respond_within
        if raised is None or waited is None:
            return
        state = self.state
        self._note(now, "unanswered", f"nobody answered within {format_duration(waited)}: now {raised.tier}")
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
        self._note(now, "reminded", note)
        for target in decision.steps[0].notify if decision.steps else ():
            key = f"remind-{state.reminders}-{target.name}"
            self._owe("remind", target, key, note, thread=f"{state.thread}/{key}")
        self._appoint(now, decision.remind, "remind")

    # ── Answers ─────────────────────────────────────────────────────────────────────────────────────────

    def may_close(self, answer: Answer) -> bool:
        """A regulated incident is closed by a person with the role, through an authenticated way only."""
        decision = self.state.decision
        if decision is None or not decision.regulated:
            return True
        return bool(answer.by) and answer.role in _ROLES[_ROLES.index(decision.closed_by) :]

    def answered(self, answer: Answer, now: datetime) -> None:
        state = self.state
        if state.over or (answer.opening and not state.opening.startswith(answer.opening)):
            return
        if answer.id:
            if answer.id in state.seen:
                return
            state.seen = [*state.seen, answer.id][-_SEEN:]
        match answer.act:
            case "acknowledge":
                self._acknowledge(answer, now)
            case "annotate":
                self._note(now, "annotated", answer.note, by=answer.by, via=answer.via, token=answer.token)
                self._tell("note", f"{answer.by}: {answer.note}", via=answer.via, kinds=_THREADED)
            case "resolve" if self.may_close(answer):
                self._note(
                    now,
                    "resolved",
                    answer.note or "resolved",
                    by=answer.by,
                    via=answer.via,
                    role=answer.role,
                    token=answer.token,
                )
                self._resolve(answer.by or answer.via, now, via=answer.via)
            case "resolve":
                self._not_obeyed(f"resolved in {answer.via}", answer, now)

    def _acknowledge(self, answer: Answer, now: datetime) -> None:
        state = self.state
        self._note(
            now,
            "acknowledged",
            answer.note or f"in {answer.via}",
            by=answer.by,
            via=answer.via,
            token=answer.token,
        )
        if state.acknowledged_at:
            return
        state.acknowledged_by = answer.by or answer.via
        state.acknowledged_via = answer.via
        state.acknowledged_at = now
        state.held = None
        state.agenda = [one for one in state.agenda if one.owed and one.owed.target.kind == "ticket"]
        if state.state != "awaiting_human":
            state.state = "acknowledged"
        if state.decision and state.decision.remind:
            self._appoint(now, state.decision.remind, "remind")
        self._tell("acknowledge", f"Acknowledged by {state.acknowledged_by}", via=answer.via)

    def cleared(self, arrival: Arrival, now: datetime) -> None:
        """Arize says that the monitor is well again."""
        state = self.state
        state.latest = arrival.alert
        if state.over or state.decision is None:
            return
        value = "" if arrival.alert.value is None else f" at {arrival.alert.value:g}"
        state.cleared = True
        if state.decision.regulated:
            self._not_obeyed(f"cleared{value}", Answer(act="resolve", by="", via="arize"), now)
            return
        self._note(now, "cleared", f"the monitor cleared{value}", by="arize")
        self._resolve("arize", now, via="")

    def no_data(self, arrival: Arrival, now: datetime) -> None:
        """Arize has no data to judge by: told, and no reason to think that the fire is out."""
        self.state.latest = arrival.alert
        self._note(now, "no_data", "the monitor has no data now", by="arize")

    def _not_obeyed(self, what: str, answer: Answer, now: datetime) -> None:
        """For a regulated incident the machine's word, and a pager's, is noted and closes nothing."""
        state = self.state
        assert state.decision is not None
        role = state.decision.closed_by
        self._note(
            now,
            "noted",
            f"{what}: noted; a person with the role {role} must close it",
            by=answer.by or answer.via,
        )
        if state.held:
            state.held = None
            state.agenda = [one for one in state.agenda if one.business != "hold"]
        if answer.by and not state.acknowledged_at:
            self._acknowledge(answer.model_copy(update={"act": "acknowledge"}), now)
        state.state = "awaiting_human"
        self._tell(
            "note",
            f"{what[0].upper()}{what[1:]}. It stays open until a person with the role {role} closes it.",
            kinds=_THREADED,
        )

    def _resolve(self, by: str, now: datetime, via: str) -> None:
        state = self.state
        state.resolved_by, state.state, state.agenda = by, "resolved", []
        state.held = None
        text = "The monitor is well again." if by == "arize" else f"Resolved by {by}."
        self._tell("resolve", text, via=via)
        self._tell("note", text, kinds=frozenset({"ticket"}))

    def closed(self, now: datetime) -> None:
        """Everything is delivered that had to be."""
        self.state.state, self.state.closed_at = "closed", now
        self._note(now, "closed", f"by {self.state.resolved_by}", by=self.state.resolved_by)

    # ── Deliveries ──────────────────────────────────────────────────────────────────────────────────────

    def delivered(self, owed: Owed, receipt: Receipt, now: datetime) -> None:
        state = self.state
        self._settle(owed)
        self._note(
            now,
            {"notify": "notified"}.get(owed.verb, f"told_{owed.verb}"),
            f"{owed.target.name} ({owed.target.type}): {receipt.id}",
            destination=owed.target.name,
            receipt=receipt.id,
            key=owed.key,
        )
        if owed.verb not in {"notify", "remind"}:
            return
        state.receipts.append(receipt)
        if not owed.digest:
            state.told[owed.target.name] = owed.target
        if state.state == "received":
            state.state = "notified"
        if state.over and not owed.digest and owed.target.kind in _ANSWERABLE:
            self._tell_one("resolve", owed.target, receipt, f"Resolved by {state.resolved_by}.")
        elif (
            state.acknowledged_at
            and owed.target.kind in _ANSWERABLE
            and owed.target.type != state.acknowledged_via
        ):
            # The acknowledgement overtook the page: whoever was paged must not wait for one.
            self._tell_one("acknowledge", owed.target, receipt, f"Acknowledged by {state.acknowledged_by}")

    def failed(self, owed: Owed, reason: str, now: datetime, *, permanent: bool) -> None:
        """All attempts failed. Somebody else is told, and what may still succeed is tried again."""
        state = self.state
        self._settle(owed)
        self._note(
            now, "not_delivered", f"{owed.verb} to {owed.target.name}: {reason}", destination=owed.target.name
        )
        answered = state.acknowledged_at is not None and owed.target.kind != "ticket"
        if owed.verb != "notify" or state.over or answered or state.decision is None:
            return
        if not owed.in_place_of:
            for target in state.decision.fallback:
                if target.name != owed.target.name:
                    note = f"{owed.target.name} could not be told: {reason}"
                    key = f"fallback-{target.name}-for-{owed.key.removeprefix(f'{state.thread}:')}"
                    if not self._known(key):
                        self._owe("notify", target, key, note, in_place_of=owed.target.name)
        if not permanent or owed.in_place_of or not state.decision.fallback:
            again = Appointment(at=now + TRY_AGAIN, business="again", owed=owed)
            state.agenda.append(again)

    def _settle(self, owed: Owed) -> None:
        self.state.owed = [one for one in self.state.owed if one.key != owed.key]

    def _tell(self, verb: Verb, note: str, *, via: str = "", kinds: frozenset[str] = _ANSWERABLE) -> None:
        """Change or add to what was sent before, everywhere but where the change came from.

        ``via`` is the type of destination that it came from. Where several of that type were told, all of them
        are told: which of them it was, an answer does not say, and saying it twice changes nothing.
        """
        source = [receipt for receipt in self.state.receipts if receipt.type == via]
        for receipt in self.state.receipts:
            target = self.state.told.get(receipt.destination)
            if target and target.kind in kinds and not (len(source) == 1 and receipt is source[0]):
                self._tell_one(verb, target, receipt, note)

    def _tell_one(self, verb: Verb, target: Target, receipt: Receipt, note: str) -> None:
        base = receipt.key.removeprefix(f"{self.state.thread}:")
        number = self.state.numbered if verb == "note" else self.state.round
        self._owe(verb, target, f"{verb}-{number}-{base}", note, thread=receipt.id, first=receipt)

    def _owe(
        self,
        verb: Verb,
        target: Target,
        key: str,
        note: str = "",
        *,
        thread: str = "",
        digest: bool = False,
        in_place_of: str = "",
        first: Receipt | None = None,
    ) -> None:
        state = self.state
        full = f"{state.thread}:{key}"
        state.owed.append(
            Owed(
                key=full,
                thread=thread or state.thread,
                verb=verb,
                target=target,
                note=note,
                digest=digest,
                in_place_of=in_place_of,
                first=first,
            )
        )

    # ── Keeping track ───────────────────────────────────────────────────────────────────────────────────

    def _appoint(self, now: datetime, seconds: float, business: Business, step: int = 0) -> None:
        self.state.agenda.append(
            Appointment(at=now + timedelta(seconds=seconds), business=business, step=step)
        )

    def next(self) -> Appointment | None:
        return min(self.state.agenda, key=lambda one: one.at, default=None)

    def _note(self, now: datetime, what: str, text: str, by: str = "tocsin", **data: object) -> None:
        """Into the timeline that people read, and to the audit log."""
        state = self.state
        state.numbered += 1
        entry = TimelineEntry(at=now, what=what, by=by or "unknown", text=text[:500])
        state.timeline = [*state.timeline, entry][-_TIMELINE:]
        state.unrecorded.append(
            Entry(number=state.numbered, at=now, what=what, by=entry.by, text=text[:2000], data=dict(data))
        )


def _compact(alert: Alert) -> dict[str, object]:
    """The alert as the audit log keeps it: enough to decide about it once more."""
    return alert.model_dump(mode="json", exclude={"raw"}, exclude_defaults=True)
