"""What suppresses an incident from outside, and what this incident suppresses: silences, inhibition, page budgets."""

from collections.abc import Mapping
from datetime import datetime

from incident.fires import Fires
from incident.holds import RECHECK_INTERVAL, SILENCE_REMINDER, Wait
from incident.peers import PeerMessage
from incident.state import Deadline, IncidentState
from incident.suppression import Inhibitor, ListedIncident, Suppression

FEW_LISTED = 3
"""So many listed incidents are also named in threads; the others in the message itself."""
MAX_LISTED = 300
"""Of more, only the number is kept: they find out by themselves when this incident is closed."""


class Suppressions:
    """Changes the state it is given."""

    def __init__(self, state: IncidentState, fires: Fires) -> None:
        self._state, self._fires = state, fires

    # ── What suppresses this incident ───────────────────────────────────────────────────────────────────

    def to_check(self) -> list[str]:
        """The problems whose suppression a worker has to check."""
        state = self._state
        if state.is_over or state.decision is None:
            return []
        if state.must_check:
            return list(state.open_problems)
        return [key for key in state.unchecked if key in state.problems]

    def apply(self, found: Mapping[str, Suppression | None], now: datetime) -> None:
        """What a worker found that suppresses problems now, or nothing. What it does not name was not checked."""
        state = self._state
        is_asked = state.must_check
        state.must_check = state.must_check and not set(found) >= set(state.open_problems)
        for key, suppression in found.items():
            problem, unchecked = state.problems.get(key), state.unchecked.pop(key, None)
            if problem is None or not problem.is_open or state.is_over:
                continue
            if suppression and suppression.is_for_new_fires and not (unchecked or self._holds_of(key)):
                suppression = None  # people were notified before
            before, problem.suppression = problem.suppression, suppression
            if is_asked and suppression is not None and (decision := state.decision_of(problem)) is not None:
                self._fires.holds.tell_source(key, decision, suppression)  # it may have been closed, and opened again
            holds = [unchecked] if unchecked else self._holds_of(key) if suppression is None else []
            state.deadlines = [one for one in state.deadlines if one not in holds]
            for hold in holds:
                self._fires.release(hold, now)
            if holds or bool(before) == bool(suppression):
                continue
            if suppression is not None:
                state.record(now, "suppressed", f"{problem.monitor}: {suppression.text(now)}")
                self._fires.update(f"{problem.monitor} is {suppression.text(now)}.")
            else:
                state.record(now, "suppression_ended", f"{problem.monitor}: still triggered")

    def over_budget(self, carrier: str, scope: str, now: datetime) -> None:
        """The page budget is used up: this incident is listed in another one, and waits for that to close."""
        state = self._state
        key, decision = state.lead, state.decision
        is_known = any(one.suppression and one.suppression.kind == "budget" for one in state.deadlines)
        if key not in state.problems or decision is None or is_known:
            return
        state.deadlines = [one for one in state.deadlines if one.kind not in {"step", "ack_timeout"}]
        if not state.holders:
            state.state = "suppressed"
        suppression = Suppression(kind="budget", reason=f"{scope}; listed in {carrier}", source=carrier)
        state.problems[key].suppression = suppression
        waits = Wait(now + RECHECK_INTERVAL, suppression)
        self._fires.holds.add(key, decision, waits, now, "now that its page budget has room")

    def remind_of_end(self, reminder: Deadline, now: datetime) -> None:
        """A silence ends soon, and its problem is still triggered: the posts say so, and nobody is paged."""
        state, problem = self._state, self._state.problems.get(reminder.problem)
        silence = problem.suppression if problem is not None and problem.is_open else None
        decision = state.decision_of(problem) if problem is not None else None
        if problem is None or silence is None or decision is None or silence.until is None:
            return
        if silence.kind != "silence" or silence.until - now > SILENCE_REMINDER:
            return  # it ended, or another one lasts longer
        note = f"{problem.monitor} is still triggered. The silence ends at {silence.until:%H:%M} UTC: {silence.reason}."
        state.record(now, "silence_ends", note)
        self._fires.remind_posts(decision, note)

    def waits(self, deadline: Deadline, now: datetime) -> bool:
        """Whether the escalation waits, since everything that is triggered is suppressed. Then the step comes later.

        Only a worker knows if a silence or a page budget is over, so it checks that before the next time.
        """
        state = self._state
        found = [self._fires.holds.suppressed(key, now) for key in state.open_problems]
        first = min((one for one in found if one), key=lambda one: one.until, default=None)
        if first is None or first.suppression is None or not all(found):
            return False
        state.must_check |= any(one and one.suppression and one.suppression.is_external for one in found)
        state.deadlines.append(deadline.model_copy(update={"at": first.until}))
        until, word = f"{first.until:%Y-%m-%d %H:%M:%S} UTC", first.suppression.word
        state.record(now, "suppressed", f"the escalation waits until {until}: {word}")
        return True

    def _holds_of(self, key: str) -> list[Deadline]:
        return [
            one
            for one in self._state.deadlines
            if one.kind == "hold" and one.problem == key and one.suppression and one.suppression.is_external
        ]

    # ── What this incident suppresses ───────────────────────────────────────────────────────────────────

    def inhibitors(self) -> list[Inhibitor]:
        """Its problems that inhibit other incidents now."""
        state = self._state
        found: list[Inhibitor] = []
        for key, one in state.open_problems.items() if not state.is_over else ():
            decision = state.decision_of(one) if one.tier and one.status != "cleared" else None
            if decision is not None and decision.inhibits:
                found.append(
                    Inhibitor(
                        incident=state.incident,
                        problem=key,
                        monitor=one.monitor,
                        rule=decision.rule,
                        inhibits=decision.inhibits,
                    )
                )
        return found

    def handle(self, message: PeerMessage, now: datetime) -> None:
        """What another incident says."""
        state = self._state
        match message.kind:
            case "recheck":
                state.must_check = not state.is_over
            case "unlist":
                if state.listed.pop(message.incident, None) is None and state.listed_beyond:
                    state.listed_beyond -= 1
            case "list" if state.is_over:
                state.outgoing.append(PeerMessage(to=message.incident, kind="recheck", incident=state.incident))
            case "list":
                if message.listed is not None and message.incident not in state.listed:
                    self._list(message.listed, now)

    def _list(self, listed: ListedIncident, now: datetime) -> None:
        """Critical ones of another model than those listed are another kind of fire: they are named at once."""
        state = self._state
        models = {one.model for one in state.listed.values()} | {state.alert.model if state.alert else ""}
        is_other = listed.kind == "budget" and listed.tier == "critical" and listed.model not in models
        if len(state.listed) < MAX_LISTED:
            state.listed[listed.incident] = listed
        else:
            state.listed_beyond += 1
            if not is_other:
                return
        state.record(now, "listed", f"{listed.incident}: {listed.monitor} ({listed.tier})", incident=listed.incident)
        why = "Beyond the page budget" if listed.kind == "budget" else "Inhibited by this incident"
        text = f"{why}: {listed.tier.upper()} {listed.model} {listed.monitor} ({listed.incident})."
        if is_other or len(state.listed) <= FEW_LISTED:
            self._fires.update(text, in_thread=True)
        else:
            self._fires.refresh(text)

    def release_listed(self) -> None:
        """The incident is over, or what inhibited others is: they check whether anything suppresses them still."""
        state = self._state
        inhibits = bool(self.inhibitors())
        released = [
            one for one in state.listed.values() if state.is_over or (one.kind == "inhibition" and not inhibits)
        ]
        for one in released:
            del state.listed[one.incident]
            state.outgoing.append(PeerMessage(to=one.incident, kind="recheck", incident=state.incident))

    def leave_sources(self) -> None:
        """The incident is over, so that no other one lists it any more."""
        state = self._state
        for problem in state.problems.values():
            found, problem.suppression = problem.suppression, None
            if found and found.kind in {"inhibition", "budget"} and found.source != state.incident:
                state.outgoing.append(PeerMessage(to=found.source, kind="unlist", incident=state.incident))
