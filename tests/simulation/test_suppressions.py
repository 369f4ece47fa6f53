"""Inhibition, page budgets and silences in the simulation, which the replay of a history uses."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts import Alert, normalise
from incident.suppression import Suppression
from policy import Policy
from simulation.preview import decide_by
from simulation.simulator import Event, SimulatedIncident, simulate
from tests.policy.policies import load

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
POLICY = """
version: 1
destinations:
  pager: {type: pagerduty, routing_key: {env: A}}
  second: {type: pagerduty, routing_key: {env: A}}
  chat: {type: slack, token: {env: A}, channel: "#a"}
tiers:
  critical: {steps: [{notify: [pager, second]}]}
  high: {steps: [{notify: [chat]}]}
  low: {digest: [chat]}
models:
  chatbot: {team: support}
  search: {team: support}
  underwriting: {regulated: true, team: support}
rules:
  - name: errors
    when: alert.metric == "error_rate"
    tier: critical
    inhibits: [{same: [alert.model], tiers: [high, low]}]
  - {name: quality, when: alert.metric == "answer_relevance", tier: high}
otherwise: {tier: low}
noise: {page_budget: {pages: 2, within: 1h}}
governance: {regulated: model.regulated}
"""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    folder: Path = tmp_path_factory.mktemp("suppressions")
    return load(folder, POLICY)


def alert(minute: float, metric: str, model: str = "chatbot", status: str = "TRIGGERED", monitor: str = "") -> Event:
    name = monitor or f"{model} {metric}"
    body = {"monitor_name": name, "monitor_id": name, "status": status, "metric": metric, "model": model}
    return Event(timedelta(minutes=minute), normalise({**body, "metric_value": 0.5, "environment": "production"}))


def play(policy: Policy, *events: Event, **more: Any) -> list[SimulatedIncident]:
    interpreted = [Event(one.after, policy.interpret(one.payload)) for one in events if isinstance(one.payload, Alert)]
    return simulate(interpreted, decide_by(policy), START, timedelta(hours=12), policy.incident_of, **more)


def sent(incident: SimulatedIncident) -> list[str]:
    return [f"{one.after.total_seconds() / 60:g} {one.verb} {one.target.name}" for one in incident.sent]


def test_lesser_incident_is_inhibited_until_its_source_closes(policy: Policy) -> None:
    source, held = play(
        policy, alert(0, "error_rate"), alert(5, "answer_relevance"), alert(30, "error_rate", status="CLEARED")
    )
    assert sent(source)[:2] == ["0 notify pager", "0 notify second"]
    assert sent(held) == ["30 notify chat"]


def test_inhibited_incident_that_clears_notifies_nobody(policy: Policy) -> None:
    source, held = play(
        policy,
        alert(0, "error_rate"),
        alert(5, "answer_relevance"),
        alert(20, "answer_relevance", status="CLEARED"),
        alert(30, "error_rate", status="CLEARED"),
    )
    assert sent(held) == []
    assert source.state.listed == {}


def test_another_model_is_not_inhibited(policy: Policy) -> None:
    _, other = play(policy, alert(0, "error_rate"), alert(5, "answer_relevance", "search"))
    assert sent(other) == ["5 notify chat"]


def test_pages_beyond_the_budget_are_listed(policy: Policy) -> None:
    events = [alert(minute, "error_rate", monitor=f"m-{minute}") for minute in range(6)]
    found = play(policy, *events)
    paged = [bool(one.sent) for one in found]
    assert paged == [True, True, True, False, False, False]  # the third one says so
    assert set(found[2].state.listed) == {one.state.incident for one in found[3:]}
    assert Counter(one.target.name for incident in found for one in incident.sent) == {"pager": 3, "second": 3}


def test_budget_has_room_after_its_time(policy: Policy) -> None:
    events = [alert(minute, "error_rate", monitor=f"m-{minute}") for minute in (0, 1, 62, 63)]
    assert all(sent(one) for one in play(policy, *events))


def test_what_is_listed_pages_when_its_carrier_closes(policy: Policy) -> None:
    events = [alert(minute, "error_rate", monitor=f"m-{minute}") for minute in range(4)]
    found = play(policy, *events, alert(30, "error_rate", status="CLEARED", monitor="m-2"))
    assert sent(found[3])[:2] == ["30 notify pager", "30 notify second"]


def test_budget_never_hides_a_regulated_incident(policy: Policy) -> None:
    events = [alert(minute, "error_rate", monitor=f"m-{minute}") for minute in range(4)]
    *_, regulated = play(policy, *events, alert(10, "error_rate", "underwriting"))
    assert "10 notify pager" in sent(regulated)


def test_silence_ends_with_a_notification(policy: Policy) -> None:
    until = START + timedelta(minutes=90)

    def silenced(one: Alert, now: datetime) -> Suppression | None:
        is_it = one.model == "search" and now < until
        return Suppression(kind="silence", reason="known", until=until, source="s-1") if is_it else None

    (found,) = play(policy, alert(0, "answer_relevance", "search"), silenced=silenced)
    assert sent(found) == ["75 notify chat", "90 notify chat"]  # the reminder, and the end


def test_what_is_usual_at_this_hour_is_only_in_the_digest(tmp_path: Path) -> None:
    """Each Monday at nine the usage is high; the fifth time it is known, and something else is not."""
    seasonal = '{seasonal: [{when: alert.metric == "answer_relevance", period: 7d}]}'
    usual = load(tmp_path, POLICY.replace("{page_budget: {pages: 2, within: 1h}}", seasonal))
    events: list[Event] = []
    week = 7 * 24 * 60
    for number, value in enumerate((100.0, 103.0, 98.0, 101.0, 102.0, 300.0)):
        for minute, status in ((0, "TRIGGERED"), (45, "CLEARED")):
            one = alert(number * week + minute, "answer_relevance", status=status)
            assert isinstance(one.payload, Alert)
            events.append(Event(one.after, one.payload.model_copy(update={"value": value})))
    interpreted = [Event(one.after, usual.interpret(one.payload)) for one in events if isinstance(one.payload, Alert)]
    found = simulate(interpreted, decide_by(usual), START, timedelta(days=60), usual.incident_of)
    notified = [[(one.verb, one.digest) for one in incident.sent if one.verb == "notify"] for incident in found]
    assert notified == [[("notify", False)]] * 4 + [[("notify", True)], [("notify", False)]]
    assert "is within" in found[4].sent[0].note
