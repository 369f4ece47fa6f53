"""``arize-toolkit``, the GraphQL client by Arize's staff, against the stand-in tenant."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.vendors import ArizeTenant
from tests.vendors.arize.ids import moment


@pytest.fixture
def toolkit(arize_tenant: ArizeTenant) -> Any:
    from arize_toolkit import Client

    return Client(
        organization="Acme", space="Models", arize_developer_key=arize_tenant.key, arize_app_url=arize_tenant.base_url
    )


def _created(tenant: ArizeTenant, url: str) -> dict[str, Any]:
    """The monitor in REST whose address in Arize's own UI the toolkit returns."""
    row = tenant.state.monitors.get(url.rpartition("/")[2])
    assert row is not None
    return row


def test_toolkit_creates_a_tracing_monitor(arize_tenant: ArizeTenant, toolkit: Any) -> None:
    arize_tenant.add_project("chatbot")
    url = toolkit.create_data_quality_monitor(
        name="slow answers",
        model_name="chatbot",
        data_quality_metric="p99_9",
        dimension_category="spanProperty",
        dimension_name="latency_ms",
        model_environment_name="tracing",
        threshold=10000,
        notes="team:core",
        evaluation_window_length_seconds=300,
        filters=[{"dimensionType": "spanProperty", "operator": "notEquals", "name": "traffic", "values": ["probe"]}],
        email_addresses=["core@example.com"],
    )
    row = _created(arize_tenant, url)
    expected = {
        "type": "TRACING",
        "metric": "P99_9",
        "dimension": {"category": "SPAN_ATTRIBUTE", "name": "latency_ms"},
        "threshold": {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 10000.0},
        "evaluation_window_length_seconds": 300,
        "notes": "team:core",
        "filters": [
            {
                "dimension": {"category": "SPAN_ATTRIBUTE", "name": "traffic"},
                "operator": "NOT_EQUALS",
                "values": ["probe"],
            }
        ],
        "notification_configs": [{"type": "EMAIL", "email_address": "core@example.com"}],
        "status": "NO_DATA",
    }
    assert {key: row[key] for key in expected} == expected
    shown = toolkit.get_monitor(model_name="chatbot", monitor_name="slow answers")
    assert (shown["dataQualityMetric"], shown["threshold"], shown["status"]) == ("p99_9", 10000.0, "noData")
    assert shown["primaryMetricWindow"]["filters"][0]["dimensionValues"][0]["value"] == "probe"


def test_toolkit_creates_the_other_kinds(arize_tenant: ArizeTenant, toolkit: Any) -> None:
    project = arize_tenant.add_project("chatbot")
    metric = arize_tenant.add_custom_metric("Error Rate", "SELECT 1 FROM model", project_id=project["id"])
    drift = _created(
        arize_tenant,
        toolkit.create_drift_monitor(
            name="drift",
            model_name="chatbot",
            drift_metric="js",
            dimension_category="featureLabel",
            dimension_name="topic",
            operator="greaterThan",
            std_dev_multiplier=3.0,
        ),
    )
    assert (drift["type"], drift["metric"], drift["threshold"]["type"]) == ("DRIFT", "JS", "DYNAMIC_SINGLE")
    assert drift["threshold"]["multiplier"] == 3.0
    quality = _created(
        arize_tenant,
        toolkit.create_data_quality_monitor(
            name="empty",
            model_name="chatbot",
            data_quality_metric="percentEmpty",
            dimension_category="prediction",
            model_environment_name="production",
            threshold=10,
            dimension_name="prediction",
        ),
    )
    assert (quality["type"], quality["metric"]) == ("DATA_QUALITY", "PERCENT_EMPTY")
    performance = _created(
        arize_tenant,
        toolkit.create_performance_monitor(
            name="accuracy band",
            model_name="chatbot",
            model_environment_name="production",
            performance_metric="falsePositiveRate",
            threshold_mode="range",
            threshold=0.1,
            operator="greaterThan",
            threshold2=0.4,
            operator2="lessThanOrEqual",
        ),
    )
    assert (performance["type"], performance["metric"]) == ("PERFORMANCE", "FALSE_POSITIVE_RATE")
    assert performance["threshold"] == {
        "type": "MANUAL_RANGE",
        "lower": {"operator": "GREATER_THAN", "value": 0.1},
        "upper": {"operator": "LESS_THAN_OR_EQUAL", "value": 0.4},
    }
    custom = _created(
        arize_tenant,
        toolkit.create_performance_monitor(
            name="errors",
            model_name="chatbot",
            model_environment_name="tracing",
            custom_metric_id=metric["id"],
            threshold=0.05,
        ),
    )
    assert (custom["type"], custom["custom_metric_id"]) == ("CUSTOM_METRIC", metric["id"])
    shown = toolkit.get_monitor_by_id(custom["id"])
    assert (shown["performanceMetric"], shown["customMetric"]["name"]) == ("udf", "Error Rate")
    listed = toolkit.get_all_monitors(model_name="chatbot", monitor_category="performance")
    assert [one["name"] for one in listed] == ["errors", "accuracy band"]


def test_toolkit_pages_copies_and_deletes(arize_tenant: ArizeTenant, toolkit: Any) -> None:
    feature = {"category": "FEATURE_LABEL", "name": "topic"}
    for number in range(23):
        arize_tenant.add_monitor(name=f"monitor {number}", type="DRIFT", metric="PSI", dimension=feature)
    assert len(toolkit.get_all_monitors(model_name="chatbot")) == 23
    copy = _created(
        arize_tenant, toolkit.copy_monitor("monitor 7", "chatbot", new_monitor_name="copied", threshold=0.4)
    )
    assert (copy["name"], copy["type"], copy["threshold"]["value"]) == ("copied", "DRIFT", 0.4)
    assert toolkit.delete_monitor(monitor_name="copied", model_name="chatbot") is True
    assert arize_tenant.state.monitors.get(copy["id"]) is None
    operations = [row["operation_name"] for row in arize_tenant.state.audit_logs.newest()]
    assert operations == ["deleteMonitor", "createDriftMonitor"]


def test_toolkit_refusals_are_graphql_errors(arize_tenant: ArizeTenant, toolkit: Any) -> None:
    from arize_toolkit.exceptions import ArizeAPIException

    arize_tenant.add_project("chatbot")
    common = {"model_name": "chatbot", "model_environment_name": "tracing", "threshold": 1}
    span = {"dimension_category": "spanProperty", "data_quality_metric": "p95"}
    refusals = [
        ("no such model", {**common, **span, "model_name": "other", "dimension_name": "x"}),
        ("needs a dimensionName", {**common, **span}),
        ("is no metric of spans", {**common, **span, "data_quality_metric": "newValues", "dimension_name": "x"}),
        ("threshold2", {**common, **span, "dimension_name": "x", "threshold_mode": "range", "operator2": "lessThan"}),
        ("no integration key", {**common, **span, "dimension_name": "x", "integration_key_ids": ["SW50"]}),
    ]
    for message, arguments in refusals:
        with pytest.raises(ArizeAPIException) as refusal:
            toolkit.create_data_quality_monitor(name="refused", **{"dimension_name": None, **arguments})
        assert message in str(refusal.value)
    assert arize_tenant.state.monitors.newest() == []


def test_toolkit_reads_metric_history_and_thresholds(arize_tenant: ArizeTenant, toolkit: Any) -> None:
    (case,) = [one for one in arize_tenant.seed() if one["id"] == "eval-dynamic"]
    history = toolkit.get_monitor_metric_values(
        monitor_name=case["monitor"]["name"],
        model_name=case["project"],
        start_date=datetime(2026, 11, 20, tzinfo=UTC),
        end_date=datetime(2026, 11, 25, tzinfo=UTC),
    )
    values = [point["y"] for point in history["dataPoints"]]
    assert values == [*case["history"], case["monitor"]["latest_computed_value"]]
    begin, _ = arize_tenant.state.failing_window(case["monitor"])
    before = [point for point in history["dataPoints"] if moment(point["x"]) < begin]
    assert [point["y"] for point in before] == case["history"]
    # Three standard deviations below the mean of what was before; REST shows only the multiplier.
    assert 0.77 < history["thresholdDataPoints"][-1]["y"] < 0.79
    assert history["thresholdDataPoints"][0]["y"] is None


def test_metric_history_means_by_day(arize_tenant: ArizeTenant, toolkit: Any) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    points = [(noon + timedelta(hours=hours), value) for hours, value in ((0, 1.0), (1, 3.0), (24, None), (48, 5.0))]
    arize_tenant.add_monitor(name="daily", history=points)
    history = toolkit.get_monitor_metric_values(
        monitor_name="daily",
        model_name="chatbot",
        start_date=noon - timedelta(days=1),
        end_date=noon + timedelta(days=1, hours=1),
        time_series_data_granularity="day",
    )
    assert [point["y"] for point in history["dataPoints"]] == [2.0, None]
    assert {point["y"] for point in history["thresholdDataPoints"]} == {5000.0}


def test_toolkit_lists_integrations_as_a_list(arize_tenant: ArizeTenant, toolkit: Any) -> None:
    arize_tenant.views.integrations_as_list = True
    arize_tenant.add_integration_key("on-call", "pagerduty", alertSeverity="pagerdutycritical")
    arize_tenant.add_integration_key("posts", "slack", channelName="#alerts")
    found = toolkit.list_integrations()
    assert {(one["name"], one["providerName"]) for one in found} == {("on-call", "pagerduty"), ("posts", "slack")}
    assert [one["name"] for one in toolkit.list_integrations(provider_name="slack")] == ["posts"]
    row = _created(
        arize_tenant,
        toolkit.create_performance_monitor(
            name="accuracy",
            model_name=arize_tenant.add_project("chatbot")["name"],
            performance_metric="accuracy",
            model_environment_name="production",
            threshold=0.9,
            operator="lessThan",
            integration_names="on-call",
        ),
    )
    assert row["notification_configs"][0]["type"] == "INTEGRATION"
    contact = toolkit.get_monitor_by_id(row["id"])["contacts"][0]
    assert contact["integration"]["alertSeverity"] == "pagerdutycritical"


def test_toolkit_reads_custom_metrics(arize_tenant: ArizeTenant, toolkit: Any) -> None:
    project = arize_tenant.add_project("chatbot")
    for number in range(12):
        arize_tenant.add_custom_metric(f"metric {number}", f"SELECT {number} FROM model", project_id=project["id"])
    found = toolkit.get_all_custom_metrics_for_model(model_name="chatbot")
    assert len(found) == 12
    assert toolkit.get_custom_metric("chatbot", "metric 11")["metric"] == "SELECT 11 FROM model"
