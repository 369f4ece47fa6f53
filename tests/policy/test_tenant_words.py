"""Words that tenants use for the same thing: environments, evaluations, percentages, embeddings, GraphQL's shape."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from alerts import Alert, Description, described, normalise
from integrations.base.registry import destination_types
from policy import Policy, load_policy
from tests.policy.policies import BASE, NOW, load

SHIPPED = Path(__file__).parents[2] / "policies" / "tocsin.yaml"
OVER = {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 5000}
LATENCY = {"metric": "P95", "dimension": {"category": "SPAN_ATTRIBUTE", "name": "latency_ms"}, "threshold": OVER}


@pytest.fixture(scope="module")
def shipped() -> Policy:
    return load_policy(SHIPPED, destination_types())


def monitor(**more: Any) -> Alert:
    return normalise({"id": "m1", "name": "m", "project_name": "support-chatbot", "status": "TRIGGERED", **more})


def custom(name: str, value: float, formula: str = "", **more: Any) -> Alert:
    return monitor(custom_metric_name=name, formula=formula, latest_computed_value=value, **more)


def filtered(name: str, operator: str, *values: str) -> list[dict[str, Any]]:
    return [{"dimension": {"category": "SPAN_ATTRIBUTE", "name": name}, "operator": operator, "values": list(values)}]


def evaluation(name: str, category: str = "LLM_EVAL", metric: str = "AVG") -> Alert:
    return monitor(metric=metric, dimension={"category": category, "name": name}, value=0.4, baseline=0.1)


@pytest.mark.parametrize(
    "place",
    [
        {"filters": filtered("environment", "IN", "staging", "production")},
        {"filters": filtered("environment", "CONTAINS", "prod")},
        {"filters": filtered("environment", "EQUALS", "prod-eu")},
        {"filters": filtered("deployment.environment", "EQUALS", "prod")},
        {"tags": ["environment:prod-us"]},
        {"tags": ["environment:production,eu"]},
        {"tags": ["environment:tracing"]},
        {"notes": "environment:production/eu"},
    ],
)
def test_environment_with_production_pages(shipped: Policy, place: dict[str, Any]) -> None:
    alert = monitor(**LATENCY, latest_computed_value=9000, **place)
    assert shipped.interpret(alert).environment == "production"
    assert shipped.decide(alert, NOW).rule == "latency-slo-breach"


@pytest.mark.parametrize(
    "place",
    [
        {"tags": ["Env: Staging"]},
        {"filters": filtered("deployment.environment", "EQUALS", "staging")},
        {"filters": filtered("attributes.metadata.env", "EQUALS", "staging")},
        {"filters": filtered("environment", "CONTAINS", "stage")},
    ],
)
def test_staging_is_found_under_other_names(shipped: Policy, place: dict[str, Any]) -> None:
    assert shipped.interpret(monitor(metric="PSI", **place)).environment == "staging"


@pytest.mark.parametrize("environment", ["non-prod", "preprod", "pre-production", "productivity"])
def test_other_environments_are_not_production(shipped: Policy, environment: str) -> None:
    assert shipped.interpret(monitor(environment=environment)).environment == environment


def test_environment_that_the_policy_names_stays(tmp_path: Path) -> None:
    rule = "rules: [{name: eu, when: 'alert.environment == \"prod-eu\"', tier: critical}]\n"
    policy = load(tmp_path, BASE + rule)
    assert policy.decide(monitor(environment="prod-eu"), NOW).rule == "eu"
    assert policy.interpret(monitor(environment="prod-eu-1")).environment == "prod-eu-1"
    assert policy.interpret(monitor(environment="prod-us")).environment == "production"


def test_kind_by_a_described_tag_wins_over_the_stated_type(shipped: Policy) -> None:
    body = {"id": "m1", "name": "orders", "type": "CUSTOM_METRIC", "custom_metric_id": "c1", "status": "TRIGGERED"}
    body |= {"latest_computed_value": 300, "threshold": {**OVER, "value": 500}}
    description = Description(
        monitor_id="m1", monitor=body, project="support-chatbot", tags=("kind:business",), custom_metric="Orders",
        described_at=datetime(2026, 11, 24, tzinfo=UTC),
    )  # fmt: skip
    alert = described(normalise(body), description)
    assert alert.kind == "business"
    assert shipped.decide(alert, NOW).rule == "key-business-metric-collapse"


@pytest.mark.parametrize(
    ("name", "formula", "value", "share"),
    [
        ("Error Rate", "SELECT COUNT(*) FILTER (WHERE status_code = 'ERROR') / COUNT(*) * 100 FROM model", 2.0, 0.02),
        ("errs", "SELECT 100.0 * COUNT(*) FILTER (WHERE status_code = 'ERROR') / COUNT(*) FROM model", 2.0, 0.02),
        ("Error percent", "SELECT COUNT(*) FILTER (WHERE status_code = 'ERROR') / COUNT(*) FROM model", 0.22, 0.22),
        ("Error percent", "", 22.0, 0.22),
    ],
)
def test_formula_says_whether_a_share_is_a_percentage(
    shipped: Policy, name: str, formula: str, value: float, share: float
) -> None:
    alert = shipped.interpret(custom(name, value, formula))
    assert (alert.metric, alert.value) == ("error_rate", pytest.approx(share))


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("Hallucination v2", "LLM_EVAL"),
        ("RAG Hallucination", "LLM_EVAL"),
        ("is_hallucination", "LLM_EVAL"),
        ("HallucinationEvaluator", "LLM_EVAL"),
        ("Hallucination (prod)", "LLM_EVAL"),
        ("session.eval.hallucination.score", "SPAN_ATTRIBUTE"),
        ("evals.Hallucination.label", "SPAN_ATTRIBUTE"),
    ],
)
def test_neutral_words_do_not_hide_an_evaluation(shipped: Policy, name: str, category: str) -> None:
    assert shipped.decide(evaluation(name, category), NOW).rule == "hallucination-spike"


def test_deviation_of_a_rate_is_no_rate(shipped: Policy) -> None:
    assert shipped.decide(evaluation("Hallucination", metric="STANDARD_DEVIATION"), NOW).rule == "unmapped"
    errors = monitor(metric="STANDARD_DEVIATION", value=0.4, dimension={"category": "TAG", "name": "is_error"})
    assert shipped.interpret(errors).metric == "standard_deviation_is_error"


def test_latency_with_its_unit_in_brackets(shipped: Policy) -> None:
    assert shipped.decide(custom("Latency P95 (ms)", 9000), NOW).rule == "latency-slo-breach"


@pytest.mark.parametrize(("value", "rule"), [(0.4, "hallucination-spike"), (0.0, "otherwise")])
def test_rise_from_zero_is_in_doubt_louder(shipped: Policy, value: float, rule: str) -> None:
    zero = {**OVER, "value": 0}
    alert = monitor(metric="AVG", dimension={"category": "LLM_EVAL", "name": "Hallucination"}, value=value)
    alert = alert.model_copy(update={"threshold": zero["value"]})
    assert shipped.decide(alert, NOW).rule == rule


@pytest.mark.parametrize(
    "more",
    [
        {"metric": "EUCLIDEAN_DISTANCE", "dimension": {"name": "q", "category": "TAG", "dataType": "STRING_LIST"}},
        {"metric": "PSI", "dimension": {"name": "textEmbedding", "category": "FEATURE_LABEL"}},
    ],
)
def test_embeddings_are_recognised(shipped: Policy, more: dict[str, Any]) -> None:
    assert shipped.interpret(monitor(**more)).metric == "embedding_drift"


def test_segment_has_short_names(shipped: Policy) -> None:
    premium = filtered("attributes.metadata.customer_tier", "EQUALS", "premium")
    alert = custom("QA Correctness", 0.7, filters=premium)
    assert shipped.decide(alert, NOW).rule == "premium-segment-degraded"


GRAPHQL: dict[str, Any] = {
    "id": "m1",
    "name": "m",
    "status": "triggered",
    "model": {"id": "x", "name": "support-chatbot"},
    "monitorCategory": "dataQuality",
    "dataQualityMetric": "p95",
    "primaryMetricWindow": {
        "dimensionCategory": "spanProperty",
        "dimension": {"name": "latency_ms", "category": "spanProperty", "dataType": "FLOAT"},
        "filters": [
            {"filterType": "spanProperty", "operator": "notEquals", "dimension": {"name": "traffic"},
             "categoricalValues": ["probe"]}
        ],
    },
    "latestComputedValue": 9100.0,
}  # fmt: skip


def test_graphql_shape_is_read(shipped: Policy) -> None:
    band = {"thresholdMode": "range", "threshold": 50, "operator": "greaterThan", "threshold2": 5000}
    alert = normalise({**GRAPHQL, **band, "operator2": "lessThan"})
    assert (alert.dimension, alert.dimension_category, alert.dimension_type) == (
        "latency_ms",
        "span_attribute",
        "float",
    )
    assert (alert.excluded, alert.segment) == ({"traffic": "probe"}, {})
    assert (alert.threshold, alert.operator) == (5000, "greater_than")
    assert shipped.decide(alert, NOW).rule == "latency-slo-breach"
    assert normalise({**GRAPHQL, "dynamicAutoThresholdEnabled": True}).dynamic_threshold
    assert not normalise({**GRAPHQL, "dynamicAutoThresholdEnabled": False}).dynamic_threshold
