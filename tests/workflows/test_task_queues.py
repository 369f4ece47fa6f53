"""A page never waits for background work: posts, tickets, digests."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

from tests.vendors import Fault, Jira, PagerDuty, Slack
from tests.waiting import SLOW_MACHINE, wait_for
from tests.workflows.harness import IncidentHarness, incident_harness, make_alert
from worker.query_guard import DelegatingInstance
from worker.worker_group import MAX_WORKFLOW_TASKS

POSTS = 6


@pytest.fixture
async def narrow(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[IncidentHarness]:
    """A worker with two slots for pages and two for background work, on the real server."""
    async with incident_harness(tmp_path, pagerduty, slack, jira, real=True) as harness:
        await harness.restart_worker(slots=2)
        yield harness


async def fill_with_posts(harness: IncidentHarness) -> None:
    """More posts than there are slots, and a Slack that does not answer."""
    harness.slack.always = Fault(delay=SLOW_MACHINE)
    for number in range(POSTS):
        await harness.fire(make_alert("answer_relevance", 0.7, monitor_id=f"post-{number}"))
    await asyncio.to_thread(wait_for, lambda: len(harness.slack.requests) >= 2)


async def test_page_does_not_wait_for_hanging_posts(narrow: IncidentHarness) -> None:
    harness = narrow
    await fill_with_posts(harness)
    await harness.fire(make_alert())
    await harness.until_state("notified")
    assert len(harness.page_keys()) == 1
    assert len(harness.slack.requests) < POSTS, "a page in the posts' queue would come after all of them"
    harness.slack.always = None


async def test_fallback_for_page_does_not_wait_either(narrow: IncidentHarness) -> None:
    harness = narrow
    await fill_with_posts(harness)
    harness.slack.always = None  # later requests are answered; the two that hang keep their slots
    harness.pagerduty.always = Fault(status=400)
    await harness.fire(make_alert())
    await harness.until(lambda view: any(one.destination == "ops" for one in view.receipts))
    assert "primary could not be notified" in str(harness.slack.messages[0]["blocks"]), "sent before the posts"
    harness.pagerduty.always = None


class SlowRunner(UnsandboxedWorkflowRunner):
    """Each workflow task takes 0.1 s, as on a loaded machine; counts the tasks that run at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running = self.peak = 0

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _SlowInstance(super().create_instance(det), self)


class _SlowInstance(DelegatingInstance):
    def __init__(self, instance: WorkflowInstance, runner: SlowRunner) -> None:
        super().__init__(instance)
        self._runner = runner

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        runner = self._runner
        with runner.lock:
            runner.running += 1
            runner.peak = max(runner.peak, runner.running)
        time.sleep(0.1)
        with runner.lock:
            runner.running -= 1
        return super().activate(act)


async def test_late_worker_limits_concurrent_workflow_tasks(narrow: IncidentHarness) -> None:
    """With more at once, a slow machine would complete none before Temporal's timeout gives it to another worker."""
    harness, runner = narrow, SlowRunner()
    await harness.worker.shutdown()
    for number in range(120):
        await harness.fire(make_alert(monitor_id=f"monitor-{number}"))
    await harness.start_worker(runner=runner)
    await harness.until(lambda view: view.state == "notified")
    await asyncio.to_thread(wait_for, lambda: len(harness.page_keys()) == 120)
    assert 4 < runner.peak <= MAX_WORKFLOW_TASKS


async def test_paging_only_worker_pages(narrow: IncidentHarness) -> None:
    """Each part of the worker group may run on machines of its own."""
    harness = narrow
    await harness.restart_worker(part="paging")
    await harness.fire(make_alert())
    await harness.until(lambda view: view.state == "notified")
    await harness.fire(make_alert("answer_relevance", 0.7))
    await asyncio.sleep(1)
    assert harness.slack.requests == []
    background = harness.create_worker(part="background")
    await background.start()
    await harness.until(lambda view: view.state == "notified")
    assert harness.slack.requests
    await background.shutdown()
