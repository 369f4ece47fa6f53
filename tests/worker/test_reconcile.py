"""Missed webhooks are found by polling Arize: on a real Temporal server, with a stand-in for Arize's API."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from activities.contracts import Repair
from gateway.health_monitor import HealthMonitor
from gateway.ingest.first_decision import FirstDecider
from gateway.ingest.grouping import PolicyGrouping
from incident.view import IncidentView
from tests.vendors import Arize, Fault, Jira, PagerDuty, Slack
from tests.workflows.harness import QUEUE, IncidentHarness, incident_harness, make_alert
from worker.reconcile import SCHEDULE, create_reconciler, maintain_schedule
from worker.settings import read_settings
from workflows.contracts import INCIDENT_QUERY, INCIDENT_WORKFLOW


@pytest.fixture
def arize() -> Iterator[Arize]:
    with Arize() as vendor:
        yield vendor
    assert vendor.violations == []


@dataclass
class ReconcileHarness:
    """Runs of the real schedule, one after another, each with the result of the run before it."""

    incidents: IncidentHarness
    arize: Arize
    environment: dict[str, str]

    async def reconcile(self) -> Repair:
        workflow = await self.start()
        return Repair.model_validate(await workflow.result())

    async def start(self) -> Any:
        handle = self.incidents.client.get_schedule_handle(SCHEDULE)
        before = (await handle.describe()).info.num_actions
        await handle.trigger()
        while (info := (await handle.describe()).info).num_actions == before:
            await asyncio.sleep(0.05)
        started: Any = info.recent_actions[-1].action
        return self.incidents.client.get_workflow_handle(started.workflow_id, run_id=started.first_execution_run_id)

    async def open_incidents(self) -> list[IncidentView]:
        query = f"WorkflowType = '{INCIDENT_WORKFLOW}' AND ExecutionStatus = 'Running'"
        found = [one.id async for one in self.incidents.client.list_workflows(query)]
        handles = [self.incidents.client.get_workflow_handle(one) for one in found]
        return [await one.query(INCIDENT_QUERY, result_type=IncidentView) for one in handles]

    async def the_incident(self) -> IncidentView:
        """The only open incident, once somebody was notified of it."""
        async with asyncio.timeout(60):
            while True:
                ones = await self.open_incidents()
                if len(ones) == 1 and ones[0].receipts:
                    return ones[0]
                await asyncio.sleep(0.1)

    async def until_open(self, *monitors: str) -> None:
        """Wait until the open incidents are those of these monitors."""
        async with asyncio.timeout(60):
            while {one.alert and one.alert.monitor_id for one in await self.open_incidents()} != set(monitors):
                await asyncio.sleep(0.1)

    async def no_incident(self) -> None:
        async with asyncio.timeout(60):
            while await self.open_incidents():
                await asyncio.sleep(0.1)


@pytest.fixture
async def harness(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira, arize: Arize
) -> AsyncGenerator[ReconcileHarness]:
    environment = {
        "TOCSIN_STATE_DIR": str(tmp_path / "worker"),
        "TOCSIN_TASK_QUEUE": QUEUE,
        "TOCSIN_SPEED": "100",  # the grace period is half a second
        "TOCSIN_RECONCILE_INTERVAL": "7d",  # the schedule itself starts nothing during a test
        "ARIZE_API_KEY": "arize-key",
        "ARIZE_API_URL": arize.base_url,
        "ARIZE_APP_URL": arize.base_url,
    }
    settings = read_settings(environment)
    async with incident_harness(tmp_path, pagerduty, slack, jira, real=True, environment=environment) as incidents:
        descriptions = incidents.arize.descriptions
        decide = FirstDecider(lambda: incidents.policies[-1], descriptions, workers_ask_arize=True)
        grouping = PolicyGrouping(lambda: incidents.policies[-1], descriptions)
        await incidents.worker.shutdown()
        incidents.worker = incidents.create_worker(
            reconciler=create_reconciler(settings, incidents.client, incidents.arize, decide, grouping)
        )
        await incidents.worker.start()
        await maintain_schedule(incidents.client, settings)
        yield ReconcileHarness(incidents, arize, environment)


async def test_missed_alert_is_opened_once(harness: ReconcileHarness) -> None:
    harness.arize.put("m-1")
    repair = await harness.reconcile()
    incident = await harness.the_incident()
    assert (repair.opened, repair.matched) == (1, {"m-1": incident.id})
    assert incident.headline.startswith("CRITICAL chatbot error_rate 31 % (limit 5 %)")
    assert len(harness.incidents.page_keys()) == 1
    harness.arize.put("m-1")  # evaluated again, and still triggered
    assert await harness.reconcile() == Repair(matched={"m-1": incident.id})
    assert (await harness.the_incident()).alert_count == 1


async def test_schedule_refreshes_descriptions(harness: ReconcileHarness) -> None:
    harness.arize.put("m-1", "CLEARED")
    await harness.reconcile()
    known = harness.incidents.arize.descriptions.get("m-1")
    assert known is not None
    assert known.project == "chatbot"


async def test_all_pages_of_monitors_are_read(harness: ReconcileHarness) -> None:
    harness.arize.page = 2
    for number in range(5):
        harness.arize.put(f"m-{number}")
    assert (await harness.reconcile()).opened == 5


async def test_incident_closed_by_person_stays_closed(harness: ReconcileHarness) -> None:
    harness.arize.put("m-1")
    await harness.reconcile()
    incident = await harness.the_incident()
    assert incident.alert is not None
    harness.incidents.alert = incident.alert
    await harness.incidents.act("resolve", "bob", note="known, harmless")
    await harness.no_incident()
    harness.arize.put("m-1")
    assert (await harness.reconcile()).opened == 0
    assert (await harness.reconcile()).opened == 0
    harness.arize.put("m-1", "CLEARED")
    assert (await harness.reconcile()).matched == {}
    harness.arize.put("m-1")  # another fire, and its webhook was lost
    assert (await harness.reconcile()).opened == 1
    assert (await harness.the_incident()).id == incident.id
    assert (await harness.reconcile()).opened == 0


async def test_missed_alert_of_incident_whose_last_update_fails_pages(harness: ReconcileHarness) -> None:
    """It stays open for as long as the vendor refuses the update: that is no reason to miss the next fire."""
    pagerduty = harness.incidents.pagerduty
    harness.arize.put("m-1")
    await harness.reconcile()
    incident = await harness.the_incident()
    assert incident.alert is not None
    harness.incidents.alert = incident.alert
    pagerduty.always = Fault(status=503)
    harness.arize.put("m-1", "CLEARED")
    assert (await harness.reconcile()).cleared == 1
    await harness.incidents.until_state("resolved")
    harness.arize.put("m-1")
    async with asyncio.timeout(60):  # until the first attempts at the update have failed
        while (await harness.reconcile()).opened == 0:
            await asyncio.sleep(0.1)
    await harness.incidents.until(lambda view: "reopened" in [entry.event for entry in view.timeline])
    pagerduty.always = None
    await harness.incidents.until_state("notified")


async def test_missed_clear_is_applied(harness: ReconcileHarness) -> None:
    """A webhook has more fields than the monitor; the incident is found by the monitor's id."""
    await harness.incidents.fire(make_alert(monitor_id="m-1", region="eu-west-1"))
    incident = await harness.the_incident()
    harness.arize.put("m-1")
    assert await harness.reconcile() == Repair(matched={"m-1": incident.id})
    harness.arize.put("m-1", "CLEARED", evaluated_at="2026-01-01T00:00:00Z")  # before the incident was opened
    assert (await harness.reconcile()).cleared == 0
    harness.arize.put("m-1", "CLEARED")
    assert (await harness.reconcile()).cleared == 1
    await harness.no_incident()
    records = await harness.incidents.until_closed()
    assert [(one.event, one.by) for one in records if one.event == "cleared"] == [("cleared", "arize")]
    assert len(harness.incidents.pagerduty.events("resolve")) == 1


async def test_missed_alert_reopens_a_cleared_incident(harness: ReconcileHarness) -> None:
    """Cleared by a webhook, triggered again without one: the same incident gets a new run."""
    harness.arize.put("m-1")
    await harness.incidents.fire(make_alert(monitor_id="m-1", region="eu-west-1"))
    incident = await harness.the_incident()
    await harness.reconcile()
    await harness.incidents.clear()
    await harness.no_incident()
    assert (await harness.reconcile()).opened == 0, "Arize has not evaluated it since"
    harness.arize.put("m-1")
    assert (await harness.reconcile()).opened == 1
    reopened = await harness.the_incident()
    assert reopened.id == incident.id
    assert reopened.first_run_id != incident.first_run_id


@pytest.mark.parametrize("fault", [Fault(status=403, body="{}"), Fault(status=500)], ids=["refused", "broken"])
async def test_monitor_that_cannot_be_read_hides_no_other(harness: ReconcileHarness, fault: Fault) -> None:
    """An open incident's monitor moved to where the key may not read it, and the webhooks of two others are lost."""
    for name in ("m-1", "m-2"):
        harness.arize.put(name, "CLEARED")
        harness.incidents.alert = make_alert(monitor_id=name, region=name)
        await harness.incidents.fire(harness.incidents.alert)
        await harness.incidents.until_state("notified")
    harness.arize.choose = lambda request: fault if request.path.startswith("/v2/monitors/m-1") else None
    harness.arize.put("m-2", "CLEARED")
    harness.arize.put("m-3")
    repair = await harness.reconcile()
    assert (repair.opened, repair.cleared, repair.failed) == (1, 1, 1)
    await harness.until_open("m-1", "m-3")
    assert "monitor m-1 cannot be compared" in harness.incidents.arize.health.problems["monitors"]
    harness.arize.choose = lambda request: None
    harness.arize.put("m-1", "CLEARED")
    assert (await harness.reconcile()).cleared == 1
    assert "monitors" not in harness.incidents.arize.health.problems


async def test_clear_is_applied_to_incidents_that_opened_before_it(harness: ReconcileHarness) -> None:
    """Two incidents of one monitor, one as 1.0 called it: the other opened after the monitor was evaluated."""
    alert = make_alert(monitor_id="m-1")
    await harness.incidents.fire(alert.model_copy(update={"identity": ("chatbot", "error_rate")}))
    await harness.incidents.until_state("notified")
    harness.arize.put("m-1", "CLEARED")
    await harness.incidents.fire(alert)
    later = await harness.incidents.until_state("notified")
    assert (await harness.reconcile()).cleared == 1
    assert (await harness.the_incident()).id == later.id


async def test_monitor_with_a_lone_surrogate_is_opened(harness: ReconcileHarness) -> None:
    harness.arize.put("m-1", name="drift \ud800")
    harness.arize.put("m-2")
    assert (await harness.reconcile()).opened == 2
    known = harness.incidents.arize.descriptions.get("m-1")
    assert known is not None
    assert known.monitor["name"] == "drift \ufffd"


async def test_late_webhook_is_not_doubled(harness: ReconcileHarness) -> None:
    harness.arize.put("m-1")
    running = await harness.start()
    await harness.incidents.fire(make_alert(monitor_id="m-1", region="eu-west-1"))
    repair = Repair.model_validate(await running.result())
    incident = await harness.the_incident()
    assert (repair.opened, repair.matched) == (0, {"m-1": incident.id})


async def test_missed_clear_keeps_regulated_incident_open(harness: ReconcileHarness) -> None:
    await harness.incidents.fire(make_alert("bias", 0.2, model="underwriting", monitor_id="m-1"))
    await harness.the_incident()
    harness.arize.put("m-1", "CLEARED")
    assert (await harness.reconcile()).cleared == 1
    await harness.incidents.until_state("awaiting_human")
    harness.arize.put("m-1", "CLEARED")
    assert (await harness.reconcile()).cleared == 0
    notes = [one for one in (await harness.incidents.view()).timeline if one.event == "closure_denied"]
    assert len(notes) == 1


async def test_missed_alert_of_incident_that_waits_for_its_person_pages(harness: ReconcileHarness) -> None:
    """It is open only until a person closes it: that must not hide that its monitor fires again."""
    await harness.incidents.fire(make_alert("bias", 0.2, model="underwriting", monitor_id="m-1"))
    incident = await harness.the_incident()
    harness.arize.put("m-1")
    assert (await harness.reconcile()).opened == 0, "it is triggered since"
    harness.arize.put("m-1", "CLEARED")
    assert (await harness.reconcile()).cleared == 1
    await harness.incidents.until_state("awaiting_human")
    harness.arize.put("m-1")
    repair = await harness.reconcile()
    assert (repair.opened, repair.matched) == (1, {"m-1": incident.id})
    view = await harness.incidents.until(lambda view: view if view.refire_count == 1 else None)
    assert not view.cleared
    harness.arize.put("m-1")
    assert (await harness.reconcile()).opened == 0, "its incident knows"


@pytest.mark.parametrize(
    "changes",
    [
        {"notifications_enabled": False},
        {"notification_configs": [{"type": "EMAIL", "email": "a@example.com"}]},
        {"notification_configs": [{"type": "WEBHOOK", "id": "x", "url": "https://elsewhere/hook"}]},
    ],
)
async def test_monitor_that_does_not_notify_tocsin_is_ignored(
    harness: ReconcileHarness, changes: dict[str, Any]
) -> None:
    harness.arize.put("m-1", **changes)
    assert await harness.reconcile() == Repair()


async def test_busy_arize_is_retried(harness: ReconcileHarness) -> None:
    harness.arize.put("m-1")
    harness.arize.script(Fault(status=429, headers={"Retry-After": "1"}), Fault(status=503), Fault(reset=True))
    assert (await harness.reconcile()).opened == 1


async def test_wrong_key_fails_with_its_remedy(harness: ReconcileHarness) -> None:
    harness.arize.key = "another"
    with pytest.raises(WorkflowFailureError) as failure:
        await harness.reconcile()
    cause = failure.value.cause.__cause__ if failure.value.cause else None
    assert "Arize answered 401" in str(cause)
    assert "check ARIZE_API_KEY" in str(cause)
    health = HealthMonitor(harness.incidents.client, QUEUE)
    assert (await health.check())["schedules"].problems == (
        "reconcile failed last time; its page in the Temporal UI has the error",
    )
    harness.arize.key = "arize-key"
    harness.arize.put("m-1")
    assert (await harness.reconcile()).opened == 1
    assert (await health.check())["schedules"].problems == ()


async def test_off_deletes_the_schedule(harness: ReconcileHarness) -> None:
    client = harness.incidents.client
    await maintain_schedule(client, read_settings({**harness.environment, "ARIZE_API_KEY": ""}))
    handle = client.get_schedule_handle(SCHEDULE)
    spec = (await handle.describe()).schedule.spec
    assert [one.every for one in spec.intervals] == [timedelta(days=7) / 100], "another worker may still have a key"
    await maintain_schedule(client, read_settings({**harness.environment, "TOCSIN_RECONCILE_INTERVAL": "off"}))
    async with asyncio.timeout(60):
        while SCHEDULE in [one.id async for one in await client.list_schedules()]:
            await asyncio.sleep(0.1)
