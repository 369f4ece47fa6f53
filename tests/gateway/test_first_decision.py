"""The gateway decides from the descriptions in memory, and leaves to a worker what only Arize knows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from alerts import Alert, Description, normalise
from gateway.ingest.first_decision import FirstDecider, FirstDecision, decide_first, to_classify
from incident.events import GroupedAlert
from integrations.base.registry import destination_types
from policy import Policy, load_policy
from tests.gateway.conftest import POLICY

DESCRIPTION = Description(
    monitor_id="m-1",
    monitor={"id": "m-1", "name": "failures", "type": "CUSTOM_METRIC", "project_id": "p", "latest_computed_value": 0.9},
    project="plain-model",
    custom_metric="Error Rate",
    described_at=datetime(2026, 11, 26, tzinfo=UTC),
)


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return load_policy(tmp_path / "policy.yaml", destination_types())


def decider(policy: Policy | None, *known: Description, ask: bool = True) -> FirstDecider:
    return FirstDecider(lambda: policy, {one.monitor_id: one for one in known}, workers_ask_arize=ask)


def alert(**body: Any) -> Alert:
    return normalise({"monitor_id": "m-1", **body})


def test_known_monitor_is_decided_at_once(policy: Policy) -> None:
    decided = decider(policy, DESCRIPTION)(alert(value=0.31), 1)
    assert decided is not None
    assert (decided.decision.rule, decided.decision.team) == ("all", "ops")
    assert (decided.alert.metric, decided.alert.model, decided.alert.value) == ("error_rate", "plain-model", 0.31)
    assert decided.alert.interpreted == policy.digest


def test_value_is_left_to_a_worker(policy: Policy) -> None:
    """A description's value belongs to an earlier evaluation."""
    assert decider(policy, DESCRIPTION)(alert(), 1) is None


def test_unknown_monitor_is_left_to_a_worker(policy: Policy) -> None:
    assert decider(policy)(alert(value=0.31), 1) is None


def test_without_key_everything_is_decided(policy: Policy) -> None:
    decided = decider(policy, ask=False)(alert(value=0.31), 1)
    assert decided is not None
    assert decided.alert.undescribed == "its metric's name, its project's name: ARIZE_API_KEY is not set"


def test_without_key_the_policy_may_know_the_ids(tmp_path: Path) -> None:
    models = "models:\n  bot: {arize: {projects: [cHJvamVjdA]}}\n"
    text = POLICY.replace("models:\n", models) + "metrics: {error_rate: {names: [Q3VzdG9t]}}\n"
    (tmp_path / "policy.yaml").write_text(text)
    mapped = load_policy(tmp_path / "policy.yaml", destination_types())
    body = {"value": 0.31, "project_id": "cHJvamVjdA", "custom_metric_id": "Q3VzdG9t", "threshold": 0.05}
    decided = decider(mapped, ask=False)(alert(**body), 1)
    assert decided is not None
    assert (decided.alert.model, decided.alert.metric, decided.alert.undescribed) == ("bot", "error_rate", "")
    assert decider(mapped)(alert(**body), 1) is None, "its tags may say more"


def test_complete_body_needs_no_description(policy: Policy) -> None:
    decided = decider(policy)(alert(value=0.31, metric="error_rate", model="plain-model", threshold=0.05), 1)
    assert decided is not None
    assert decided.alert.undescribed == ""


def test_drill_is_not_described(policy: Policy) -> None:
    drill = Alert(monitor="drill", monitor_id="drill-1", drill="all", identity=("drill", "1"))
    decided = decider(policy)(drill, 1)
    assert decided is not None
    assert decided.decision.rule == "all"


def test_no_policy_leaves_everything_to_a_worker() -> None:
    assert decider(None, DESCRIPTION)(alert(value=0.31), 1) is None


def test_loudest_of_first_alerts_counts(policy: Policy) -> None:
    quiet = GroupedAlert(alert=alert(value=0.1, metric="other", model="plain-model", threshold=0.05))
    loud = GroupedAlert(alert=alert(value=0.31))
    first = decide_first([quiet, loud], decider(policy, DESCRIPTION))
    decision, alerts = first.decision, first.alerts
    assert decision is not None
    assert decision.rule == "all"
    assert [one.alert.model for one in alerts] == ["plain-model", "plain-model"]


def test_one_unknown_alert_leaves_all_to_a_worker(policy: Policy) -> None:
    first, second = GroupedAlert(alert=alert(value=0.31)), GroupedAlert(alert=alert())
    undecided = FirstDecision(to_classify([first, second]))
    assert decide_first([first, second], decider(policy, DESCRIPTION)) == undecided
