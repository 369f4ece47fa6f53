"""A simulation gives the same result as the workflow: the same script runs on both."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerts import Alert
from incident.events import ResponderAction
from incident.view import IncidentView
from integrations.base.registry import destination_types
from policy import Decision, OnAckTimeout, Step, Target, load_policy
from simulation.preview import decide_by
from simulation.simulator import Event, SimulatedIncident, pages, simulate
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import write_policy
from tests.workflows.harness import IncidentHarness, make_alert

Script = list[tuple[int, Alert | ResponderAction]]
"""Minutes after the first alert, and the alert or action."""

ERRORS = make_alert()
LATENCY = make_alert("p95_latency_ms", 6200)
QUALITY = make_alert("answer_relevance", 0.7)
RULED = make_alert(model="underwriting")


def cleared(alert: Alert) -> Alert:
    return alert.model_copy(update={"status": "cleared", "value": 0.01})


SCRIPTS: dict[str, tuple[Script, int]] = {
    "a page without acknowledgement": ([(0, ERRORS)], 70),
    "an acknowledgement and reminders": (
        [(0, ERRORS), (20, ResponderAction(type="acknowledge", by="alice"))],
        600,
    ),
    "a clear during the hold": ([(0, LATENCY), (3, cleared(LATENCY))], 10),
    "still triggered after the hold": ([(0, LATENCY)], 22),
    "a post without acknowledgement": ([(0, QUALITY)], 80),
    "repeats raise the tier": ([(0, QUALITY), (10, QUALITY), (20, QUALITY)], 40),
    "a regulated incident closed by a person": (
        [(0, RULED), (5, cleared(RULED)), (30, ResponderAction(type="resolve", by="carl", role="compliance"))],
        40,
    ),
    "a responder resolves it": ([(0, ERRORS), (16, ResponderAction(type="resolve", by="alice", role="responder"))], 20),
    "it fires again": ([(0, ERRORS), (5, ResponderAction(type="acknowledge", by="alice")), (40, ERRORS)], 60),
    "a regulated incident fires again": ([(0, RULED), (5, cleared(RULED)), (10, RULED)], 12),
    "only a digest": ([(0, make_alert("drift", 0.2)), (5, make_alert("drift", 0.3))], 10),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_workflow_matches_simulation(harness: IncidentHarness, tmp_path: Path, name: str) -> None:
    script, minutes = SCRIPTS[name]
    policy = load_policy(tmp_path / "policy.yaml", destination_types())
    view = await _play(harness, script, minutes)
    events = [Event(timedelta(minutes=at), what) for at, what in script]
    (simulated,) = simulate(events, decide_by(policy), view.opened_at, timedelta(minutes=minutes))
    assert _notified(view) == _simulated_notifications(simulated)
    state, there = simulated.state, view
    assert (there.state, there.tier, there.rule) == (state.state, state.tier, state.decision and state.decision.rule)
    assert _timeline(view) == [
        (entry.event, round((entry.at - state.opened_at) / timedelta(minutes=1)))
        for entry in state.timeline
        if entry.event in _STATE_MACHINE_EVENTS
    ]


_STATE_MACHINE_EVENTS = frozenset(
    {
        *("received", "alert_added", "classified", "holding", "hold_expired", "escalated", "ack_timeout", "reminded"),
        *("acknowledged", "cleared", "resolved", "closure_denied", "refired"),
    }
)
"""Events with the workflow's time. Receipts have the time of the vendor's answer, which is not simulated."""


async def _play(harness: IncidentHarness, script: Script, minutes: int) -> IncidentView:
    passed = 0
    for at, what in script:
        if at > passed:
            await harness.advance(minutes=at - passed)
            passed = at
        if isinstance(what, ResponderAction):
            await harness.act(what.type, what.by, what.role or "responder")
        else:
            taken = await harness.fire(what)
            if taken.state == "started":
                await harness.until(lambda view: view.decision)
        await _quiet(harness)
    await harness.advance(minutes=minutes - passed)
    return await _quiet(harness)


async def _quiet(harness: IncidentHarness) -> IncidentView:
    """The incident when no notification is pending."""
    before = -1

    def same(view: IncidentView) -> IncidentView | None:
        nonlocal before
        now = len(view.timeline)
        still, before = now == before, now
        return view if still and "receipt" not in view.next_action else None

    for _ in range(3):
        await harness.until(same)
    return await harness.view()


def _notified(view: IncidentView) -> Counter[str]:
    return Counter(receipt.destination for receipt in view.receipts)


def _simulated_notifications(simulated: SimulatedIncident) -> Counter[str]:
    sent = [one.target.name for one in simulated.sent if one.verb in {"notify", "remind"}]
    assert len(pages(simulated.sent)) <= len(sent)
    return Counter(sent)


def _timeline(view: IncidentView) -> list[tuple[str, int]]:
    return [
        (entry.event, round((entry.at - view.opened_at) / timedelta(minutes=1)))
        for entry in view.timeline
        if entry.event in _STATE_MACHINE_EVENTS
    ]


def test_alert_from_before_last_clear_opens_nothing(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira
) -> None:
    write_policy(tmp_path / "policy.yaml", pagerduty, slack, jira)
    decide = decide_by(load_policy(tmp_path / "policy.yaml", destination_types()))
    start = datetime(2026, 11, 24, 3, tzinfo=UTC)

    def at(minute: int, alert: Alert) -> Alert:
        return alert.model_copy(update={"occurred_at": start + timedelta(minutes=minute)})

    script = [(0, at(0, ERRORS)), (5, at(5, cleared(ERRORS))), (6, at(3, ERRORS)), (9, at(8, ERRORS))]
    events = [Event(timedelta(minutes=minute), alert) for minute, alert in script]
    simulated = simulate(events, decide, start, timedelta(minutes=10))
    assert [one.state.opened_at for one in simulated] == [start, start + timedelta(minutes=9)]


def test_steps_of_the_quieter_tier_stay_due() -> None:
    """As in the workflow since 1.1: a simulation of 1.0's state machine drops them when the tier rises."""
    primary, ops, managers = (
        Target(name=name, type=kind, kind="page" if kind == "pagerduty" else "post")
        for name, kind in (("primary", "pagerduty"), ("ops", "slack"), ("managers", "slack"))
    )
    decision = Decision(
        rule="quality",
        reason="",
        tier="high",
        steps=(Step(notify=(ops,)), Step(after=7200, notify=(managers,))),
        respond_within=3600,
        on_ack_timeout=OnAckTimeout(tier="critical", steps=(Step(notify=(primary,)),)),
    )
    start = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    (played,) = simulate([Event(timedelta(0), QUALITY)], lambda *_: decision, start, timedelta(hours=3))
    sent = [(one.after // timedelta(minutes=1), one.target.name) for one in pages(played.sent)]
    assert sent == [(0, "ops"), (60, "primary"), (120, "managers")]
