"""GraphQL of the stand-in tenant beyond what arize-toolkit asks: patches, triggers, refusals, both faces as one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from graphql import GraphQLEnumType

from tests.arize.conftest import Endpoint
from tests.vendors import ArizeTenant
from tests.vendors.arize.every_kind import monitors_of_every_kind
from tests.vendors.arize.graphql_api import schema
from tests.vendors.arize.translate import camel

MONITOR = """query Monitor($id: ID!) { node(id: $id) { __typename ... on Monitor {
  name status threshold operator notes primaryMetricWindow { dimension { name dataType category } } } } }"""


def ask(tenant: ArizeTenant, query: str, key: str | None = None, **variables: Any) -> httpx.Response:
    sent = {"query": query, "variables": variables}
    return httpx.post(f"{tenant.base_url}/graphql", headers={"x-api-key": key or tenant.key}, json=sent, timeout=30)


def mutate(tenant: ArizeTenant, operation: str, **given: Any) -> dict[str, Any]:
    kind = f"{operation[0].upper()}{operation[1:]}MutationInput"
    selection = f"{operation}(input: $input) {{ monitor {{ id status threshold }} }}"
    query = f"mutation {operation}($input: {kind}!) {{ {selection} }}"
    return ask(tenant, query, input=given).json()


def test_patch_keeps_what_it_does_not_name(arize_tenant: ArizeTenant) -> None:
    filters = [
        {"dimension": {"category": "SPAN_ATTRIBUTE", "name": "tier"}, "operator": "EQUALS", "values": ["premium"]}
    ]
    monitor = arize_tenant.add_monitor(notes="team:core", filters=filters)
    assert "errors" not in mutate(arize_tenant, "patchDataQualityMonitor", monitorId=monitor["id"], threshold=9000)
    row = arize_tenant.state.monitors.get(monitor["id"])
    assert row is not None
    assert row["threshold"] == {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 9000.0}
    assert (row["notes"], row["filters"], row["metric"]) == ("team:core", filters, "P95")

    mutate(
        arize_tenant,
        "patchDataQualityMonitor",
        monitorId=monitor["id"],
        dynamicAutoThreshold={"stdDevMultiplier": 4},
        filters=[],
        dataQualityMetric="p99",
    )
    row = arize_tenant.state.monitors.get(monitor["id"])
    assert row is not None
    assert (row["threshold"]["type"], row["threshold"]["multiplier"], row["metric"]) == ("DYNAMIC_SINGLE", 4, "P99")
    assert "filters" not in row


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("patchDriftMonitor", {"threshold": 1}, "is no drift monitor"),
        ("patchDataQualityMonitor", {"name": " "}, "name must have"),
        ("patchDataQualityMonitor", {"evaluationWindowLengthSeconds": 0.5}, "whole seconds"),
        ("patchDataQualityMonitor", {"threshold": 1, "dynamicAutoThreshold": {}}, "exactly one of"),
        (
            "patchDataQualityMonitor",
            {"contacts": [{"notificationChannelType": "email"}]},
            "an email contact needs an emailAddress",
        ),
        ("deleteMonitor", {"monitorId": "TW9uaXRvcjo5OmFaOQ=="}, "no monitor with the id"),
    ],
)
def test_mutations_refuse_what_is_wrong(
    arize_tenant: ArizeTenant, name: str, given: dict[str, Any], message: str
) -> None:
    monitor = arize_tenant.add_monitor()
    answer = mutate(arize_tenant, name, **{"monitorId": monitor["id"], **given})
    assert message in answer["errors"][0]["message"]
    assert arize_tenant.state.audit_logs.newest() == []


def test_trigger_evaluates_and_delivers(arize_tenant: ArizeTenant, endpoint: Endpoint) -> None:
    monitor = arize_tenant.add_monitor()
    webhook = arize_tenant.add_webhook(endpoint.base_url)
    arize_tenant.attach_webhook(monitor["id"], webhook["id"])
    arize_tenant.state.extras[monitor["id"]].next_value = 9200.0
    answer = mutate(arize_tenant, "triggerMonitor", monitorId=monitor["id"])
    assert answer["data"]["triggerMonitor"]["monitor"]["status"] == "triggered"
    (delivery,) = arize_tenant.webhooks.deliveries
    assert delivery.wait()["payload"]["monitor"]["latest_computed_value"] == 9200.0


def test_dimension_data_types_and_filters_of_lists(arize_tenant: ArizeTenant) -> None:
    embedding = {"category": "FEATURE_LABEL", "name": "question_embedding"}
    arize_tenant.add_monitor(
        name="drift", type="DRIFT", metric="EUCLIDEAN_DISTANCE", dimension=embedding, status="TRIGGERED"
    )
    arize_tenant.add_monitor(name="latency", data_type="LONG")
    query = """query Monitors($id: ID!, $status: MonitorStatus, $first: Int, $after: String) {
      node(id: $id) { ... on Space { monitors(first: $first, after: $after, status: $status) {
        pageInfo { hasNextPage endCursor }
        edges { node { name primaryMetricWindow { dimension { name dataType } } } } } } } }"""

    def page(**given: Any) -> tuple[list[tuple[str, str]], dict[str, Any]]:
        found = ask(arize_tenant, query, id=arize_tenant.space_id, **given).json()["data"]["node"]["monitors"]
        nodes = [edge["node"] for edge in found["edges"]]
        return [(one["name"], one["primaryMetricWindow"]["dimension"]["dataType"]) for one in nodes], found["pageInfo"]

    first, info = page(first=1)
    assert (first, info["hasNextPage"]) == ([("latency", "LONG")], True)
    second, info = page(first=1, after=info["endCursor"])
    assert (second, info["hasNextPage"]) == ([("drift", "EMBEDDING")], False)
    assert page(status="triggered")[0] == [("drift", "EMBEDDING")]


def test_every_kind_of_monitor_has_its_words_in_graphql(arize_tenant: ArizeTenant) -> None:
    project = arize_tenant.add_project("chatbot")
    metric = arize_tenant.add_custom_metric("Error Rate", "SELECT 1 FROM model", project_id=project["id"])
    operators = ["TOP_N", "CONTAINS", "CONTAINS_STRING", "SIMILAR_TO", "EQUALS", "LESS_THAN_OR_EQUAL"]
    for number, row in enumerate(monitors_of_every_kind(project["id"], metric["id"])):
        dimension = row.get("dimension", {"category": "TAG", "name": "tier"})
        filters = [{"dimension": dimension, "operator": operators[number % 6], "values": ["a"]}]
        arize_tenant.put_monitor({**row, "filters": filters})
    query = """query All($id: ID!, $after: String) { node(id: $id) { ... on Model {
      monitors(first: 100, after: $after) { pageInfo { hasNextPage endCursor } edges { node {
        id monitorCategory status thresholdMode operator operator2
        performanceMetric dataQualityMetric driftMetric dimensionCategory customMetric { name metric }
        primaryMetricWindow { dimension { category } filters { filterType operator dimension { category } } }
      } } } } } }"""
    shown: dict[str, Any] = {}
    after = None
    while True:
        answer = ask(arize_tenant, query, id=project["id"], after=after).json()
        assert "errors" not in answer
        found = answer["data"]["node"]["monitors"]
        shown |= {edge["node"]["id"]: edge["node"] for edge in found["edges"]}
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    rows = arize_tenant.state.monitors.newest()
    assert len(shown) == len(rows)
    families = ("performanceMetric", "dataQualityMetric", "driftMetric")
    for row in rows:
        (name,) = (shown[row["id"]][family] for family in families if shown[row["id"]][family])
        assert name == ("udf" if row["type"] == "CUSTOM_METRIC" else camel(row["metric"]))
        assert ("dimension" in row) == (shown[row["id"]]["dimensionCategory"] is not None)


def test_every_word_of_graphql_becomes_one_of_rest(arize_tenant: ArizeTenant) -> None:
    project = arize_tenant.add_project("chatbot")
    common = {"modelId": project["id"], "threshold": 1, "operator": "lessThanOrEqual"}
    column = {"dimensionCategory": "featureLabel", "dimensionName": "topic"}
    sent: list[tuple[str, dict[str, Any]]] = [
        ("createPerformanceMonitor", {"performanceMetric": word})
        for word in _words("PerformanceMetric")
        if word != "udf"
    ]
    sent += [("createDriftMonitor", {"driftMetric": word, **column}) for word in _words("DriftMetric")]
    sent += [
        ("createDataQualityMonitor", {"dataQualityMetric": word, **column}) for word in _words("DataQualityMetric")
    ]
    sent += [
        ("createDataQualityMonitor", {**column, "dataQualityMetric": "count", "dimensionCategory": word})
        for word in _words("DimensionCategory")
    ]
    filters = [
        {"dimensionType": row, "operator": operator, "name": "topic", "values": ["a"]}
        for row in _words("FilterRowType")
        for operator in _words("ComparisonOperator")
    ]
    sent.append(("createPerformanceMonitor", {"performanceMetric": "auc", "filters": filters}))
    for number, (operation, given) in enumerate(sent):
        assert "errors" not in mutate(arize_tenant, operation, name=f"monitor {number}", **common, **given)
    for row in arize_tenant.state.monitors.newest():
        headers = {"Authorization": f"Bearer {arize_tenant.key}"}
        assert httpx.get(f"{arize_tenant.base_url}/v2/monitors/{row['id']}", headers=headers).status_code == 200
    # What REST now answers, the SDK's enumerations know.
    assert arize_tenant.check() == []
    assert len(arize_tenant.state.monitors.newest()) == len(sent) > 70


def _words(enumeration: str) -> list[str]:
    found = schema().type_map[enumeration]
    assert isinstance(found, GraphQLEnumType)
    return list(found.values)


def test_denied_fields_are_null_beside_an_error(arize_tenant: ArizeTenant) -> None:
    monitor = arize_tenant.add_monitor(notes="team:core")
    arize_tenant.views.denied = {"notes", "primaryMetricWindow"}
    answer = ask(arize_tenant, MONITOR, id=monitor["id"]).json()
    assert (answer["data"]["node"]["name"], answer["data"]["node"]["notes"]) == ("p95 latency", None)
    assert {error["message"] for error in answer["errors"]} == {"permission denied"}


def test_integrations_are_a_connection_in_the_schema(arize_tenant: ArizeTenant) -> None:
    arize_tenant.add_integration_key("on-call", "opsgenie", alertSeverity="opsgenieP1")
    query = """query Keys($id: ID!) { node(id: $id) { ... on AccountOrganization {
      integrations(providerName: opsgenie) { edges { node { name alertSeverity } } } } } }"""
    answer = ask(arize_tenant, query, id=arize_tenant.organization_id).json()
    assert answer["data"]["node"]["integrations"]["edges"] == [
        {"node": {"name": "on-call", "alertSeverity": "opsgenieP1"}}
    ]


def test_performance_metric_over_time(arize_tenant: ArizeTenant) -> None:
    project, noon = (
        arize_tenant.add_project("fraud", model_type="score_categorical"),
        datetime(2026, 11, 1, 12, tzinfo=UTC),
    )
    arize_tenant.add_metric_series(project["id"], "auc", [(noon, 0.9), (noon + timedelta(days=1), 0.7)])
    query = """query Series($id: ID!, $begin: DateTime!, $end: DateTime!) { node(id: $id) { ... on Model { modelType
      performanceMetricOverTime(startTime: $begin, endTime: $end, performanceMetric: auc,
        timeSeriesDataGranularity: day) { dataWindows { metricDisplayDate metricValue } } } } }"""
    answer = ask(arize_tenant, query, id=project["id"], begin="2026-11-01T00:00:00Z", end="2026-11-03T00:00:00Z")
    node = answer.json()["data"]["node"]
    assert node["modelType"] == "score_categorical"
    assert [one["metricValue"] for one in node["performanceMetricOverTime"]["dataWindows"]] == [0.9, 0.7]


def test_unknown_fields_and_wrong_variables_are_violations(arize_tenant: ArizeTenant) -> None:
    monitor = arize_tenant.add_monitor()
    assert ask(arize_tenant, "{ node(id: 1) { id } account { owner } }").status_code == 400
    assert ask(arize_tenant, MONITOR).json()["errors"]
    assert ask(arize_tenant, MONITOR, key="another", id=monitor["id"]).status_code == 401
    violations = arize_tenant.check()
    assert [fault.partition(":")[0] for fault in violations] == ["/graphql"] * 3
    assert "Cannot query field 'owner'" in violations[0]
    arize_tenant.violations.clear()


def test_wrong_moments_are_refused(arize_tenant: ArizeTenant) -> None:
    monitor = arize_tenant.add_monitor()
    query = """query History($id: ID!, $begin: DateTime!) { node(id: $id) { ... on Monitor {
      metricHistory(startTime: $begin, endTime: $begin, timeSeriesDataGranularity: hour) {
        ... on TimeSeriesWithThresholdDataType { key } } } } }"""
    assert "yesterday" in ask(arize_tenant, query, id=monitor["id"], begin="yesterday").json()["errors"][0]["message"]
    arize_tenant.violations.clear()
