"""The alerts that a monitor would send if it triggered now, and what the policy makes of them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import Description
from integrations.base.registry import destination_types
from monitors.coverage import Gap, cover, summarize
from monitors.hypothetical import beyond, hypothetical_alerts
from policy import load_policy
from tests.vendors.arize.every_kind import THRESHOLDS, monitors_of_every_kind
from worker.locations import SHIPPED_POLICY

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
POLICY = load_policy(SHIPPED_POLICY, destination_types())
P95 = {"type": "TRACING", "metric": "P95", "dimension": {"category": "SPAN_ATTRIBUTE", "name": "latency_ms"}}


def a_description(
    threshold: Any, *, known: float | None = None, baseline: float | None = None, **fields: Any
) -> Description:
    monitor: dict[str, Any] = {
        "id": "TW9uaXRvcjo2MTAwMDphWjYxMDAw",
        "name": "slow answers",
        **P95,
        "status": "CLEARED",
        "latest_computed_value": 1.0,
        "evaluated_at": "2026-11-24T03:00:07Z",
        "threshold": threshold,
        **fields,
    }
    return Description(
        monitor_id=monitor["id"],
        monitor=monitor,
        project="support-chatbot",
        threshold=known,
        baseline=baseline,
        described_at=NOW,
    )


def single(operator: str, value: float) -> dict[str, Any]:
    return {"type": "MANUAL_SINGLE", "operator": operator, "value": value}


RANGE = {
    "type": "MANUAL_RANGE",
    "lower": {"operator": "GREATER_THAN", "value": 50},
    "upper": {"operator": "LESS_THAN", "value": 5000},
}
DYNAMIC = {"type": "DYNAMIC_SINGLE", "calculation": "STDEV", "operator": "LESS_THAN", "multiplier": 3}


@pytest.mark.parametrize(
    ("threshold", "values"),
    [
        (single("GREATER_THAN", 5000), [5050]),
        (single("LESS_THAN", 5000), [4950]),
        (single("LESS_THAN_OR_EQUAL", -2), [-2.02]),
        (single("GREATER_THAN", 0), [0.01]),
        (single("EQUALS", 3), [3]),
        (single("NOT_EQUALS", 3), [3.03]),
        (RANGE, [5050, 49.5]),
        (None, [None]),
    ],
)
def test_value_is_just_beyond_the_threshold(threshold: Any, values: list[float | None]) -> None:
    alerts = [alert for _, alert in hypothetical_alerts(a_description(threshold))]
    assert [alert.value for alert in alerts] == values
    assert {alert.status for alert in alerts} == {"triggered"}


def test_dynamic_threshold_has_the_number_of_its_last_evaluation() -> None:
    ((_, alert),) = hypothetical_alerts(a_description(DYNAMIC, known=0.7, baseline=0.8))
    assert (alert.value, alert.threshold, alert.baseline) == (0.693, 0.7, 0.8)
    both = {"type": "DYNAMIC_RANGE", "lower": {"operator": "GREATER_THAN"}, "upper": {"operator": "LESS_THAN"}}
    ((_, above),) = hypothetical_alerts(a_description(both, known=0.9, baseline=0.8))
    ((_, below),) = hypothetical_alerts(a_description(both, known=0.7, baseline=0.8))
    assert (above.value, below.value) == (0.909, 0.693)


def test_dynamic_threshold_without_number_has_a_real_value_or_none() -> None:
    ((_, triggered),) = hypothetical_alerts(a_description(DYNAMIC, status="TRIGGERED", latest_computed_value=0.4))
    ((_, cleared),) = hypothetical_alerts(a_description(DYNAMIC))
    assert (triggered.value, cleared.value) == (0.4, None)


@given(
    st.floats(-1e9, 1e9), st.sampled_from(["greater_than", "greater_than_or_equal", "less_than", "less_than_or_equal"])
)
def test_beyond_is_past_every_limit(limit: float, operator: str) -> None:
    value = beyond(limit, operator)
    assert value < limit if operator.startswith("less") else value > limit


def test_range_is_covered_by_its_louder_side() -> None:
    row = cover(POLICY, a_description(RANGE), NOW, attached=True)
    assert (row.side, row.tier, row.decision.rule) == ("upper", "critical", "latency-slo-breach")
    assert row.notified == ("ai-primary", "ai-secondary", "managers")


def test_hints_name_hold_cadence_and_louder_rule() -> None:
    slow: dict[str, Any] = {
        "scheduled_runtime": {"enabled": True, "cadence_seconds": 1800},
        "evaluation_window_length_seconds": 600,
    }
    row = cover(POLICY, a_description(single("GREATER_THAN", 6000), **slow), NOW, attached=True)
    assert row.gaps == ()
    text = "\n".join(row.hints)
    assert "the hold of 5m of the rule latency-slo-breach is shorter than the monitor's cadence of 30m:" in text
    assert "evaluated every 30m over 10m" in text
    by_default = cover(POLICY, a_description(single("GREATER_THAN", 6000)), NOW, attached=True)
    assert "cadence of 1h (Arize's default)" in "\n".join(by_default.hints)
    often: dict[str, Any] = {"scheduled_runtime": {"enabled": True, "cadence_seconds": 60}}
    assert cover(POLICY, a_description(single("GREATER_THAN", 6000), **often), NOW, attached=True).hints == ()
    early = cover(POLICY, a_description(single("GREATER_THAN", 1000), **often), NOW, attached=True)
    (hint,) = early.hints
    assert hint.startswith("critical by latency-slo-breach needs alert.value > ")


def test_every_gap_is_found() -> None:
    foreign = a_description(
        single("GREATER_THAN", 1),
        dimension={"category": "SPAN_ATTRIBUTE", "name": "my_gauge"},
        evaluated_at=None,
        notifications_enabled=False,
    )
    row = cover(POLICY, foreign, NOW, attached=False)
    assert row.gaps == (Gap.UNMAPPED, Gap.UNNOTIFIED, Gap.NEVER_EVALUATED, Gap.DISABLED)
    assert "metrics: {NAME: {match:" in row.hints[0]
    silent = foreign.model_copy(update={"missing": ("its tags: Arize answered 503",)})
    assert Gap.UNDESCRIBED in cover(POLICY, silent, NOW, attached=False).gaps
    assert summarize([row]) == "1 monitor: 1 high; gaps: 1 unmapped, 1 unnotified, 1 never-evaluated, 1 disabled"


def test_every_kind_of_monitor_is_covered() -> None:
    for monitor in monitors_of_every_kind("TW9kZWw6NTAwMDphWjUwMDA=", "Q3VzdG9tTWV0cmljOjcwMDphWjcwMA=="):
        for threshold in THRESHOLDS:
            shown = {"id": "m", **monitor, "threshold": threshold}
            row = cover(POLICY, Description(monitor_id="m", monitor=shown, described_at=NOW), NOW, attached=True)
            assert row.tier in {"critical", "high", "low"}
