"""The alerts of incidents that versions before 1.2 began: such an incident has one monitor, and follows that.

Kept unchanged for them, because Temporal replays their histories; ``incident.problem_alerts`` has all others.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from alerts import Alert
from incident.actions import ARIZE, EVENT_ORDER, ActionHandler
from incident.alert_records import (
    note_repeats,
    record_delay,
    record_older_clear,
    record_older_triggers,
    record_repeats,
)
from incident.amounts import amount_of
from incident.escalation import OBLIGATIONS, REFIRE
from incident.events import GroupedAlert, ResponderAction
from incident.obligations import names_more
from incident.order import MAX_CLOCK_ERROR, EventTimes, believable
from incident.outbox import Outbox
from incident.single_escalation import SingleEscalation
from incident.state import IncidentState
from incident.text import clock_text, counted
from policy import Decision, format_duration

_MAX_UNDESCRIBED = 4
"""Alerts that are described later; those of one monitor count once, and an incident has one."""


class SingleMonitor:
    """Changes the state it is given."""

    def __init__(
        self,
        state: IncidentState,
        outbox: Outbox,
        escalation: SingleEscalation,
        actions: ActionHandler,
        patched: Callable[[str], bool],
    ) -> None:
        self.state, self._outbox, self._escalation, self._actions = state, outbox, escalation, actions
        self._patched = patched

    def add_alerts(self, alerts: Sequence[GroupedAlert], decision: Decision, now: datetime) -> None:
        """Add alerts that are triggered, and the loudest decision about them.

        Those that were triggered before the monitor last cleared are only recorded.
        """
        state = self.state
        current = [one for one in alerts if not state.times.is_older_trigger(one.happened_at, now)]
        if len(current) < len(alerts) and self._patched(EVENT_ORDER):
            older = [one for one in alerts if one not in current]
            if not current:
                self._record_older_only(older, decision, now)
                return
            record_older_triggers(state, older, now, state.times)
            alerts = current
        if state.decision is not None and (state.is_over or state.cleared):
            repeats = [one for one in alerts if one.repeated]
            alerts = [one for one in alerts if not one.repeated]
            record_repeats(state, repeats, now)
            if not alerts:
                return
        closed = state.decision if state.is_over else None
        if state.is_over:
            # Triggered again while its last updates were being sent: a new problem, not an echo.
            fires = any(one.alert.status == "triggered" for one in alerts)
            what = "fires again: triggered" if fires else "opened again: its monitor has no data,"
            state.record(now, "reopened", f"{what} before it was closed")
            state.state, state.decision, state.tier, state.alert = "received", None, None, None
            state.resolved_by, state.cleared = "", False
            state.times.escalated_at = now  # what somebody did before does not stop it
        has_data = self._has_data_again(alerts)
        refired = self._refired(alerts, now) if state.decision else ""
        refired = refired if refired and self._patched(REFIRE) else ""
        self._record_alerts(alerts, now, notes_repeats=not refired)
        if has_data and not refired:
            self._replace_alert(now)
        if refired:
            self._escalation.refire(decision, now, refired)
        elif state.cleared:
            state.cleared = False
            if state.state == "awaiting_human":
                state.state = "acknowledged" if state.acknowledged_at else "notified"
            state.record(now, "refired", "triggered again after it had cleared")
            self._escalation.apply_later_decision(decision, now)
        elif state.decision is None:
            if closed and closed.regulated and not decision.regulated and self._patched(OBLIGATIONS):
                decision = decision.with_obligations(closed)
            self._escalation.apply_first_decision(decision, now)
        else:
            self._escalation.apply_later_decision(decision, now)

    def _refired(self, alerts: Sequence[GroupedAlert], now: datetime) -> str:
        """Why these alerts are no repeat of what the incident knows; empty if they are one, or silenced.

        Arize notifies of a monitor that starts to be triggered, and of a clear perhaps not: an alert that comes long
        after the last one means that the monitor had cleared unseen.
        """
        state = self.state
        is_answered = bool(state.acknowledged_at) or state.state == "awaiting_human"
        if is_answered and self._has_data_again(alerts):
            return "after it had no data"  # a silence was for that
        if state.is_silenced:
            return ""  # the person asked for it, and it ends by itself
        if state.cleared:
            return "after it had cleared"
        if state.decision is None or not is_answered:
            return ""
        times = state.times.model_copy(deep=True)
        for one in alerts:  # they may have waited together: each counts from the one before it
            happened = believable(one.alert.ordering_time, now)
            gap = times.gap(happened, now, one.received_at)
            is_long = gap is not None and gap.total_seconds() > state.decision.refire_after
            is_repeat = one.repeated or self._is_late_repeat(times, happened, now)
            if gap is not None and is_long and not is_repeat:
                seconds = int(gap.total_seconds())
                return f"{format_duration(seconds // 60 * 60 if seconds >= 60 else seconds)} after its last alert"
            if not one.repeated:
                times.add_trigger(one.happened_at, now, one.arrived_at)
        return ""

    def _has_data_again(self, alerts: Sequence[GroupedAlert]) -> bool:
        """Whether the monitor is triggered, and the incident so far is about its lack of data: that is another fire."""
        state = self.state
        is_about_data = state.bounded and state.alert is not None and state.alert.status == "no_data"
        return is_about_data and any(one.alert.status == "triggered" for one in alerts)

    def _replace_alert(self, now: datetime) -> None:
        """Messages are about the triggered monitor now."""
        self.state.alert = self.state.latest_alert
        self.state.record(now, "has_data_again", "triggered; it had no data before", by="arize")
        self._outbox.broadcast("refresh", "Triggered: it had no data before.", kinds=frozenset({"post", "console"}))

    def _is_late_repeat(self, times: EventTimes, happened: datetime | None, now: datetime) -> bool:
        """Whether an alert only arrives late: it happened soon after the last one, and before the acknowledgement."""
        state = self.state
        after = times.happened_after(happened, now)
        if after is None or state.acknowledged_at is None or state.decision is None:
            return False
        if happened is None or happened.tzinfo is None:
            return False
        is_soon = after != timedelta() and after.total_seconds() <= state.decision.refire_after
        return is_soon and state.opened_at - MAX_CLOCK_ERROR <= happened <= state.acknowledged_at

    def _record_older_only(self, alerts: Sequence[GroupedAlert], decision: Decision, now: datetime) -> None:
        """All of these were triggered before the monitor cleared. Their obligations count, in doubt."""
        state = self.state
        if state.decision is not None or state.is_over:
            record_older_triggers(state, alerts, now, state.times)
            if not state.is_over:
                self._escalation.adopt(decision, now)
            return
        cleared = f"cleared at {clock_text(state.times.last_clear(alerts[-1].happened_at))}"
        self.discard(alerts, now, f"triggered before the monitor {cleared}; nobody was notified")

    def _record_alerts(self, alerts: Sequence[GroupedAlert], now: datetime, *, notes_repeats: bool = True) -> None:
        state = self.state
        latest, count = alerts[-1].alert, sum(one.count for one in alerts)
        state.alert_count += count
        newest = state.times.last_trigger(alerts[-1].happened_at)
        for one in alerts:
            if not one.repeated:
                state.times.add_trigger(one.happened_at, now, one.arrived_at)
        happened = believable(alerts[-1].happened_at, now)
        if state.alert is None or state.latest_alert is None or not (happened and newest and happened < newest):
            state.latest_alert = latest
        if state.alert is None:
            state.alert = latest
            ids = [event_id for one in alerts for event_id in one.event_ids][:50]
            state.record(now, "received", latest.monitor, event_ids=ids, alert=latest)
            record_delay(state, alerts, now)
            return
        record_delay(state, alerts, now)
        amount = amount_of(latest, state.alert)
        value = f", now {amount}" if amount else ""
        text = f"{counted(count, 'more alert')}{value}"
        state.record(now, "alert_added", text, alert=latest)
        if notes_repeats and note_repeats(state.alert_count, count):
            text = f"Triggered again: {counted(state.alert_count, 'alert')} so far{value}."
            self._outbox.broadcast("note", text, kinds=frozenset({"post"}))

    def clear(self, alert: GroupedAlert, now: datetime) -> None:
        """The monitor cleared."""
        state = self.state
        record_delay(state, (alert,), now)
        if state.times.is_older_clear(alert.happened_at, now) and not state.is_over and self._patched(EVENT_ORDER):
            record_older_clear(state, alert, now, state.times)
            return
        state.times.add_clear(alert.happened_at, now)
        state.latest_alert = alert.alert
        if state.is_over or state.decision is None:
            return
        amount = amount_of(alert.alert, state.alert)
        value = f" at {amount}" if amount else ""
        state.cleared = True
        if state.decision.regulated:
            action = ResponderAction(type="resolve", by="", source=ARIZE)
            self._actions.closure_denied(f"cleared{value}", action, now)
            return
        state.record(now, "cleared", f"the monitor cleared{value}", by="arize")
        self._actions.resolve(ARIZE, "The monitor cleared.", now)

    @property
    def opens_without_data(self) -> bool:
        """Whether a monitor without data is to be decided about, as the first alert of an incident.

        Also after it had cleared, while a person must close the incident or its last updates are sent: otherwise it
        opens another one.
        """
        state = self.state
        return state.decision is None or (state.bounded and (state.is_over or state.cleared))

    def no_data(self, alert: GroupedAlert, now: datetime) -> None:
        """The monitor has no data: recorded, and no reason to resolve anything."""
        self.state.latest_alert = alert.alert
        self.state.record(now, "no_data", "the monitor has no data", by="arize")

    def discard(self, alerts: Sequence[GroupedAlert], now: datetime, reason: str = "") -> None:
        """The monitor had cleared before anybody was notified, and nobody is.

        Args:
            alerts: the incident's first ones.
            now: the time.
            reason: by default, that Arize said so when it was asked about alerts that state no status.
        """
        reason = reason or "the monitor had cleared when it was read; nobody was notified"
        state, alert = self.state, alerts[-1].alert
        state.alert = state.latest_alert = alert
        state.alert_count += sum(one.count for one in alerts)
        state.record(now, "received", alert.monitor, alert=alert)
        state.record(now, "cleared", reason, by="arize")
        state.state, state.cleared, state.resolved_by = "resolved", True, "arize"

    def note_undescribed(self, alerts: Sequence[Alert], reason: str, now: datetime) -> None:
        """These alerts were decided without Arize's description, which is still asked for."""
        state = self.state
        latest = {one.monitor_id: one for one in (*state.undescribed, *alerts)}
        if not state.undescribed:
            state.record(now, "description_missing", f"decided without Arize's description: {reason}")
        state.undescribed = list(latest.values())[-_MAX_UNDESCRIBED:]

    def reconsider(self, asked: Sequence[Alert], alerts: Sequence[Alert], decision: Decision, now: datetime) -> None:
        """Arize described alerts that were decided without a description.

        The tier may rise, and never falls. What was learned about who must close the incident is adopted.

        Args:
            asked: the alerts as ``note_undescribed`` received them.
            alerts: the same alerts, described, in the same order.
            decision: the loudest about them.
            now: the time.
        """
        state = self.state
        state.undescribed = [one for one in state.undescribed if one not in asked]
        if state.is_over or state.decision is None:
            return
        cleared = [one for one in alerts if one.status == "cleared" and not self._triggered_since(one)]
        if described := [one for one in alerts if one.status != "cleared"]:
            if state.alert is not None and state.alert.undescribed:
                state.alert = described[-1]
            if state.latest_alert is not None and state.latest_alert.undescribed:
                state.latest_alert = described[-1]
            self._escalation.reconsider(decision, now, described[-1].undescribed)
        if cleared:
            if not described:
                self.adopt(decision, now)
            self.clear(GroupedAlert(alert=cleared[-1]), now)

    def adopt(self, decision: Decision, now: datetime) -> None:
        """Take over what a decision about a further message demands of who owns and closes the incident."""
        if self.state.decision is not None and not self.state.is_over:
            self._escalation.adopt(decision, now)

    def says_more(self, alert: Alert) -> bool:
        """Whether a message that is not triggered names what no alert named, so that the policy may say regulated."""
        state = self.state
        if state.decision is None or state.decision.regulated or state.is_over:
            return False
        return names_more(alert, [state.alert, state.latest_alert])

    def _triggered_since(self, cleared: Alert) -> bool:
        """Whether an alert came while Arize was asked: the monitor may have triggered again after what Arize said."""
        if any(one.monitor_id == cleared.monitor_id for one in self.state.undescribed):
            return True  # it is asked about next
        latest = self.state.latest_alert
        if latest is None or latest.monitor_id != cleared.monitor_id or latest.status != "triggered":
            return False
        at = self.state.times.alert_arrived_at if latest.local_time else latest.occurred_at
        return bool(at and cleared.occurred_at and at > cleared.occurred_at)
