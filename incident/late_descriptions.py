"""Alerts of an incident's problems that were decided without Arize's description, and are described later."""

from collections.abc import Callable, Sequence
from datetime import datetime

from alerts import Alert, incident_id
from incident.escalation import Escalation
from incident.events import GroupedAlert
from incident.fires import Fires
from incident.problem import Problem
from incident.state import IncidentState
from policy import Decision
from policy.decision import TIERS

_MAX_UNDESCRIBED = 8
"""Alerts that are described later; those of one monitor count once."""


class LateDescriptions:
    """Changes the state it is given. ``clear`` takes a clear that Arize stated."""

    def __init__(
        self,
        state: IncidentState,
        escalation: Escalation,
        fires: Fires,
        clear: Callable[[GroupedAlert, datetime], None],
    ) -> None:
        self._state, self._escalation, self._fires, self._clear = state, escalation, fires, clear

    def note(self, alerts: Sequence[Alert], reason: str, now: datetime) -> None:
        """These alerts were decided without Arize's description, which is still asked for."""
        state = self._state
        latest = {one.monitor_id: one for one in (*state.undescribed, *alerts)}
        if not state.undescribed:
            state.record(now, "description_missing", f"decided without Arize's description: {reason}")
        state.undescribed = list(latest.values())[-_MAX_UNDESCRIBED:]

    def reconsider(
        self, asked: Sequence[Alert], alerts: Sequence[Alert], decisions: Sequence[Decision], now: datetime
    ) -> None:
        """Arize described alerts that were decided without a description: tiers may rise, and never fall.

        Args:
            asked: the alerts as ``note_undescribed`` received them.
            alerts: the same alerts, described, in the same order.
            decisions: about each of them.
            now: the time.
        """
        state = self._state
        state.undescribed = [one for one in state.undescribed if one not in asked]
        if state.is_over or state.decision is None:
            return
        found = [
            (self._key_of(before), one, decision)
            for before, one, decision in zip(asked, alerts, decisions, strict=True)
        ]
        found = [item for item in found if item[0]]
        for key, one, decision in sorted(found, key=lambda item: -TIERS.index(item[2].tier)):
            if one.status == "cleared":
                continue
            self._replace_undescribed(state.problems[key], one, is_lead=key == state.lead)
            self._fires.reconsider(key, decision, now, one.undescribed)
        for key, one, decision in found:
            if one.status == "cleared" and not self._triggered_since(key, one):
                self._escalation.adopt(decision, now)
                self._clear(GroupedAlert(alert=one, problem=key), now)

    def _replace_undescribed(self, problem: Problem, alert: Alert, *, is_lead: bool) -> None:
        state = self._state
        if problem.alert is None or problem.alert.undescribed:
            problem.alert = alert
            problem.monitor = alert.monitor
        if state.alert is not None and state.alert.undescribed and is_lead:
            state.alert = alert
        if state.latest_alert is not None and state.latest_alert.undescribed:
            state.latest_alert = alert

    def _key_of(self, alert: Alert) -> str:
        """The problem of an alert that was asked about; empty if the incident no longer holds it."""
        problems = self._state.problems
        if (key := incident_id(alert)) in problems:
            return key
        return next((name for name, one in problems.items() if one.monitor_id == alert.monitor_id), "")

    def _triggered_since(self, key: str, cleared: Alert) -> bool:
        """Whether an alert came while Arize was asked: the monitor may have triggered again after what Arize said."""
        state, problem = self._state, self._state.problems[key]
        if any(one.monitor_id == cleared.monitor_id for one in state.undescribed):
            return True  # it is asked about next
        latest = problem.alert
        if latest is None or latest.status != "triggered":
            return False
        at = problem.times.alert_arrived_at if latest.local_time else latest.occurred_at
        return bool(at and cleared.occurred_at and at > cleared.occurred_at)
