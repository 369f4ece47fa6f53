"""The incident as a pure state machine, without Temporal: what each event changes, and which notifications follow.

``received → (holding) → notified → acknowledged → resolved → closed``, with ``awaiting_human`` when only a person may
close. The workflow feeds events to the state machine and dispatches the notifications it queues.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from alerts import Alert
from incident.actions import PROCESSED_EVENT_IDS, ActionHandler
from incident.escalation import Escalation
from incident.events import GroupedAlert, ResponderAction
from incident.fires import Fires
from incident.outbox import Outbox
from incident.problem_alerts import ProblemAlerts
from incident.receipt import Receipt
from incident.single_escalation import SingleEscalation
from incident.single_monitor import SingleMonitor
from incident.state import Deadline, IncidentState, PendingNotification
from incident.suppressed import Suppressions
from incident.suppression import Suppression
from policy import Decision, IncidentFacts

_ESCALATES = frozenset({"step", "ack_timeout", "remind"})
"""Deadlines that wait while everything that is triggered is suppressed."""


class IncidentStateMachine:
    """Changes an IncidentState. Every method takes the time; none reads a clock or has a side effect."""

    def __init__(self, state: IncidentState, patched: Callable[[str], bool] = lambda _: True) -> None:
        """
        Args:
            state: which it changes.
            patched: whether this incident behaves in the way of that name, as ``workflow.patched`` says. It is asked
                only where the behaviour differs from version 1.0.0, so that other incidents have no event for it.
        """
        self.state = state
        self._patched = patched
        self._outbox = Outbox(state)
        single = SingleEscalation(state, self._outbox, patched)
        self._escalation: Escalation = Escalation(state, self._outbox, patched) if state.tracks_problems else single
        self._actions = ActionHandler(state, self._outbox, self._escalation, patched)
        self._fires = Fires(state, self._outbox, self._escalation)
        self._suppressions = Suppressions(state, self._fires)
        self._single = SingleMonitor(state, self._outbox, single, self._actions, patched)
        self._problems = (
            ProblemAlerts(state, self._outbox, self._escalation, self._actions, self._fires)
            if state.tracks_problems
            else None
        )

    # ── Alerts ──────────────────────────────────────────────────────────────────────────────────────────

    def deduplicate(self, alert: GroupedAlert) -> GroupedAlert | None:
        """The part of a grouped alert that is not a redelivery; None when all of it is."""
        state = self.state
        known = set(state.processed_event_ids)
        ids = tuple(dict.fromkeys(event_id for event_id in alert.event_ids if event_id))
        new = tuple(event_id for event_id in ids if event_id not in known)
        state.processed_event_ids = (state.processed_event_ids + list(new))[-PROCESSED_EVENT_IDS:]
        redelivered = len(ids) - len(new)
        if ids and not new and alert.count <= redelivered:
            return None
        changes = {"count": max(alert.count - redelivered, 1), "event_ids": new, "problem": self._problem_of(alert)}
        return alert.model_copy(update=changes)

    def _problem_of(self, alert: GroupedAlert) -> str:
        """The problem of an alert. Gateways of earlier versions name none: theirs has the incident's own id."""
        problems = self.state.problems
        if alert.problem or not self.state.tracks_problems:
            return alert.problem
        named = alert.problem_id  # of the whole alert: what is left out of it later may be a part of its identity
        return self.state.incident if named not in problems and self.state.incident in problems else named

    def facts(self, alerts: Sequence[GroupedAlert], now: datetime) -> IncidentFacts:
        """What a condition may ask of this incident, the given alerts included."""
        state = self.state
        return IncidentFacts(
            alerts=state.alert_count + sum(one.count for one in alerts),
            age=(now - state.opened_at).total_seconds() if state.decision else 0.0,
            tier=state.tier or "",
        )

    def add_alerts(
        self,
        alerts: Sequence[GroupedAlert],
        decision: Decision,
        now: datetime,
        decisions: Sequence[Decision] = (),
        suppressions: Mapping[str, Suppression] = MappingProxyType({}),
    ) -> None:
        """Add alerts that are triggered.

        Those that were triggered before their monitor last cleared are only recorded.

        Args:
            alerts: in the order in which they arrived.
            decision: the loudest about them.
            now: the time.
            decisions: about each of them; without any, ``decision`` is about all.
            suppressions: by problem: what keeps its alerts quiet, beside maintenance.
        """
        if self._problems is not None:
            self._problems.add(alerts, decisions or [decision] * len(alerts), now, suppressions)
        else:
            self._single.add_alerts(alerts, decision, now)

    def clear(self, alert: GroupedAlert, now: datetime) -> None:
        """A monitor cleared."""
        (self._problems or self._single).clear(alert, now)

    def takes_no_data(self, alert: GroupedAlert) -> bool:
        """Whether a monitor without data is to be decided about like one that is triggered."""
        return self._problems.takes_no_data(alert) if self._problems else self._single.opens_without_data

    def no_data(self, alert: GroupedAlert, now: datetime) -> None:
        """A monitor has no data: recorded, and no reason to resolve anything."""
        (self._problems or self._single).no_data(alert, now)

    def discard(self, alerts: Sequence[GroupedAlert], now: datetime) -> None:
        """Arize said that the monitors of the incident's first alerts have cleared: nobody is notified."""
        (self._problems or self._single).discard(alerts, now)

    def note_undescribed(self, alerts: Sequence[Alert], reason: str, now: datetime) -> None:
        """These alerts were decided without Arize's description, which is still asked for."""
        if self._problems is not None:
            self._problems.late.note(alerts, reason, now)
        else:
            self._single.note_undescribed(alerts, reason, now)

    def reconsider(
        self,
        asked: Sequence[Alert],
        alerts: Sequence[Alert],
        decision: Decision,
        now: datetime,
        decisions: Sequence[Decision] = (),
    ) -> None:
        """Arize described alerts that were decided without a description: tiers may rise, and never fall.

        Args:
            asked: the alerts as ``note_undescribed`` received them.
            alerts: the same alerts, described, in the same order.
            decision: the loudest about them.
            now: the time.
            decisions: about each of them; without any, ``decision`` is about all.
        """
        if self._problems is not None:
            self._problems.late.reconsider(asked, alerts, decisions or [decision] * len(alerts), now)
        else:
            self._single.reconsider(asked, alerts, decision, now)

    def adopt(self, decision: Decision, now: datetime) -> None:
        """Take over what a decision about a further message demands of who owns and closes the incident."""
        (self._problems or self._single).adopt(decision, now)

    def says_more(self, alert: GroupedAlert) -> bool:
        """Whether a message that is not triggered names what no alert named, so that the policy may say regulated."""
        return self._problems.says_more(alert) if self._problems else self._single.says_more(alert.alert)

    # ── Responders ──────────────────────────────────────────────────────────────────────────────────────

    def handle_action(self, action: ResponderAction, now: datetime) -> None:
        """Apply what a responder did."""
        self._actions.handle(action, now)

    # ── Notifications ───────────────────────────────────────────────────────────────────────────────────

    def mark_sent(self, notification: PendingNotification, receipt: Receipt, *, audit_written: bool) -> None:
        """A destination accepted a notification. ``audit_written``: the audit log holds its event already."""
        self._outbox.mark_sent(notification, receipt, audit_written=audit_written)
        if self.state.early_actions and notification.target.kind == "ticket":
            self._actions.handle_early(receipt.at)

    def mark_over_budget(self, notification: PendingNotification, carrier: str, now: datetime) -> None:
        """A page was not sent, because its budget is used up: the incident is listed in another one."""
        self._outbox.drop(notification)
        scope = notification.budget.scope if notification.budget else ""
        text = f"{notification.target.name} is not paged: the page budget of {scope} is used up"
        self.state.record(now, "over_budget", text, incident=carrier)
        self._suppressions.over_budget(carrier, scope, now)

    def mark_failed(self, notification: PendingNotification, reason: str, now: datetime, *, permanent: bool) -> None:
        """All attempts at a notification failed."""
        self._outbox.mark_failed(notification, reason, now, permanent=permanent)

    # ── Suppression ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def suppressions(self) -> Suppressions:
        """What suppresses this incident, and what it suppresses."""
        return self._suppressions

    def settle(self) -> None:
        """Everything that happened is applied: what follows for other incidents is queued in ``outgoing``."""
        if self._problems is None:
            return
        if self.state.listed:
            self._suppressions.release_listed()
        if self.state.is_over:
            self._suppressions.leave_sources()

    # ── Time ────────────────────────────────────────────────────────────────────────────────────────────

    def next_deadline(self) -> Deadline | None:
        return min(self.state.deadlines, key=lambda one: one.at, default=None)

    def run_due(self, now: datetime) -> None:
        """Run every deadline that is due, in order."""
        state = self.state
        for deadline in sorted(state.deadlines, key=lambda one: one.at):
            is_void = state.is_over and not (state.bounded and deadline.kind == "retry")
            if deadline.at > now or deadline not in state.deadlines or is_void:
                continue
            state.deadlines.remove(deadline)
            if deadline.kind == "hold" and deadline.problem:
                self._fires.end_hold(deadline, now)
            elif deadline.kind == "silence_ends":
                self._suppressions.remind_of_end(deadline, now)
            elif deadline.kind == "stable" and self._problems is not None:
                self._problems.is_stable(deadline.problem, now)
            elif not (deadline.kind in _ESCALATES and self._suppressions.waits(deadline, now)):
                self._escalation.run(deadline, now)

    def close(self, now: datetime) -> None:
        """Everything is sent and recorded."""
        self.state.state, self.state.closed_at = "closed", now
