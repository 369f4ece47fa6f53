"""Every monitor that Arize's enumerations allow becomes an alert that the policy decides about."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from alerts import Alert, Description, described, incident_id, normalise
from alerts.metric_fields import AGGREGATIONS, aggregation_of
from integrations.base.registry import destination_types
from policy import load_policy
from policy.decision import TIERS
from policy.meaning.built_in import COUNTS
from tests.vendors.arize.every_kind import THRESHOLDS, monitors_of_every_kind
from tests.vendors.arize.sdk import generated
from worker.settings import SHIPPED_POLICY

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
POLICY = load_policy(SHIPPED_POLICY, destination_types())
MODELS = generated().models


def values(enumeration: Any) -> list[str]:
    return [one.value for one in enumeration]


METRICS = {
    "TRACING": values(MODELS.TracingDataQualityMetric),
    "DATA_QUALITY": values(MODELS.DataQualityMetric),
    "DRIFT": values(MODELS.DriftMetric),
    "PERFORMANCE": values(MODELS.PerformanceMetric),
}
CATEGORIES = values(MODELS.DimensionCategory)
DIMENSIONS = ["latency_ms", "llm.cost.total", "error_rate", "eval.X.label", "Answer Relevance", "vector", "é", ""]


def test_every_metric_of_the_sdk_is_known() -> None:
    metrics = {metric for names in METRICS.values() for metric in names}
    assert {aggregation_of(metric) for metric in metrics} - {""} == {metric.casefold() for metric in metrics}
    assert {metric.casefold() for metric in metrics} <= AGGREGATIONS


filters = st.lists(
    st.fixed_dictionaries(
        {
            "dimension": st.fixed_dictionaries(
                {"category": st.sampled_from(CATEGORIES), "name": st.sampled_from(DIMENSIONS)}
            ),
            "operator": st.sampled_from(values(MODELS.FilterOperator)),
            "values": st.lists(st.sampled_from(["premium", "20", "staging"]), max_size=3),
        }
    ),
    max_size=3,
)


@st.composite
def monitors(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from([*METRICS, "CUSTOM_METRIC"]))
    found: dict[str, Any] = {
        "id": "TW9uaXRvcjo2MTAwMDphWjYxMDAw",
        "name": draw(st.sampled_from(["slow answers", "P95", ""])),
        "type": kind,
        "project_id": "TW9kZWw6NTAwMDphWjUwMDA=",
        "status": draw(st.sampled_from(["TRIGGERED", "CLEARED", "NO_DATA"])),
        "threshold": draw(st.sampled_from(THRESHOLDS)),
        "filters": draw(filters),
        "notes": draw(st.sampled_from(["", "env:staging owner:x", "kind:cost baseline:0.8"])),
        "latest_computed_value": draw(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))),
        "evaluated_at": "2026-11-24T03:00:07Z",
    }
    if kind == "CUSTOM_METRIC":
        return {**found, "custom_metric_id": "Q3VzdG9tTWV0cmljOjcwMDphWjcwMA=="}
    place = {"category": draw(st.sampled_from(CATEGORIES)), "name": draw(st.sampled_from(DIMENSIONS))}
    return {
        **found,
        "metric": draw(st.sampled_from(METRICS[kind])),
        **({} if kind == "PERFORMANCE" else {"dimension": place}),
    }


@given(
    monitors(),
    st.sampled_from(["", "Error Rate", "spend %", "é"]),
    st.one_of(st.none(), st.floats(-1e6, 1e6)),
    st.sampled_from(["", "EMBEDDING", "STRING", "LONG"]),
)
def test_every_monitor_is_decided(monitor: dict[str, Any], custom: str, baseline: float | None, data_type: str) -> None:
    description = Description(
        monitor_id=monitor["id"],
        monitor=monitor,
        project="support-chatbot",
        custom_metric=custom if "custom_metric_id" in monitor else "",
        dimension_type=data_type,
        baseline=baseline,
        described_at=NOW,
    )
    alert = described(normalise(monitor), description)
    meant = POLICY.interpret(alert)
    assert meant.as_read() == alert
    assert Alert.model_validate_json(meant.model_dump_json()) == meant
    assert meant.model == "support-chatbot"
    assert meant.environment in {"production", "staging"}
    assert meant.kind
    assert meant.metric or "custom_metric_id" in monitor
    assert not (meant.aggregation in COUNTS and meant.unit == "ratio"), "a count is never a rate"
    decision = POLICY.decide(meant, NOW)
    assert decision.tier in TIERS
    assert decision == POLICY.decide(alert, NOW)
    poke = described(normalise({"monitor_id": monitor["id"]}), description, live=True)
    assert incident_id(poke) == incident_id(alert)
    assert POLICY.decide(poke, NOW) == decision


def test_every_kind_of_the_stand_in_is_an_alert() -> None:
    for monitor in monitors_of_every_kind("TW9kZWw6NTAwMDphWjUwMDA=", "Q3VzdG9tTWV0cmljOjcwMDphWjcwMA=="):
        alert = POLICY.interpret(normalise({"id": "m", **monitor}))
        assert alert.kind, monitor
        assert alert.metric or monitor["type"] == "CUSTOM_METRIC", monitor
