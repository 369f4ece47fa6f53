"""A monitor's description, read from a whole tenant: REST checked by the SDK's models, GraphQL by its schema."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from alerts import Description, described, normalise
from integrations.arize.client import ArizeApi
from integrations.arize.describer import FRESH, ArizeDescriber
from integrations.arize.graphql import ArizeGraphQL
from integrations.arize.health import ArizeHealth
from integrations.base.errors import IntegrationError, PermanentError, TemporaryError
from tests.vendors import ArizeTenant, Fault


class _Setup(NamedTuple):
    tenant: ArizeTenant
    describer: ArizeDescriber
    health: ArizeHealth

    async def describe(self, monitor_id: str, **options: Any) -> Description:
        found = await self.describer.describe(monitor_id, **options)
        assert found is not None
        return found


@pytest.fixture
async def arize(arize_tenant: ArizeTenant) -> AsyncGenerator[_Setup]:
    health = ArizeHealth()
    rest = ArizeApi(arize_tenant.key, arize_tenant.base_url, "", health)
    graphql = ArizeGraphQL(arize_tenant.key, arize_tenant.base_url, health)
    yield _Setup(arize_tenant, ArizeDescriber(rest, graphql), health)
    await rest.close()
    await graphql.close()


def poke(monitor_id: str) -> Any:
    return normalise({"monitor_id": monitor_id})


async def test_poke_becomes_whole_alert(arize: _Setup) -> None:
    monitor = arize.tenant.add_monitor(project="support-chatbot", tags=["team:support-ai", "environment:staging"])
    arize.tenant.evaluate(monitor["id"], 9200.0)
    found = await arize.describe(monitor["id"])
    assert (found.project, found.tags, found.missing) == (
        "support-chatbot",
        ("environment:staging", "team:support-ai"),
        (),
    )
    alert = described(poke(monitor["id"]), found, live=True)
    assert (alert.monitor, alert.aggregation, alert.dimension, alert.value, alert.model, alert.environment) == (
        monitor["name"],
        "p95",
        "latency_ms",
        9200.0,
        "support-chatbot",
        "staging",
    )
    assert alert.url.endswith(monitor["id"])


async def test_custom_metric_has_name_and_formula(arize: _Setup) -> None:
    project = arize.tenant.project("chatbot")
    metric = arize.tenant.add_custom_metric("Error Rate", "SELECT 1 FROM model", project_id=project["id"])
    monitor = _custom_metric_monitor(arize.tenant, metric["id"])
    found = await arize.describe(monitor["id"])
    assert (found.custom_metric, found.formula, found.missing) == ("Error Rate", "SELECT 1 FROM model", ())


async def test_drift_has_dimension_data_type(arize: _Setup) -> None:
    monitor = _drift_monitor(arize.tenant)
    found = await arize.describe(monitor["id"])
    assert found.dimension_type == "EMBEDDING"
    assert described(poke(monitor["id"]), found, live=True).dimension_type == "embedding"


async def test_dynamic_threshold_has_numbers(arize: _Setup) -> None:
    """The baseline is the median of what was before the failing window; points inside it are left out."""
    monitor = _dynamic_monitor(arize.tenant, datetime.now(UTC))
    found = await arize.describe(monitor["id"])
    assert found.missing == ()
    assert found.baseline == 0.8
    assert found.threshold is not None
    assert found.threshold < 0.8


@pytest.mark.parametrize("is_listed", [False, True])
async def test_stated_threshold_has_the_usual_value_too(arize: _Setup, is_listed: bool) -> None:
    """A relevance of 0.8 that fell to 0.55 is a collapse, however near the threshold of 0.6 is."""
    monitor = _dynamic_monitor(arize.tenant, datetime.now(UTC))
    stated = {"type": "MANUAL_SINGLE", "operator": "LESS_THAN", "value": 0.6}
    monitor = arize.tenant.put_monitor(
        {**monitor, "threshold": stated, "latest_computed_value": 0.55},
        history=[(datetime.now(UTC) - timedelta(hours=8), 0.8)],
    )
    found = await arize.describe(monitor["id"], listed=monitor if is_listed else None)
    assert (found.baseline, found.threshold, found.missing) == (0.8, None, ())
    alert = described(poke(monitor["id"]), found, live=True)
    assert (alert.threshold, alert.baseline, alert.change) == (0.6, 0.8, -0.3125)


async def test_stated_threshold_misses_no_history(arize: _Setup) -> None:
    arize.tenant.graphql.permission_denied()
    found = await arize.describe(arize.tenant.add_monitor()["id"])
    assert (found.baseline, found.missing) == (None, ())


async def test_monitor_evaluated_long_ago_has_numbers(arize: _Setup) -> None:
    monitor = _dynamic_monitor(arize.tenant, datetime.now(UTC) - timedelta(days=90))
    assert (await arize.describe(monitor["id"])).baseline == 0.8


async def test_unknown_monitor_is_none(arize: _Setup) -> None:
    assert await arize.describer.describe("TW9uaXRvcjo5OTk6eA==") is None


async def test_refused_graphql_leaves_rest(arize: _Setup) -> None:
    """GraphQL needs a right that REST does not: the description has everything else."""
    arize.tenant.graphql.permission_denied()
    project = arize.tenant.project("chatbot")
    metric = arize.tenant.add_custom_metric("Error Rate", "SELECT 1 FROM model", project_id=project["id"])
    monitor = _custom_metric_monitor(arize.tenant, metric["id"], tags=["kind:business"])
    found = await arize.describe(monitor["id"])
    assert (found.project, found.tags) == ("chatbot", ("kind:business",))
    assert [one.split(":")[0] for one in found.missing] == ["its custom metric"]
    assert "GraphQL" in arize.health.problems["graphql"]
    plain = arize.tenant.add_monitor()
    assert (await arize.describe(plain["id"])).missing == ()


async def test_graphql_describes_while_rest_is_down(arize: _Setup) -> None:
    arize.tenant.rest.broken(503)
    metric = arize.tenant.add_custom_metric(
        "Error Rate", "SELECT 1 FROM model", project_id=arize.tenant.project("chatbot")["id"]
    )
    monitor = _custom_metric_monitor(arize.tenant, metric["id"], status="TRIGGERED", value=0.22)
    found = await arize.describe(monitor["id"])
    alert = described(poke(monitor["id"]), found, live=True)
    assert (alert.monitor, alert.custom_metric, alert.value, alert.threshold, alert.operator, alert.status) == (
        "failures",
        "Error Rate",
        0.22,
        0.05,
        "greater_than",
        "triggered",
    )
    assert [one.split(":")[0] for one in found.missing] == ["its tags", "its project"]


@pytest.mark.parametrize("fault", ["wrong_json", "html", "hang_up", "outage", "broken", "rate_limited", "unauthorized"])
async def test_both_apis_down_is_an_error(arize: _Setup, fault: str) -> None:
    monitor = arize.tenant.add_monitor()
    for face in (arize.tenant.rest, arize.tenant.graphql):
        getattr(face, fault)()
    with pytest.raises(IntegrationError) as raised:
        await arize.describer.describe(monitor["id"])
    assert isinstance(raised.value, PermanentError) == (fault == "unauthorized")
    assert arize.tenant.key not in str(raised.value)
    assert arize.health.problems


async def test_slow_part_is_missing(arize: _Setup) -> None:
    """The tags do not delay the rest beyond the limit."""
    monitor = arize.tenant.add_monitor(project="support-chatbot")
    path = f"/v2/monitors/{monitor['id']}/tags"
    arize.tenant.choose = lambda request: Fault(delay=60) if request.path == path else None
    found = await arize.describe(monitor["id"], within=1.0)
    assert found.project == "support-chatbot"
    assert [one.split(":")[0] for one in found.missing] == ["its tags"]


async def test_slow_monitor_is_an_error(arize: _Setup) -> None:
    arize.tenant.rest.slow(60)
    arize.tenant.graphql.slow(60)
    monitor = arize.tenant.add_monitor()
    with pytest.raises(TemporaryError, match=r"did not answer within 2\.0 s"):
        await arize.describer.describe(monitor["id"], within=2.0)
    before = len(arize.tenant.requests)
    with pytest.raises(TemporaryError, match="the next request is sent in"):
        await arize.describer.describe(monitor["id"], within=2.0)
    assert len(arize.tenant.requests) == before, "an API that did not answer is left alone for a while"


async def test_known_unchanged_monitor_takes_one_request(arize: _Setup) -> None:
    monitor = arize.tenant.add_monitor(project="support-chatbot")
    known = await arize.describe(monitor["id"])
    arize.tenant.evaluate(monitor["id"], 7000.0)
    before = len(arize.tenant.requests)
    found = await arize.describe(monitor["id"], known=known)
    assert [one.path for one in arize.tenant.requests[before:]] == [f"/v2/monitors/{monitor['id']}"]
    assert (found.monitor["latest_computed_value"], found.project) == (7000.0, "support-chatbot")


async def test_changed_or_old_description_is_read_again(arize: _Setup) -> None:
    monitor = arize.tenant.add_monitor()
    known = await arize.describe(monitor["id"])
    arize.tenant.edit_by_hand(monitor["id"], "ada@example.com", notes="team:legal-ai")
    assert (await arize.describe(monitor["id"], known=known)).monitor["notes"] == "team:legal-ai"
    old = known.model_copy(update={"described_at": known.described_at - FRESH})
    before = len(arize.tenant.calls(f"/v2/monitors/{monitor['id']}/tags"))
    await arize.describe(monitor["id"], known=old)
    assert len(arize.tenant.calls(f"/v2/monitors/{monitor['id']}/tags")) == before + 1


async def test_warm_projects_need_no_request(arize: _Setup) -> None:
    project = arize.tenant.add_project("support-chatbot")
    monitor = arize.tenant.add_monitor(project="support-chatbot")
    await arize.describer.warm()
    await arize.describer.warm()
    assert len(arize.tenant.calls(f"/v2/projects/{project['id']}/tags")) == 1
    before = len(arize.tenant.requests)
    assert (await arize.describe(monitor["id"])).project == "support-chatbot"
    assert [one for one in arize.tenant.requests[before:] if project["id"] in one.path] == []


def _custom_metric_monitor(tenant: ArizeTenant, metric_id: str, **options: Any) -> Any:
    project = tenant.project("chatbot")
    monitor = {
        "name": "failures",
        "type": "CUSTOM_METRIC",
        "project_id": project["id"],
        "status": options.pop("status", "CLEARED"),
        "threshold": {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 0.05},
        "latest_computed_value": options.pop("value", 0.01),
        "evaluated_at": datetime.now(UTC).isoformat(),
        "custom_metric_id": metric_id,
    }
    return tenant.put_monitor(monitor, **options)


def _drift_monitor(tenant: ArizeTenant) -> Any:
    monitor = {
        "name": "drift",
        "type": "DRIFT",
        "project_id": tenant.project("chatbot")["id"],
        "status": "TRIGGERED",
        "metric": "EUCLIDEAN_DISTANCE",
        "dimension": {"category": "FEATURE_LABEL", "name": "question"},
        "threshold": {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 0.15},
        "evaluated_at": datetime.now(UTC).isoformat(),
    }
    return tenant.put_monitor(monitor, data_type="EMBEDDING")


def _dynamic_monitor(tenant: ArizeTenant, evaluated_at: datetime) -> Any:
    monitor = {
        "name": "relevance",
        "type": "TRACING",
        "project_id": tenant.project("chatbot")["id"],
        "status": "TRIGGERED",
        "metric": "AVG",
        "dimension": {"category": "LLM_EVAL", "name": "Answer Relevance"},
        "threshold": {"type": "DYNAMIC_SINGLE", "calculation": "STDEV", "operator": "LESS_THAN", "multiplier": 3.0},
        "latest_computed_value": 0.66,
        "evaluation_window_length_seconds": 7200,
        "delay_seconds": 0,
        "evaluated_at": evaluated_at.isoformat(),
    }
    before = evaluated_at - timedelta(hours=2)
    history: list[Any] = [(before - timedelta(hours=10 - hour), 0.79 + 0.01 * (hour % 3)) for hour in range(9)]
    return tenant.put_monitor(monitor, history=[*history, (before + timedelta(minutes=90), 0.1)])
