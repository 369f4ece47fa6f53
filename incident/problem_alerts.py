"""The alerts of an incident, problem by problem: what is older, what came before, what is new, and what fires again."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from alerts import Alert
from incident.actions import ARIZE, ActionHandler
from incident.alert_records import (
    note_repeats,
    record_delay,
    record_older_clear,
    record_older_triggers,
    record_repeats,
)
from incident.amounts import amount_of
from incident.escalation import Escalation
from incident.events import GroupedAlert, ResponderAction
from incident.fires import Fires
from incident.flapping import FlappingProblems
from incident.late_descriptions import LateDescriptions
from incident.obligations import names_more
from incident.order import EventTimes, believable
from incident.outbox import Outbox
from incident.problem import MAX_PROBLEM_ALERTS, MAX_PROBLEMS, Problem
from incident.refires import fires_again, has_data_again
from incident.state import IncidentState
from incident.suppression import Suppression
from incident.text import clock_text, counted
from policy import Decision, loudest
from policy.decision import TIERS


class ProblemAlerts:
    """Changes the state it is given."""

    def __init__(
        self, state: IncidentState, outbox: Outbox, escalation: Escalation, actions: ActionHandler, fires: Fires
    ) -> None:
        self._state, self._outbox, self._escalation = state, outbox, escalation
        self._actions, self._fires = actions, fires
        self._flapping = FlappingProblems(state, fires)

    # ── Triggered ───────────────────────────────────────────────────────────────────────────────────────

    def add(
        self,
        alerts: Sequence[GroupedAlert],
        decisions: Sequence[Decision],
        now: datetime,
        suppressions: Mapping[str, Suppression],
    ) -> None:
        """Add alerts that are triggered, each with the decision about it. The loudest problem comes first.

        ``suppressions`` says what keeps problems quiet; see ``IncidentStateMachine.add_alerts``.
        """
        state = self._state
        of_problem: dict[str, list[int]] = {}
        for index, one in enumerate(alerts):
            of_problem.setdefault(one.problem_id, []).append(index)
        items = [
            (key, [alerts[index] for index in found], loudest(decisions[index] for index in found))
            for key, found in of_problem.items()
        ]
        older: list[GroupedAlert] = []
        for key, mine, decision in sorted(items, key=lambda item: -TIERS.index(item[2].tier)):
            older += self._add_to(key, mine, decision, now, suppressions.get(key))
        if older and state.decision is None and not state.is_over:
            last = self._times_of(older[-1]).last_clear(older[-1].happened_at)
            self.discard(older, now, f"triggered before the monitor cleared at {clock_text(last)}; nobody was notified")

    def _add_to(
        self,
        key: str,
        alerts: Sequence[GroupedAlert],
        decision: Decision,
        now: datetime,
        suppression: Suppression | None,
    ) -> Sequence[GroupedAlert]:
        """Add alerts to one problem. Returns those that are older than its last clear."""
        state, problem = self._state, self._state.problems.get(key)
        times = self._times_of(alerts[0])
        older = [one for one in alerts if times.is_older_trigger(one.happened_at, now)]
        current = [one for one in alerts if one not in older]
        if older and (current or state.decision is not None or state.is_over):
            record_older_triggers(state, older, now, times)
        if not current:
            if problem is not None and not state.is_over and state.decision is not None:
                self._escalation.adopt(decision, now)
            return older
        if problem is not None and (state.is_over or not problem.is_open):
            record_repeats(state, [one for one in current if one.repeated], now)
            current = [one for one in current if not one.repeated]
        if not current:
            return ()
        closed = self._reopen(current, now)
        has_data = problem is not None and has_data_again(problem, current)
        is_known = problem is not None and problem.alert_count > 0
        refired = fires_again(state, problem, current, now) if problem is not None and is_known else ""
        was_clear = problem is not None and not problem.is_open
        is_change = problem is None or not is_known or problem.status == "cleared"
        refired = "" if problem is not None and problem.flapping_since else refired
        self._record(key, current, now, times, notes_repeats=not refired)
        problem = state.problems[key]
        if was_clear:
            problem.tier, problem.fired_at = None, now
        self._count_as_open(problem)
        is_notified = problem.tier is not None and not (refired or was_clear)
        if suppression is not None and suppression.is_for_new_fires and is_notified:
            suppression = None  # people were notified before
        known = problem.suppression if problem.suppression and problem.suppression.kind == "budget" else None
        problem.maintenance, problem.suppression = decision.maintenance, suppression or known
        if refired and not was_clear and problem.tier and TIERS.index(problem.tier) > TIERS.index(decision.tier):
            decision = (state.decision_of(problem) or decision).with_obligations(decision)
        if state.decision is None or not is_known:
            self._fires.begin(key, decision, now, closed)
        elif refired:
            problem.fired_at = now
            self._fires.again(key, decision, now, refired)
        else:
            if has_data:
                self._replace_alert(key, now)
            self._fires.repeat(key, decision, now)
        if is_change:
            self._flapping.note_change(key, now)
        return ()

    def _reopen(self, alerts: Sequence[GroupedAlert], now: datetime) -> Decision | None:
        """Triggered again while its last updates were being sent, or soon after: a new fire of the same incident.

        Returns the decision that it had when it was closed.
        """
        state = self._state
        if not state.is_over:
            return None
        closed = state.decision
        fires = any(one.alert.status == "triggered" for one in alerts)
        what = "fires again: triggered" if fires else "opened again: its monitor has no data,"
        soon = "before it was closed" if state.closed_at is None else "soon after it was closed"
        state.record(now, "reopened", f"{what} {soon}")
        state.settle_messages()
        self._flapping.forget()
        state.state, state.decision, state.tier, state.alert = "received", None, None, None
        state.resolved_by, state.closed_at, state.lead = "", None, ""
        state.times.escalated_at = now  # what somebody did before does not stop it
        return closed

    def _count_as_open(self, problem: Problem) -> None:
        """A problem is triggered: an incident that only waited for a person to close it is open again."""
        state = self._state
        problem.dismissed = False
        if not state.cleared:
            return
        state.cleared = False
        if state.state == "awaiting_human":
            state.state = "acknowledged" if state.acknowledged_at else "notified"

    def _replace_alert(self, key: str, now: datetime) -> None:
        """Messages are about the triggered monitor now."""
        state = self._state
        if key == state.lead:
            state.alert = state.problems[key].alert
        state.record(now, "has_data_again", "triggered; it had no data before", by="arize")
        self._outbox.broadcast("refresh", "Triggered: it had no data before.", kinds=frozenset({"post", "console"}))

    def _record(
        self, key: str, alerts: Sequence[GroupedAlert], now: datetime, times: EventTimes, *, notes_repeats: bool
    ) -> None:
        state = self._state
        latest, count = alerts[-1].alert, sum(one.count for one in alerts)
        problem = self._problem(key, alerts[0], times, now)
        newest = problem.times.last_trigger(alerts[-1].happened_at)
        for one in alerts:
            if not one.repeated:
                problem.times.add_trigger(one.happened_at, now, one.arrived_at)
                state.times.add_trigger(one.happened_at, now, one.arrived_at)
        happened = believable(alerts[-1].happened_at, now)
        is_newest = problem.alert_count == 0 or not (happened and newest and happened < newest)
        state.alert_count += count
        problem.alert_count += count
        problem.status, problem.last_alert_at = latest.status, now
        if is_newest:
            state.latest_alert = latest
            self._keep_alert(problem, latest)
        if state.alert is None:
            state.alert = latest
            ids = [event_id for one in alerts for event_id in one.event_ids][:50]
            state.record(now, "received", latest.monitor, event_ids=ids, alert=latest)
            record_delay(state, alerts, now)
            return
        record_delay(state, alerts, now)
        amount = amount_of(latest, state.alert if key == state.lead else problem.alert)
        value = f", now {amount}" if amount else ""
        text = f"{counted(count, 'more alert')}{value}"
        text = text if len(state.problems) == 1 else f"{problem.monitor}: {text}"
        state.record(now, "alert_added", text, alert=latest)
        if notes_repeats and problem.alert_count > count and note_repeats(state.alert_count, count):
            text = f"Triggered again: {counted(state.alert_count, 'alert')} so far{value}."
            self._outbox.broadcast("note", text, kinds=frozenset({"post"}))

    def _problem(self, key: str, first: GroupedAlert, times: EventTimes, now: datetime) -> Problem:
        """The problem, which is added if it is new."""
        state = self._state
        if key in state.problems:
            return state.problems[key]
        problem = Problem(
            monitor=first.alert.monitor,
            monitor_id=first.alert.monitor_id,
            identity=first.alert.identity,
            first_alert_at=now,
            last_alert_at=now,
            fired_at=now,
            times=times.of_monitor(),
        )
        over = [name for name, one in state.problems.items() if not one.is_open]
        if len(state.problems) >= MAX_PROBLEMS and over:
            del state.problems[min(over, key=lambda name: state.problems[name].last_alert_at)]
        state.problems[key] = problem
        return problem

    def _keep_alert(self, problem: Problem, alert: Alert) -> None:
        kept = sum(one.alert is not None for one in self._state.problems.values())
        if problem.alert is not None or kept < MAX_PROBLEM_ALERTS:
            problem.alert = alert

    def _times_of(self, alert: GroupedAlert) -> EventTimes:
        """When the monitor triggered and cleared: as the incident knows, or as the gateway says of a new problem."""
        known = self._state.problems.get(alert.problem_id)
        if known is not None:
            return known.times
        if alert.times is not None:
            return alert.times
        return self._state.times if not self._state.problems else EventTimes()

    # ── Cleared, and without data ───────────────────────────────────────────────────────────────────────

    def clear(self, alert: GroupedAlert, now: datetime) -> None:
        """A monitor cleared."""
        state, key = self._state, alert.problem_id
        problem = state.problems.get(key)
        record_delay(state, (alert,), now)
        times = problem.times if problem is not None else state.times
        if times.is_older_clear(alert.happened_at, now) and not state.is_over and problem is not None:
            record_older_clear(state, alert, now, times)
            return
        state.times.add_clear(alert.happened_at, now)
        if problem is None:  # its trigger may come yet, and is older
            problem = self._problem(key, alert, state.times if not state.problems else EventTimes(), now)
            problem.times.add_clear(alert.happened_at, now)
            problem.status = "cleared"
            if state.decision is not None and not state.is_over:
                state.record(now, "older_alert", f"{alert.alert.monitor} cleared: nothing was known of it")
            return
        if problem.times is not state.times:
            problem.times.add_clear(alert.happened_at, now)
        was_open, is_change = problem.is_open, problem.status != "cleared"
        problem.status, problem.last_alert_at = "cleared", now
        state.latest_alert = alert.alert
        if state.is_over or state.decision is None:
            return
        if is_change:
            self._flapping.note_change(key, now)
        if not problem.is_open and was_open:
            self._end(key, alert.alert, now)

    def is_stable(self, key: str, now: datetime) -> None:
        """A problem that flapped has not changed for long enough."""
        if self._flapping.end(key, now) and not self._state.is_over:
            alert = self._state.problems[key].alert or self._state.alert
            if alert is not None:
                self._end(key, alert.model_copy(update={"status": "cleared"}), now)

    def _end(self, key: str, alert: Alert, now: datetime) -> None:
        """A problem is over."""
        if self._state.open_problems:
            self._fires.end(key, alert, now)
        else:
            self._clear_all(alert, now)

    def _clear_all(self, alert: Alert, now: datetime) -> None:
        state = self._state
        assert state.decision is not None
        amount = amount_of(alert, state.alert)
        value = f" at {amount}" if amount else ""
        state.cleared = True
        state.deadlines = [one for one in state.deadlines if one.kind != "hold"]
        if state.decision.regulated:
            action = ResponderAction(type="resolve", by="", source=ARIZE)
            self._actions.closure_denied(f"cleared{value}", action, now)
            return
        many = len(state.problems) > 1
        what = f"all {len(state.problems)} monitors have cleared" if many else f"the monitor cleared{value}"
        state.record(now, "cleared", what, by="arize", alert=alert)
        self._actions.resolve(ARIZE, f"{what[0].upper()}{what[1:]}." if many else "The monitor cleared.", now)

    def takes_no_data(self, alert: GroupedAlert) -> bool:
        """Whether a monitor without data is to be decided about: nobody knows of it.

        Also after it had cleared, while others are triggered, a person must close the incident or its last updates are
        sent: otherwise it opens another one.
        """
        state, problem = self._state, self._state.problems.get(alert.problem_id)
        return state.decision is None or state.is_over or problem is None or not problem.is_open

    def no_data(self, alert: GroupedAlert, now: datetime) -> None:
        """A monitor has no data: recorded, and no reason to resolve anything."""
        state, problem = self._state, self._state.problems.get(alert.problem_id)
        state.latest_alert = alert.alert
        if problem is not None and problem.is_open:
            problem.status, problem.last_alert_at = "no_data", now
        state.record(now, "no_data", "the monitor has no data", by="arize")

    def discard(self, alerts: Sequence[GroupedAlert], now: datetime, reason: str = "") -> None:
        """The monitors had cleared before anybody was notified, and nobody is.

        Args:
            alerts: the incident's first ones.
            now: the time.
            reason: by default, that Arize said so when it was asked about alerts that state no status.
        """
        reason = reason or "the monitor had cleared when it was read; nobody was notified"
        state, alert = self._state, alerts[-1].alert
        state.alert = state.latest_alert = alert
        state.alert_count += sum(one.count for one in alerts)
        for one in alerts:
            problem = self._problem(one.problem_id, one, self._times_of(one), now)
            problem.status = "cleared"
            problem.alert_count += one.count
        state.record(now, "received", alert.monitor, alert=alert)
        state.record(now, "cleared", reason, by="arize")
        state.state, state.cleared, state.resolved_by = "resolved", True, "arize"

    # ── Described later ─────────────────────────────────────────────────────────────────────────────────

    @property
    def late(self) -> LateDescriptions:
        """The alerts that were decided without Arize's description."""
        return LateDescriptions(self._state, self._escalation, self._fires, self.clear)

    # ── Obligations ─────────────────────────────────────────────────────────────────────────────────────

    def adopt(self, decision: Decision, now: datetime) -> None:
        """Take over what a decision about a further message demands of who owns and closes the incident."""
        if self._state.decision is not None and not self._state.is_over:
            self._escalation.adopt(decision, now)

    def says_more(self, alert: GroupedAlert) -> bool:
        """Whether a message that is not triggered names what no alert named, so that the policy may say regulated."""
        state, problem = self._state, self._state.problems.get(alert.problem_id)
        if state.decision is None or state.decision.regulated or state.is_over or problem is None:
            return False
        return names_more(alert.alert, [problem.alert, state.alert, state.latest_alert])
