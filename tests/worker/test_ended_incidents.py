"""Incidents whose workflows somebody terminated in Temporal: recorded, reported, and shown as closed."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus

from activities.contracts import Repair
from audit import AuditRecord
from gateway.incident_cache import IncidentCache
from integrations.base.open_destinations import open_destinations
from tests.vendors import Fault, Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS
from tests.waiting import wait_until
from tests.workflows.harness import QUEUE, IncidentHarness, incident_harness, make_alert
from worker.reconcile import ENDED_SCHEDULE, create_ended_incidents, maintain_schedule
from worker.settings import read_settings


@dataclass
class EndedHarness:
    """Runs of the real schedule, triggered by the test."""

    incidents: IncidentHarness

    async def terminate(self, reason: str = "clean-up") -> None:
        await self.incidents.handle.terminate(reason=reason)
        query = f"WorkflowId = '{self.incidents.handle.id}' AND ExecutionStatus = 'Terminated'"

        async def listed() -> bool:
            return (await self.incidents.client.count_workflows(query)).count > 0

        await wait_until(listed)

    async def check(self) -> Repair:
        handle = self.incidents.client.get_schedule_handle(ENDED_SCHEDULE)
        before = (await handle.describe()).info.num_actions
        await handle.trigger()
        while (info := (await handle.describe()).info).num_actions == before:
            await asyncio.sleep(0.05)
        started: Any = info.recent_actions[-1].action
        workflow = self.incidents.client.get_workflow_handle(
            started.workflow_id, run_id=started.first_execution_run_id, result_type=Repair
        )
        return await workflow.result()

    def pages(self) -> list[str]:
        """The dedup keys of the pages about it."""
        keys = [one["dedup_key"] for one in self.incidents.pagerduty.events("trigger")]
        return [key for key in keys if "ended-outside" in key]

    def records(self) -> list[AuditRecord]:
        found = self.incidents.audit_log.read(self.incidents.handle.id)
        return [one for one in found if one.event == "ended_outside"]


@pytest.fixture
async def harness(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[EndedHarness]:
    settings = read_settings({"TOCSIN_STATE_DIR": str(tmp_path), "TOCSIN_TASK_QUEUE": QUEUE})
    async with incident_harness(tmp_path, pagerduty, slack, jira, real=True) as incidents:
        destinations = open_destinations(incidents.policies[0], SECRETS)
        ended = create_ended_incidents(
            settings, incidents.client, incidents.audit_log, destinations, lambda: incidents.policies[-1]
        )
        await incidents.restart_worker(ended=ended)
        await maintain_schedule(incidents.client, settings)
        await incidents.client.get_schedule_handle(ENDED_SCHEDULE).pause()  # only the tests start it
        yield EndedHarness(incidents)
        for destination in destinations.values():
            await destination.close()


async def test_terminated_incident_is_recorded_and_reported_once(harness: EndedHarness) -> None:
    await harness.incidents.fire()
    first = await harness.incidents.until_state("notified")
    await harness.terminate()
    for _ in range(2):
        await harness.check()
    (record,) = harness.records()
    assert record.first_run_id == first.first_run_id
    assert record.text == "its workflow was terminated in Temporal: clean-up"
    assert record.by
    pages = [one for one in harness.incidents.pagerduty.events("trigger") if "ended-outside" in one["dedup_key"]]
    assert len(pages) == 1
    assert pages[0]["payload"]["summary"].startswith("Ended in Temporal: CRITICAL")
    description = await harness.incidents.handle.describe()
    view = await IncidentCache(harness.incidents.client).view(description)
    assert view is not None
    assert (view.state, view.resolved_by) == ("closed", "terminated in Temporal")
    assert view.next_action == "none; its workflow was terminated in Temporal"


async def test_terminated_regulated_incident_is_opened_again(harness: EndedHarness) -> None:
    await harness.incidents.fire(make_alert(model="underwriting"))
    first = await harness.incidents.until_state("notified")
    assert first.regulated
    await harness.terminate()
    await harness.check()
    again = await harness.incidents.until(lambda view: view if view.state == "notified" else None)
    assert (again.regulated, again.first_run_id == first.first_run_id) == (True, False)
    await harness.check()
    (record,) = harness.records()
    assert record.data["reopened"] is True
    assert (await harness.incidents.handle.describe()).status is WorkflowExecutionStatus.RUNNING


async def test_failing_destination_is_tried_again(harness: EndedHarness) -> None:
    """Nothing is recorded until somebody was notified."""
    await harness.incidents.fire()
    await harness.incidents.until_state("notified")
    await harness.terminate()
    harness.incidents.pagerduty.script(Fault(status=503))
    await harness.check()
    assert len(harness.records()) == 1


async def test_dead_channel_keeps_no_pager_from_being_notified(harness: EndedHarness) -> None:
    """Its record names the destination that cannot be notified; nothing is sent twice."""
    incidents = harness.incidents
    incidents.change_policy("- notify: [primary]", "- notify: [ops, primary]")
    await incidents.fire()
    await incidents.until(lambda view: len(view.receipts) == 2)
    incidents.slack.channels.clear()  # the channel was archived
    await harness.terminate()
    for _ in range(2):
        await harness.check()
    assert len(harness.pages()) == 1
    (record,) = harness.records()
    assert record.data["not_notified"] == ["ops"]
    assert "ops could not be notified: " in record.text


async def test_fallback_is_notified_if_the_pager_refuses(harness: EndedHarness) -> None:
    incidents = harness.incidents
    await incidents.fire()
    await incidents.until_state("notified")
    await harness.terminate()
    incidents.pagerduty.choose = lambda request: Fault(status=400) if "ended-outside" in str(request.body) else None
    for _ in range(2):
        await harness.check()
    (message,) = incidents.slack.messages
    assert "Ended in Temporal: CRITICAL" in str(message)
    (record,) = harness.records()
    assert record.data["not_notified"] == ["primary"]


async def test_only_the_destination_that_failed_is_tried_again(harness: EndedHarness) -> None:
    incidents = harness.incidents
    incidents.change_policy("- notify: [primary]", "- notify: [ops, primary]")
    await incidents.fire()
    await incidents.until(lambda view: len(view.receipts) == 2)
    await harness.terminate()
    messages = len(incidents.slack.messages)
    incidents.pagerduty.script(Fault(status=503), Fault(status=503))
    await harness.check()
    assert len(harness.pages()) == 3, "the first two were refused"
    assert len(incidents.slack.messages) - messages == 1
    (record,) = harness.records()
    assert record.data["not_notified"] == []
    notified = [one for one in incidents.audit_log.read(incidents.handle.id) if "ended-outside-" in one.key]
    assert sorted(str(one.data["destination"]) for one in notified) == ["ops", "primary"]


async def test_terminated_regulated_incident_is_opened_again_after_a_clear(harness: EndedHarness) -> None:
    """The monitor cleared while no workflow ran; a person with the role must close it all the same."""
    now = datetime.now(UTC)
    alert = make_alert(value=0.01, model="underwriting").model_copy(update={"occurred_at": now - timedelta(minutes=3)})
    await harness.incidents.fire(alert)
    first = await harness.incidents.until_state("notified")
    louder = alert.model_copy(update={"value": 0.31, "occurred_at": now - timedelta(minutes=2)})
    await harness.incidents.send(louder)
    await harness.incidents.until(lambda view: view.tier == "critical")
    await harness.terminate()
    await harness.incidents.send(alert.model_copy(update={"status": "cleared", "occurred_at": now}))
    await harness.check()
    again = await harness.incidents.until(lambda view: view if view.state == "notified" else None)
    assert (again.regulated, again.first_run_id == first.first_run_id) == (True, False)


async def test_resolved_incident_that_ended_notifies_nobody(harness: EndedHarness) -> None:
    harness.incidents.pagerduty.choose = lambda request: (
        Fault(status=503) if "resolve" in str(request.body) else None
    )  # it stays open
    await harness.incidents.fire()
    await harness.incidents.until_state("notified")
    await harness.incidents.clear()
    await harness.incidents.until_state("resolved")
    await harness.terminate()
    await harness.check()
    assert len(harness.records()) == 1
    assert not [one for one in harness.incidents.pagerduty.events("trigger") if "ended" in one["dedup_key"]]
    harness.incidents.pagerduty.choose = lambda request: None
