"""Monitors that share ``noise.group_by``: one incident on real Temporal, through the gateway's own ingester."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from alerts import Alert, incident_id, normalise
from gateway.ingest.submission import AcceptedAlert
from incident.view import IncidentView
from tests.vendors.policy import alert_body
from tests.workflows.harness import IncidentHarness, make_alert
from workflows.contracts import INCIDENT_QUERY, PROBLEMS_QUERY, HeldProblem

ERRORS = make_alert()
LATENCY = make_alert("p95_latency_ms", 6200, threshold=5000)
QUALITY = make_alert("answer_relevance", 0.7)
OTHER_MODEL = make_alert(model="underwriting", monitor_id="m-underwriting")
NOISE = "noise: {{group_by: [alert.model, alert.environment], group_window: 15m, reopen_within: 30m}}\n"


def cleared(alert: Alert, **changes: object) -> Alert:
    return alert.model_copy(update={"status": "cleared", "value": 0.01, **changes})


@pytest.fixture
async def grouped(harness: IncidentHarness) -> IncidentHarness:
    """An installation whose policy groups by model and environment."""
    harness.change_policy("governance:", f"{NOISE.format()}governance:")
    return harness


async def view_of(harness: IncidentHarness, incident: str) -> IncidentView:
    handle = harness.client.get_workflow_handle(incident)
    return await handle.query(INCIDENT_QUERY, result_type=IncidentView)


async def until(harness: IncidentHarness, accepted: AcceptedAlert, count: int) -> IncidentView:
    """The incident once it has so many alerts, and a receipt."""
    async with asyncio.timeout(60):
        while True:
            view = await view_of(harness, accepted.incident)
            if view.alert_count >= count and view.receipts:
                return view
            await asyncio.sleep(0.02)


async def closed(harness: IncidentHarness, incident: str) -> None:
    async with asyncio.timeout(60):
        await harness.client.get_workflow_handle(incident).result()


async def test_monitors_of_a_model_are_one_incident(grouped: IncidentHarness) -> None:
    first, second = await grouped.send(ERRORS), await grouped.send(QUALITY)
    other = await grouped.send(OTHER_MODEL)
    assert (first.state, second.state, other.state) == ("started", "joined", "started")
    assert first.incident == second.incident != other.incident
    assert first.incident.startswith("incident-chatbot-production-")
    view = await until(grouped, first, 2)
    assert [(one.monitor, one.status, one.tier, one.rule) for one in view.problems] == [
        (ERRORS.monitor, "triggered", "critical", "errors"),
        (QUALITY.monitor, "triggered", "high", "quality"),
    ]
    assert len(grouped.page_keys()) == 2  # one for each model
    await grouped.send(cleared(ERRORS))
    await grouped.send(cleared(QUALITY))
    await closed(grouped, first.incident)


async def test_alerts_at_once_open_one_incident_with_the_loudest(grouped: IncidentHarness) -> None:
    alerts = [QUALITY, *(make_alert("percent_empty", number, monitor_id=f"m-{number}") for number in range(40)), ERRORS]
    accepted = await asyncio.gather(*(grouped.send(alert) for alert in alerts))
    assert len({one.incident for one in accepted}) == 1
    view = await until(grouped, accepted[0], 42)
    assert len(view.problems) == 42
    assert view.tier == "critical"
    assert len(grouped.page_keys()) == 1
    for alert in alerts:
        await grouped.send(cleared(alert))
    await closed(grouped, accepted[0].incident)


async def test_alert_without_a_key_value_has_its_own_incident(grouped: IncidentHarness) -> None:
    nameless = normalise({**alert_body("error_rate", 0.31, "m-9"), "model": ""})
    accepted = await grouped.send(nameless)
    assert accepted.incident == incident_id(nameless)
    await grouped.send(cleared(nameless))
    await closed(grouped, accepted.incident)


async def test_clear_that_names_no_model_reaches_its_incident(grouped: IncidentHarness) -> None:
    """Through another gateway, too, which has not seen the alert."""
    first = await grouped.send(ERRORS)
    await until(grouped, first, 1)
    bare = normalise({"monitor_id": ERRORS.monitor_id, "monitor_name": ERRORS.monitor, "status": "CLEARED"})
    assert incident_id(bare) == incident_id(ERRORS)
    accepted = await grouped.another_gateway().accept_alert(bare)
    assert (accepted.incident, accepted.state) == (first.incident, "joined")
    await closed(grouped, first.incident)


async def test_incident_of_before_the_policy_grouped_keeps_its_problem(harness: IncidentHarness) -> None:
    first = await harness.send(ERRORS)
    assert first.incident == incident_id(ERRORS)
    await until(harness, first, 1)
    harness.change_policy("governance:", f"{NOISE.format()}governance:")
    again = await harness.send(ERRORS.model_copy(update={"value": 0.5}))
    assert (again.incident, again.state) == (first.incident, "joined")
    other = await harness.send(QUALITY)
    assert other.incident != first.incident
    for alert, incident in ((ERRORS, first.incident), (QUALITY, other.incident)):
        await harness.send(cleared(alert))
        await closed(harness, incident)


async def test_what_fires_soon_after_the_close_opens_it_again(grouped: IncidentHarness) -> None:
    grouped.change_policy("closed_by: compliance", "closed_by: compliance")
    first = await grouped.send(ERRORS)
    before = await until(grouped, first, 1)
    await grouped.send(cleared(ERRORS))
    await closed(grouped, first.incident)
    again = await grouped.send(QUALITY)
    assert (again.incident, again.state) == (first.incident, "started")
    view = await until(grouped, again, 2)
    assert (view.first_run_id, view.opened_at) == (before.first_run_id, before.opened_at)
    assert len(view.reopened_run_ids) == 1
    assert [one.status for one in view.problems] == ["cleared", "triggered"]
    assert "reopened" in [entry.event for entry in view.timeline]
    third = await grouped.send(ERRORS)
    view = await until(grouped, third, 3)
    assert len(grouped.page_keys()) == 2
    assert len(set(grouped.page_keys())) == 2  # PagerDuty folds a trigger with a known key into it, without a sound
    run = view.first_run_id
    handle = grouped.client.get_workflow_handle(first.incident)
    await handle.signal("responder_action", {"type": "acknowledge", "by": "alice", "first_run_id": run, "id": "ack-1"})
    async with asyncio.timeout(60):
        while (await view_of(grouped, first.incident)).acknowledged_by != "alice":
            await asyncio.sleep(0.02)
    for alert in (ERRORS, QUALITY):
        await grouped.send(cleared(alert))
    await closed(grouped, first.incident)
    records = list(grouped.audit_log.read(first.incident))
    assert {record.first_run_id for record in records} == {run}
    assert [record.number for record in records] == list(range(1, len(records) + 1))


async def test_what_fires_long_after_the_close_is_another_incident(grouped: IncidentHarness) -> None:
    grouped.change_policy("reopen_within: 30m", "reopen_within: 1s")
    first = await grouped.send(ERRORS)
    before = await until(grouped, first, 1)
    await grouped.send(cleared(ERRORS))
    await closed(grouped, first.incident)
    await asyncio.sleep(1.5)
    again = await grouped.send(ERRORS.model_copy(update={"value": 0.4}))
    view = await until(grouped, again, 1)
    assert view.first_run_id != before.first_run_id
    assert view.alert_count == 1
    await grouped.send(cleared(ERRORS, value=0.02))
    await closed(grouped, again.incident)


async def test_older_trigger_of_a_monitor_that_cleared_joins_nothing(grouped: IncidentHarness) -> None:
    """The incident is open for another monitor, and does not know this one."""
    now = datetime.now(UTC)
    first = await grouped.send(ERRORS)
    await grouped.send(cleared(QUALITY, occurred_at=now - timedelta(minutes=5)))
    late = QUALITY.model_copy(update={"occurred_at": now - timedelta(minutes=6)})
    await grouped.send(late)
    view = await until(grouped, first, 1)
    await grouped.send(cleared(ERRORS))
    await closed(grouped, first.incident)
    view = await view_of(grouped, first.incident)
    assert {one.monitor for one in view.problems if one.status == "triggered"} == set()


async def test_each_problem_can_be_asked_for(grouped: IncidentHarness) -> None:
    first = await grouped.send(ERRORS)
    await grouped.send(QUALITY)
    await until(grouped, first, 2)
    await grouped.send(cleared(QUALITY))
    handle = grouped.client.get_workflow_handle(first.incident)
    async with asyncio.timeout(60):
        while True:
            held = await handle.query(PROBLEMS_QUERY, result_type=list[HeldProblem])
            if any(one.cleared for one in held):
                break
            await asyncio.sleep(0.02)
    assert [(one.problem, one.monitor_id, one.cleared) for one in held] == [
        (incident_id(ERRORS), ERRORS.monitor_id, False),
        (incident_id(QUALITY), QUALITY.monitor_id, True),
    ]
    assert json.dumps(held[0].identity)
    await grouped.send(cleared(ERRORS))
    await closed(grouped, first.incident)
