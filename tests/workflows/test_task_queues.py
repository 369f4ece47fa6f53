"""A page never waits behind what is not urgent."""

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
from tests.workflows.stage import Stage, an_alert, staged
from worker.crew import WORKFLOW_TASKS
from worker.in_step import Wrapped


@pytest.fixture
async def narrow(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[Stage]:
    """A worker that can do two activities of each side at a time, on the real server."""
    async with staged(tmp_path, pagerduty, slack, jira, real=True) as stage:
        await stage.crew.shutdown()
        stage.crew = stage.hire(slots=2)
        await stage.crew.start()
        yield stage


async def fill_with_posts(stage: Stage) -> None:
    """More posts than there are slots, and a Slack that keeps each waiting."""
    stage.slack.always = Fault(delay=8)
    for number in range(6):
        await stage.fire(an_alert("answer_relevance", 0.7, monitor_id=f"post-{number}"))
    while len(stage.slack.requests) < 2:
        await asyncio.sleep(0.05)


async def test_a_page_does_not_wait_for_posts_that_hang(narrow: Stage) -> None:
    stage = narrow
    await fill_with_posts(stage)
    await stage.fire(an_alert())
    await stage.until(lambda view: view.state == "notified", 4)
    assert len(stage.paged()) == 1
    assert len(stage.slack.requests) <= 4, "they hang, and wait for each other"
    stage.slack.always = None


async def test_what_is_told_in_place_of_a_page_does_not_wait_either(narrow: Stage) -> None:
    stage = narrow
    await fill_with_posts(stage)
    stage.slack.always = None  # what comes from now on is answered; the two that hang keep their slots
    stage.pagerduty.always = Fault(status=400)
    await stage.fire(an_alert())
    await stage.until(lambda view: any(one.destination == "ops" for one in view.receipts), 6)
    stage.pagerduty.always = None


class Slowly(UnsandboxedWorkflowRunner):
    """A processor that has much else to do; counts how many incidents are in hand at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Slow(super().create_instance(det), self)


class _Slow(Wrapped):
    def __init__(self, instance: WorkflowInstance, runner: Slowly) -> None:
        super().__init__(instance)
        self._runner = runner

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        runner = self._runner
        with runner.lock:
            runner.now += 1
            runner.most = max(runner.most, runner.now)
        time.sleep(0.1)
        with runner.lock:
            runner.now -= 1
        return super().activate(act)


async def test_a_worker_that_comes_late_takes_on_what_it_can_do(narrow: Stage) -> None:
    """More at once would not be done sooner, and on a slow machine none before Temporal gives it to somebody else."""
    stage, slowly = narrow, Slowly()
    await stage.crew.shutdown()
    for number in range(120):
        await stage.fire(an_alert(monitor_id=f"fire-{number}"))
    stage.crew = stage.hire(runner=slowly)
    await stage.crew.start()
    await stage.until(lambda view: view.state == "notified")
    async with asyncio.timeout(30):
        while len(stage.paged()) < 120:
            await asyncio.sleep(0.05)
    assert 4 < slowly.most <= WORKFLOW_TASKS


async def test_a_worker_for_what_is_urgent_alone_pages(narrow: Stage) -> None:
    """One part of the crew may run on machines of its own."""
    stage = narrow
    await stage.crew.shutdown()
    stage.crew = stage.hire(part="urgent")
    await stage.crew.start()
    await stage.fire(an_alert())
    await stage.until(lambda view: view.state == "notified")
    await stage.fire(an_alert("answer_relevance", 0.7))
    await asyncio.sleep(1)
    assert stage.slack.requests == []
    rest = stage.hire(part="aside")
    await rest.start()
    await stage.until(lambda view: view.state == "notified")
    assert stage.slack.requests
    await rest.shutdown()
