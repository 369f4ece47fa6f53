"""An alert completed with what Arize's API says about its monitor."""

from datetime import UTC, datetime
from typing import Any

import pytest

from alerts import Alert, Description, described, incident_id, needs_description, normalise

MONITOR: dict[str, Any] = {
    "id": "TW9uaXRvcjo2MTAwMDphWjYxMDAw",
    "name": "slow answers",
    "type": "TRACING",
    "project_id": "TW9kZWw6NTAwMDphWjUwMDA=",
    "uri": "https://app.arize.com/organizations/o/spaces/s/monitors/61000",
    "status": "TRIGGERED",
    "metric": "P95",
    "dimension": {"category": "SPAN_ATTRIBUTE", "name": "latency_ms"},
    "threshold": {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 5000},
    "latest_computed_value": 7400.0,
    "evaluated_at": "2026-11-24T03:00:07Z",
    "notes": "owner:platform",
}
DESCRIPTION = Description(
    monitor_id=MONITOR["id"],
    monitor=MONITOR,
    project="support-chatbot",
    tags=("environment:staging", "team:own"),
    project_tags=("team:project",),
    described_at=datetime(2026, 11, 24, 3, 1, tzinfo=UTC),
)
NOT_COMPARED = {"raw", "event_id"}


def poke(**more: Any) -> Alert:
    return normalise({"monitor_id": MONITOR["id"], **more})


def test_poke_with_a_live_description_is_the_whole_alert() -> None:
    whole = described(normalise(MONITOR), DESCRIPTION)
    alert = described(poke(), DESCRIPTION, live=True)
    assert alert.model_dump(exclude=NOT_COMPARED) == whole.model_dump(exclude=NOT_COMPARED)
    assert incident_id(alert) == incident_id(normalise(MONITOR))


def test_older_description_gives_no_value_and_no_status() -> None:
    alert = described(poke(), DESCRIPTION)
    assert (alert.value, alert.occurred_at, alert.stated_status) == (None, None, False)
    assert (alert.aggregation, alert.dimension, alert.threshold) == ("p95", "latency_ms", 5000)


def test_live_description_may_say_that_the_monitor_has_cleared() -> None:
    cleared = DESCRIPTION.model_copy(update={"monitor": {**MONITOR, "status": "CLEARED"}})
    assert described(poke(), cleared, live=True).status == "cleared"
    assert described(poke(status="TRIGGERED"), cleared, live=True).status == "triggered"


def test_body_wins_over_the_description() -> None:
    alert = described(poke(value=9.0, model="mine", tags={"team": "body"}, environment="dev"), DESCRIPTION, live=True)
    assert (alert.value, alert.model, alert.environment) == (9.0, "mine", "dev")
    assert alert.tags == {"team": "body", "environment": "staging", "owner": "platform"}


def test_tags_of_the_monitor_win_over_those_of_its_project() -> None:
    assert described(poke(), DESCRIPTION).tags["team"] == "own"


def test_dynamic_threshold_has_numbers_from_the_history() -> None:
    monitor = {**MONITOR, "threshold": {"type": "DYNAMIC_SINGLE", "operator": "LESS_THAN", "multiplier": 3.0}}
    described_monitor = DESCRIPTION.model_copy(update={"monitor": monitor, "baseline": 8000.0, "threshold": 7900.0})
    alert = described(normalise(monitor), described_monitor)
    assert (alert.baseline, alert.threshold, alert.change) == (8000.0, 7900.0, -0.075)


@pytest.mark.parametrize(
    ("body", "lacks"),
    [
        ({}, "its value, its metric's name, its project's name"),
        (
            {"value": 1, "metric": "P95", "model": "m", "threshold": {"type": "DYNAMIC_SINGLE", "multiplier": 2}},
            "its baseline",
        ),
        ({"value": 1, "metric": "error_rate", "model": "m", "threshold": 0.5}, ""),
        ({"value": 1, "metric": "P95", "threshold": 0.5}, "its project's name"),
    ],
)
def test_what_only_a_description_can_say(body: dict[str, Any], lacks: str) -> None:
    assert needs_description(poke(**body)) == lacks


def test_change_is_computed_again_with_the_baseline_of_the_description() -> None:
    with_baseline = DESCRIPTION.model_copy(update={"baseline": 3700.0})
    assert described(normalise(MONITOR), with_baseline).change == 1.0
    assert described(normalise({**MONITOR, "change": 0.2}), with_baseline).change == 0.2


def test_range_of_an_older_description_has_the_limit_that_the_value_passed() -> None:
    band = {
        "type": "MANUAL_RANGE",
        "lower": {"operator": "GREATER_THAN", "value": 50},
        "upper": {"operator": "LESS_THAN", "value": 5000},
    }
    healthy = DESCRIPTION.model_copy(update={"monitor": {**MONITOR, "threshold": band, "latest_computed_value": 800}})
    assert described(poke(value=9100), healthy).threshold == 5000


def test_monitor_without_id_cannot_be_described() -> None:
    assert needs_description(normalise({"monitor_name": "m"})) == ""


@pytest.mark.parametrize(
    ("value", "threshold", "usual", "change"),
    [
        (0.55, 0.6, 0.8, -0.3125),  # the usual value shows the drop
        (0.5, 0.75, 0.52, -0.333333),  # it was as bad before: the threshold shows it
        (0.55, 0.6, 0.5, -0.083333),  # it rose since, and is bad all the same
        (0.4, 0.0, 0.1, 3.0),
        (0.55, 0.6, None, -0.083333),
    ],
)
def test_stated_threshold_and_usual_value_give_the_larger_change(
    value: float, threshold: float, usual: float | None, change: float
) -> None:
    stated = {"type": "MANUAL_SINGLE", "operator": "LESS_THAN", "value": threshold}
    monitor = {**MONITOR, "threshold": stated, "latest_computed_value": value}
    description = DESCRIPTION.model_copy(update={"monitor": monitor, "baseline": usual})
    assert described(normalise(monitor), description).change == pytest.approx(change)
