"""What an incident gathers is bounded, and what is dropped is counted."""

from datetime import UTC, datetime, timedelta

from alerts.bounded import json_size
from incident.audit_events import AuditEvent
from incident.events import GroupedAlert, ResponderAction
from incident.limits import PENDING_NOTES_BYTES, UNWRITTEN_BYTES
from incident.receipt import Receipt
from incident.state import IncidentState
from incident.state_machine import IncidentStateMachine
from policy import Decision, Step, Target, Verdict
from policy.decision import bounded_decision
from tests.workflows.harness import make_alert

NOW = datetime(2026, 5, 1, tzinfo=UTC)
POST = Target(name="ops", type="slack", kind="post")
EMOJI = "\N{FIRE}"


def a_state(*, bounded: bool = True) -> IncidentState:
    return IncidentState(incident="incident-x-0", first_run_id="0123456789", opened_at=NOW, bounded=bounded)


def write_all(state: IncidentState) -> None:
    state.unwritten_events = []


def test_unwritten_events_are_bounded_and_counted() -> None:
    state = a_state()
    for number in range(3000):
        state.record(NOW, "alert_added", EMOJI * 2000, alert={"tags": EMOJI * 8000, "number": number})
        if number % 100 == 0:
            state.record(NOW, "acknowledged", f"by number {number}", by="alice")
    assert json_size(state.unwritten_events) <= UNWRITTEN_BYTES * 1.1
    kept = [one.event for one in state.unwritten_events]
    assert kept.count("acknowledged") == 30, "what a person did is kept"
    omitted = 3000 - kept.count("alert_added")
    write_all(state)
    state.record_omitted(NOW)
    (event,) = state.unwritten_events
    assert event.text == f"{omitted:,} events while the audit log was unavailable: {omitted:,} alert_added"
    write_all(state)
    state.record_omitted(NOW)
    assert state.unwritten_events == [], "once"


def test_few_unwritten_events_keep_their_data() -> None:
    state = a_state()
    for number in range(100):
        state.record(NOW, "alert_added", "1 more alert", alert={"value": number})
    assert [one.data["alert"]["value"] for one in state.unwritten_events] == list(range(100))


def test_runs_of_earlier_releases_keep_all_events() -> None:
    """Their histories must replay to the same activities."""
    state = a_state(bounded=False)
    for _ in range(100):
        state.record(NOW, "alert_added", EMOJI * 2000, alert={"tags": EMOJI * 8000})
    assert len(state.unwritten_events) == 100
    assert all(isinstance(one, AuditEvent) and "alert" in one.data for one in state.unwritten_events)


def test_notes_for_an_unavailable_destination_are_bounded() -> None:
    state = a_state()
    machine = IncidentStateMachine(state)
    decision = Decision(rule="r", reason="w", tier="high", steps=(Step(notify=(POST,)),))
    machine.add_alerts([GroupedAlert(alert=make_alert())], decision, NOW)
    (first,) = state.pending
    receipt = Receipt(destination="ops", type="slack", id="1", at=NOW, key=first.key)
    machine.mark_sent(first, receipt, audit_written=True)
    for number in range(500):
        action = ResponderAction(type="annotate", by="bob", note=EMOJI * 2000, id=f"a-{number}")
        machine.handle_action(action, NOW + timedelta(seconds=number))
    assert json_size(state.pending) < PENDING_NOTES_BYTES * 1.3
    notes = len(state.pending)
    machine.handle_action(ResponderAction(type="resolve", by="bob"), NOW + timedelta(hours=1))
    assert [one.verb for one in state.pending[notes:]] == ["resolve"], "what changes the state is sent in any case"


def test_long_trace_keeps_matches_and_counts_others() -> None:
    trace = tuple(Verdict(f"rule {number}", number == 499, EMOJI * 300) for number in range(500))
    decision = Decision(rule="rule 499", reason="w", tier="critical", trace=trace)
    found = bounded_decision(decision, 65_536)
    assert json_size(found) <= 65_536 + 200
    assert (found.trace[-1].rule, found.trace[-1].matched) == ("rule 499", True)
    assert found.trace[-2].reason == f"and {500 - len(found.trace) + 1} more rules that did not match"
    assert bounded_decision(found, 131_072) == found


def test_long_reason_of_a_decision_is_cut() -> None:
    """It quotes the alert: an unmapped metric by its name, for example."""
    reason = EMOJI * 100_000
    decision = Decision(rule="r", reason=reason, tier="high", trace=(Verdict("r", matched=True, reason=reason),))
    found = bounded_decision(decision, 65_536)
    assert json_size(found) <= 65_536
    assert found.reason.endswith("…")
    assert found.trace[0].matched
