"""Alerts that name little more than a monitor's id: Arize describes the rest, in time or later."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from alerts import Alert, normalise
from incident.view import IncidentView
from integrations.arize.description_cache import DescriptionCache
from tests.vendors import ArizeTenant, Jira, PagerDuty, Slack
from tests.waiting import wait_until
from tests.workflows.harness import IncidentHarness, incident_harness
from tests.workflows.test_history_size import events

"""As in the shipped policy: what is not known is posted at least."""
FAULTS = ("outage", "hang_up", "broken", "rate_limited", "unauthorized", "wrong_json", "html")


@pytest.fixture
async def harness(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira, arize_tenant: ArizeTenant
) -> AsyncGenerator[IncidentHarness]:
    """An incident on the time-skipping server, beside a tenant of Arize."""
    options: dict[str, Any] = {"environment": arize_tenant.environment}
    async with incident_harness(tmp_path, pagerduty, slack, jira, **options) as harness:
        yield harness


@pytest.fixture
async def real(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira, arize_tenant: ArizeTenant
) -> AsyncGenerator[IncidentHarness]:
    options: dict[str, Any] = {"environment": arize_tenant.environment, "real": True}
    async with incident_harness(tmp_path, pagerduty, slack, jira, **options) as harness:
        yield harness


def error_rate(tenant: ArizeTenant, value: float = 0.31, status: str = "TRIGGERED", project: str = "chatbot") -> Any:
    """A monitor of a custom metric, in Arize's words: neither its id nor its body says what it measures."""
    home = tenant.project(project)
    metric = tenant.add_custom_metric("Error Rate", "SELECT COUNT(*) FROM model", project_id=home["id"])
    return tenant.add_monitor(
        project=project,
        name="failures",
        type="CUSTOM_METRIC",
        status=status,
        threshold={"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 0.05},
        latest_computed_value=value,
        evaluated_at="2026-11-26T03:00:07Z",
        custom_metric_id=metric["id"],
    )


def poke(monitor: Any) -> Alert:
    return normalise({"event": "monitor.updated", "monitor_id": monitor["id"]})


def whole(monitor: Any) -> Alert:
    return normalise({"event": "monitor.updated", "monitor": monitor})


def break_both(tenant: ArizeTenant, fault: str) -> None:
    getattr(tenant.rest, fault)()
    getattr(tenant.graphql, fault)()


def recover(tenant: ArizeTenant) -> None:
    tenant.rest.recover()
    tenant.graphql.recover()


def timeline(view: IncidentView, event: str) -> list[str]:
    return [one.text for one in view.timeline if one.event == event]


async def later(harness: IncidentHarness, condition: Callable[[IncidentView], bool]) -> IncidentView:
    """Let minutes pass, in which Temporal asks Arize again, until the condition is met."""
    view = await harness.view()
    for _ in range(45):
        if condition(view):
            return view
        await harness.advance(minutes=1)
        await asyncio.sleep(0.3)  # for the requests to Arize
        view = await harness.view()
    raise AssertionError(view.model_dump_json(indent=1))


def arrived(view: IncidentView) -> bool:
    return bool(timeline(view, "description_arrived"))


@pytest.mark.parametrize("body", [poke, whole])
async def test_poke_pages_as_whole_body(real: IncidentHarness, arize_tenant: ArizeTenant, body: Any) -> None:
    harness = real
    monitor = error_rate(arize_tenant)
    await harness.fire(body(monitor))
    view = await harness.until_state("notified")
    assert (view.tier, view.rule, view.model, view.team) == ("critical", "errors", "chatbot", "support")
    assert view.headline.startswith("CRITICAL chatbot error_rate 31 % (limit 5 %)")
    assert view.alert is not None
    assert (view.alert.url, view.alert.undescribed) == (monitor["uri"], "")
    page = harness.pagerduty.events("trigger")[0]
    assert page["payload"]["summary"].startswith("CRITICAL chatbot error_rate 31 %")
    assert monitor["uri"] in str(page)
    listed = (await harness.handle.describe()).search_attributes
    assert (listed["TocsinModel"], listed["TocsinEnvironment"]) == (["chatbot"], ["production"])
    assert (await events(harness))["activity_task_scheduled"] == 2, "one activity more than with a cached description"


async def test_gateway_decides_from_cache_without_request(harness: IncidentHarness, arize_tenant: ArizeTenant) -> None:
    monitor = error_rate(arize_tenant)
    found = await harness.arize.describer.describe(monitor["id"])
    assert found is not None
    harness.arize.descriptions.add([found])
    before = len(arize_tenant.requests)
    await harness.fire(whole(monitor))
    view = await harness.until_state("notified")
    assert (view.tier, view.rule) == ("critical", "errors")
    assert len(arize_tenant.requests) == before
    assert (await events(harness))["activity_task_scheduled"] == 1, "only the page"


async def test_described_monitor_is_in_durable_cache(
    harness: IncidentHarness, arize_tenant: ArizeTenant, tmp_path: Path
) -> None:
    """Another process, or the same after a restart, decides from what this worker read."""
    monitor = error_rate(arize_tenant)
    await harness.fire(poke(monitor))
    await harness.until_state("notified")
    other = DescriptionCache(f"sqlite:///{tmp_path}/gateway.db")

    async def known() -> bool:
        await other.load()
        return other.get(monitor["id"]) is not None

    await wait_until(known)
    other.close()


@pytest.mark.parametrize("fault", FAULTS)
async def test_alert_is_decided_in_doubt_and_raised_later(
    harness: IncidentHarness, arize_tenant: ArizeTenant, fault: str
) -> None:
    arize_tenant.accepts_wrong_key = True
    break_both(arize_tenant, fault)
    monitor = error_rate(arize_tenant)
    await harness.fire(poke(monitor))
    view = await harness.until(lambda one: one if one.decision else None)
    assert view.tier == "high", "a post at least: in doubt, louder than a digest"
    assert timeline(view, "description_missing")
    assert view.alert is not None
    assert view.alert.undescribed.startswith("its value, its metric's name, its project's name: Arize")
    assert harness.page_keys() == []
    recover(arize_tenant)
    view = await later(harness, arrived)
    assert (view.tier, view.rule, view.model) == ("critical", "errors", "chatbot")
    assert timeline(view, "description_arrived")[0].startswith("now critical by rule errors")
    await harness.until(lambda one: len(one.receipts) >= 2)
    assert len(harness.page_keys("primary")) == 1
    assert (await harness.view()).headline.startswith("CRITICAL chatbot error_rate 31 %")


async def test_slow_arize_delays_by_the_wait_only(harness: IncidentHarness, arize_tenant: ArizeTenant) -> None:
    """The alert is decided while Arize still does not answer; the answer is used when it comes."""
    harness.change_policy("version: 1", "version: 1\nintake: {describe: {wait: 1s}}")
    arize_tenant.rest.slow(600)
    arize_tenant.graphql.slow(600)
    monitor = error_rate(arize_tenant)
    await harness.fire(poke(monitor))
    view = await harness.until(lambda one: one if one.decision else None)
    assert view.alert is not None
    assert "did not answer within" in view.alert.undescribed
    assert arize_tenant.calls(f"/v2/monitors/{monitor['id']}"), "Arize was asked"
    assert set(harness.arize.health.problems) == {"rest", "graphql"}
    recover(arize_tenant)
    view = await later(harness, arrived)
    assert view.tier == "critical"


async def test_late_description_never_lowers_the_tier(harness: IncidentHarness, arize_tenant: ArizeTenant) -> None:
    break_both(arize_tenant, "broken")
    monitor = error_rate(arize_tenant, value=0.01)  # the rule's limit is not passed
    await harness.fire(poke(monitor))
    await harness.until_state("notified")
    posts = len(harness.slack.done)
    recover(arize_tenant)
    view = await later(harness, arrived)
    assert (view.tier, view.model, view.team) == ("high", "chatbot", "support")
    assert timeline(view, "description_arrived")[0].endswith("; it stays high")
    assert "low by rule otherwise" in timeline(view, "description_arrived")[0]
    assert harness.page_keys() == []
    await wait_until(lambda: _shown(harness, posts, "error_rate"))


async def _shown(harness: IncidentHarness, posts: int, text: str) -> bool:
    return any(text in str(one.body) for one in harness.slack.done[posts:])


async def test_late_description_adopts_governance(harness: IncidentHarness, arize_tenant: ArizeTenant) -> None:
    break_both(arize_tenant, "outage")
    monitor = error_rate(arize_tenant, value=0.01, project="underwriting")
    await harness.fire(poke(monitor))
    await harness.until_state("notified")
    recover(arize_tenant)
    view = await later(harness, arrived)
    assert (view.tier, view.closed_by) == ("high", "compliance")
    await harness.until(lambda one: any(receipt.type == "jira" for receipt in one.receipts))
    await harness.clear()
    await harness.until_state("awaiting_human")


async def test_asking_again_adds_no_history(harness: IncidentHarness, arize_tenant: ArizeTenant) -> None:
    """Arize is asked again for as long as the incident is open."""
    break_both(arize_tenant, "outage")
    monitor = error_rate(arize_tenant)
    await harness.fire(poke(monitor))
    await harness.until_state("notified")
    before = (await events(harness)).total()
    asked = len(arize_tenant.requests)
    for _ in range(10):
        await harness.advance(minutes=3)
        await asyncio.sleep(0.3)
    assert len(arize_tenant.requests) > asked
    assert (await events(harness)).total() == before
    await harness.clear()
    records = await harness.until_closed()
    assert [one.event for one in records].count("description_missing") == 1


async def test_another_worker_goes_on_asking(real: IncidentHarness, arize_tenant: ArizeTenant) -> None:
    harness = real
    break_both(arize_tenant, "outage")
    monitor = error_rate(arize_tenant)
    await harness.fire(poke(monitor))
    await harness.until_state("notified")
    async with harness.without_worker():
        recover(arize_tenant)
    view = await harness.until(lambda one: one if arrived(one) else None)
    assert (view.tier, view.rule) == ("critical", "errors")


async def test_unknown_monitor_is_asked_for_once(harness: IncidentHarness, arize_tenant: ArizeTenant) -> None:
    await harness.fire(normalise({"monitor_id": "TW9uaXRvcjo5OTk6eA=="}))
    view = await harness.until_state("notified")
    assert view.alert is not None
    assert "Arize has no monitor with the id" in view.alert.undescribed
    assert timeline(view, "description_missing") == []
    await harness.advance(minutes=30)
    assert len(arize_tenant.calls("/v2/monitors/TW9uaXRvcjo5OTk6eA==")) == 1


async def test_poke_of_cleared_monitor_notifies_nobody(harness: IncidentHarness, arize_tenant: ArizeTenant) -> None:
    monitor = error_rate(arize_tenant, value=0.01, status="CLEARED")
    await harness.fire(poke(monitor))
    records = await harness.until_closed()
    assert [one.event for one in records] == ["received", "cleared"]
    assert harness.page_keys() == harness.slack.done == []


async def test_poke_clears_open_incident(harness: IncidentHarness, arize_tenant: ArizeTenant) -> None:
    monitor = error_rate(arize_tenant)
    await harness.fire(poke(monitor))
    await harness.until_state("notified")
    arize_tenant.evaluate(monitor["id"], 0.01)
    await harness.fire(poke(monitor))
    records = await harness.until_closed()
    assert [one.by for one in records if one.event == "cleared"] == ["arize"]
    assert len(harness.pagerduty.events("resolve")) == 1


async def test_stated_status_wins(harness: IncidentHarness, arize_tenant: ArizeTenant) -> None:
    """A delivery may be older than what Arize says now; only a body without a status takes Arize's."""
    monitor = error_rate(arize_tenant, status="CLEARED")
    await harness.fire(normalise({"monitor_id": monitor["id"], "status": "TRIGGERED"}))
    assert (await harness.until_state("notified")).tier == "critical"


async def test_without_key_gateway_decides_at_once(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira
) -> None:
    async with incident_harness(tmp_path, pagerduty, slack, jira) as harness:
        await harness.fire(normalise({"monitor_id": "TW9uaXRvcjo5OTk6eA=="}))
        view = await harness.until_state("notified")
        assert view.tier == "high"
        assert view.alert is not None
        assert view.alert.undescribed.endswith("ARIZE_API_KEY is not set")
        assert (await events(harness))["activity_task_scheduled"] == 1


async def test_without_key_the_policy_may_know_the_ids(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira
) -> None:
    async with incident_harness(tmp_path, pagerduty, slack, jira) as harness:
        harness.change_policy(
            "  chatbot: {team: support}", "  chatbot: {team: support, arize: {projects: [cHJvamVjdA]}}"
        )
        harness.gateway_decides = False
        body = {"monitor_id": "m", "project_id": "cHJvamVjdA", "metric": "P95", "latest_computed_value": 1}
        await harness.fire(normalise({**body, "dimension": {"category": "SPAN_ATTRIBUTE", "name": "latency_ms"}}))
        view = await harness.until(lambda one: one if one.decision else None)
        assert view.alert is not None
        assert (view.alert.model, view.alert.undescribed, view.tier) == ("chatbot", "", "critical")


async def test_later_alert_is_described_too(harness: IncidentHarness, arize_tenant: ArizeTenant) -> None:
    """A quiet first alert, then a poke whose value only Arize knows: the incident pages."""
    monitor = error_rate(arize_tenant, value=0.01)
    await harness.fire(poke(monitor))
    assert (await harness.until_state("notified")).tier == "low"
    arize_tenant.evaluate(monitor["id"], 0.4, status="TRIGGERED")
    await harness.fire(poke(monitor), event_id="second")
    view = await harness.until(lambda one: one if one.tier == "critical" else None)
    assert view.headline.startswith("CRITICAL chatbot error_rate 40 %")
