"""A page never waits behind what is not urgent."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.vendors import Fault, Jira, PagerDuty, Slack
from tests.workflows.stage import Stage, an_alert, staged


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
