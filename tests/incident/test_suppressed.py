"""What suppresses an incident that people were notified of already: its escalation, and what is checked again."""

from datetime import timedelta

import pytest

from alerts.bounded import json_size
from incident.events import GroupedAlert
from incident.limits import STATE_BYTES
from incident.message_builder import build_message
from incident.peers import PeerMessage
from incident.state import IncidentState
from incident.state_machine import IncidentStateMachine
from incident.suppressed import MAX_LISTED
from incident.suppression import ListedIncident, Suppression
from incident.view import incident_view
from tests.incident.timeline_player import CRITICAL, START
from tests.workflows.harness import make_alert

KEY = "incident-m-1"
ALERT = make_alert(monitor_id="m-1")


def machine(suppression: Suppression | None = None) -> IncidentStateMachine:
    """An incident whose first page is pending; ``suppression`` is that of its first alert."""
    state = IncidentState(incident=KEY, first_run_id="run", opened_at=START, bounded=True, tracks_problems=True)
    found = IncidentStateMachine(state)
    grouped = GroupedAlert(alert=ALERT, problem=KEY)
    found.add_alerts([grouped], CRITICAL, START, (), {KEY: suppression} if suppression else {})
    return found


def recheck(found: IncidentStateMachine, suppression: Suppression | None) -> None:
    found.suppressions.handle(PeerMessage(to=KEY, kind="recheck", incident="x"), START)
    assert found.suppressions.to_check() == [KEY]
    found.suppressions.apply({KEY: suppression}, START)
    assert found.suppressions.to_check() == []


def steps_after(found: IncidentStateMachine, minutes: float) -> list[str]:
    found.run_due(START + timedelta(minutes=minutes))
    return [one.target.name for one in found.state.pending if one.verb == "notify"]


@pytest.mark.parametrize("kind", ["inhibition", "seasonal"])
def test_who_was_paged_goes_on_being_paged(kind: str) -> None:
    found = machine()
    recheck(found, Suppression.model_validate({"kind": kind, "reason": "x", "source": "incident-other"}))
    assert steps_after(found, 15) == ["primary", "secondary"]


@pytest.mark.parametrize("kind", ["inhibition", "seasonal"])
def test_repeat_of_what_was_paged_is_not_kept_quiet(kind: str) -> None:
    found = machine()
    suppression = Suppression.model_validate({"kind": kind, "reason": "x", "source": "incident-other"})
    again = GroupedAlert(alert=ALERT.model_copy(update={"value": 0.4}), problem=KEY)
    found.add_alerts([again], CRITICAL, START + timedelta(minutes=1), (), {KEY: suppression})
    assert steps_after(found, 15) == ["primary", "secondary"]


def test_silenced_escalation_waits_and_is_checked_again() -> None:
    until = START + timedelta(minutes=40)
    found = machine()
    recheck(found, Suppression(kind="silence", reason="known (alice)", until=until, source="s-1"))
    assert incident_view(found.state, found.next_deadline()).next_action.startswith(
        "Escalate to step 2 (secondary) unless acknowledged or still silenced"
    )
    assert steps_after(found, 15) == ["primary"]
    assert found.state.timeline[-1].text == f"the escalation waits until {until:%Y-%m-%d %H:%M:%S} UTC: silenced"
    assert found.suppressions.to_check() == [KEY]  # a worker may know better
    found.suppressions.apply({KEY: None}, START + timedelta(minutes=15))
    assert steps_after(found, 40) == ["primary", "secondary"]


def test_listed_incidents_are_bounded() -> None:
    """A storm of 5,000 incidents: the state fits into Temporal, and no thread is filled."""
    found = machine()
    found.state.pending.clear()
    for number in range(5_000):
        listed = ListedIncident(
            incident=f"incident-{number}", monitor="\U0001f525" * 255, model="chatbot", tier="high", kind="budget"
        )
        message = PeerMessage(to=KEY, kind="list", incident=listed.incident, listed=listed)
        found.suppressions.handle(message, START)
    assert len(found.state.listed) + found.state.listed_beyond == 5_000
    assert json_size(found.state.listed) < STATE_BYTES
    facts = {fact.label: fact.value for fact in build_message(found.state).facts}
    assert facts["Beyond the page budget"].startswith(f"{MAX_LISTED} incidents: HIGH chatbot ")
    assert facts["Listed no more"] == f"{5_000 - MAX_LISTED:,} further incidents"
    assert len([one for one in found.state.pending if one.verb == "note"]) <= 10


def test_critical_of_another_model_is_named_at_once() -> None:
    found = machine()
    found.state.listed = {
        f"incident-{number}": ListedIncident(
            incident=f"incident-{number}", monitor="m", model="chatbot", tier="critical", kind="budget"
        )
        for number in range(MAX_LISTED)
    }
    other = ListedIncident(incident="incident-z", monitor="z", model="search", tier="critical", kind="budget")
    found.suppressions.handle(PeerMessage(to=KEY, kind="list", incident="incident-z", listed=other), START)
    assert found.state.timeline[-1].text == "incident-z: z (critical)"
