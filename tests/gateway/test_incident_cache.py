"""The cache of incident views: few queries, however many readers."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.service import RPCError, RPCStatusCode

from gateway.incident_cache import CACHE_SIZE, MAX_CONCURRENCY, IncidentCache
from tests.vendors import Jira, PagerDuty, Slack
from tests.workflows.harness import IncidentHarness, incident_harness


@pytest.fixture
async def real(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[IncidentHarness]:
    async with incident_harness(tmp_path, pagerduty, slack, jira, real=True) as harness:
        yield harness


async def test_closed_incident_is_queried_once(real: IncidentHarness) -> None:
    await real.fire()
    await real.until_state("notified")
    await real.clear()
    await real.until_closed()
    cache, execution = IncidentCache(real.client), await real.handle.describe()
    first = await cache.view(execution)
    listed = [one async for one in real.client.list_workflows()]
    async with real.without_worker():
        assert first is not None
        assert await cache.view(execution) == first
        assert await cache.view(listed[0]) == first, "a list has its final length"
        assert first.state == "closed"


async def test_open_incident_is_queried_after_news(real: IncidentHarness) -> None:
    await real.fire()
    await real.until_state("notified")
    cache = IncidentCache(real.client)
    assert (first := await cache.view(await at_rest(real))) is not None
    async with real.without_worker():
        assert await cache.view(await real.handle.describe()) == first, "no news: no query"
        await real.callback("acknowledge", "bob")
        description = await real.handle.describe()
        query = asyncio.create_task(cache.view(description))
    assert (second := await query) is not None, "a pending action shows before the history has its result"
    assert (first.state, second.state) == ("notified", "acknowledged")
    third = await cache.view(await at_rest(real))
    assert third is not None
    assert third.state == "acknowledged"
    listed = [one async for one in real.client.list_workflows()]
    async with real.without_worker():
        assert await cache.view(listed[0]) == third, "a list has no current length: the incident is described"


async def at_rest(harness: IncidentHarness) -> WorkflowExecutionDescription:
    """Its description, once no workflow task is pending."""
    while (description := await harness.handle.describe()).raw_description.HasField("pending_workflow_task"):
        await asyncio.sleep(0.05)
    return description


class SlowClient:
    """Temporal's client as the cache uses it, with slow workers; counts the queries."""

    def __init__(self) -> None:
        self.in_flight = self.max_in_flight = self.queries = 0
        self.unavailable = False

    def get_workflow_handle(self, *_: object, **__: object) -> "SlowClient":
        return self

    async def query(self, *_: object, **__: object) -> object:
        self.in_flight += 1
        self.queries += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        await asyncio.sleep(0.001)
        self.in_flight -= 1
        if self.unavailable:
            raise RPCError("no worker", RPCStatusCode.DEADLINE_EXCEEDED, b"")
        return "as it is"


async def test_concurrent_queries_are_limited(real: IncidentHarness) -> None:
    await real.fire()
    await real.until_state("notified")
    execution, slow = await at_rest(real), SlowClient()
    cache = IncidentCache(cast("Client", slow))
    each = [replace(execution, id=f"incident-{number}", run_id=f"run-{number}") for number in range(200)]
    assert await asyncio.gather(*(cache.view(one) for one in each)) == ["as it is"] * 200
    assert slow.max_in_flight == MAX_CONCURRENCY


async def test_concurrent_readers_share_a_query(real: IncidentHarness) -> None:
    await real.fire()
    await real.until_state("notified")
    execution, slow = await at_rest(real), SlowClient()
    cache = IncidentCache(cast("Client", slow))
    cancelled, *others = [asyncio.create_task(cache.view(execution)) for _ in range(200)]
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await asyncio.gather(*others) == ["as it is"] * 199, "a cancelled reader cancels no other"
    assert slow.queries == 1


async def test_failed_query_is_not_cached(real: IncidentHarness) -> None:
    await real.fire()
    await real.until_state("notified")
    execution, slow = await at_rest(real), SlowClient()
    slow.unavailable = True
    cache = IncidentCache(cast("Client", slow))
    assert await cache.view(execution) is None
    slow.unavailable = False
    assert await cache.view(execution) == "as it is"


async def test_least_recently_used_view_is_evicted(real: IncidentHarness) -> None:
    await real.fire()
    await real.until_state("notified")
    execution, slow = await at_rest(real), SlowClient()
    cache = IncidentCache(cast("Client", slow))
    for number in (*range(CACHE_SIZE), 0, CACHE_SIZE):  # the first is read again, so the second is evicted
        await cache.view(replace(execution, run_id=f"run-{number}"))
    assert slow.queries == CACHE_SIZE + 1
    await cache.view(replace(execution, run_id="run-0"))
    assert slow.queries == CACHE_SIZE + 1
    await cache.view(replace(execution, run_id="run-1"))
    assert slow.queries == CACHE_SIZE + 2
