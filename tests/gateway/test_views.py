"""Reading incidents keeps nobody from being paged."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.service import RPCError, RPCStatusCode

from gateway.views import AT_ONCE, KEPT, Views
from tests.vendors import Jira, PagerDuty, Slack
from tests.workflows.stage import Stage, staged


@pytest.fixture
async def real(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[Stage]:
    async with staged(tmp_path, pagerduty, slack, jira, real=True) as stage:
        yield stage


async def test_what_is_closed_is_asked_once(real: Stage) -> None:
    await real.fire()
    await real.settled("notified")
    await real.clear()
    await real.closed()
    views, execution = Views(real.client), await real.handle.describe()
    first = await views.of(execution)
    listed = [one async for one in real.client.list_workflows()]
    async with real.unattended():
        assert first is not None
        assert await views.of(execution) == first
        assert await views.of(listed[0]) == first, "a list knows its length too"
        assert first.state == "closed"


async def test_what_is_open_is_asked_again_where_something_has_happened(real: Stage) -> None:
    await real.fire()
    await real.settled("notified")
    views = Views(real.client)
    assert (first := await views.of(await at_rest(real))) is not None
    async with real.unattended():
        assert await views.of(await real.handle.describe()) == first, "nothing has: nobody is asked"
        await real.callback("acknowledge", "bob")
        told = await real.handle.describe()
        asking = asyncio.create_task(views.of(told))
    assert (second := await asking) is not None, "what is on its way shows, before the history says what came of it"
    assert (first.state, second.state) == ("notified", "acknowledged")
    third = await views.of(await at_rest(real))
    assert third is not None
    assert third.state == "acknowledged"
    listed = [one async for one in real.client.list_workflows()]
    async with real.unattended():
        assert await views.of(listed[0]) == third, "a list tells no length: it is looked up"


async def at_rest(stage: Stage) -> WorkflowExecutionDescription:
    while (told := await stage.handle.describe()).raw_description.HasField("pending_workflow_task"):
        await asyncio.sleep(0.05)
    return told


class Slow:
    """What a client looks like to its reader, of a Temporal whose workers take their time; counts who asks at once."""

    def __init__(self) -> None:
        self.asking = self.most = self.asked = 0
        self.away = False

    def get_workflow_handle(self, *_: object, **__: object) -> "Slow":
        return self

    async def query(self, *_: object, **__: object) -> object:
        self.asking += 1
        self.asked += 1
        self.most = max(self.most, self.asking)
        await asyncio.sleep(0.001)
        self.asking -= 1
        if self.away:
            raise RPCError("no worker", RPCStatusCode.DEADLINE_EXCEEDED, b"")
        return "as it is"


async def test_however_many_want_to_know_few_are_asked_at_once(real: Stage) -> None:
    await real.fire()
    await real.settled("notified")
    execution, slow = await at_rest(real), Slow()
    views = Views(cast("Client", slow))
    each = [replace(execution, id=f"incident-{number}", run_id=f"run-{number}") for number in range(200)]
    assert await asyncio.gather(*(views.of(one) for one in each)) == ["as it is"] * 200
    assert slow.most == AT_ONCE


async def test_those_who_want_the_same_ask_once(real: Stage) -> None:
    await real.fire()
    await real.settled("notified")
    execution, slow = await at_rest(real), Slow()
    views = Views(cast("Client", slow))
    gone, *others = [asyncio.create_task(views.of(execution)) for _ in range(200)]
    await asyncio.sleep(0)
    gone.cancel()
    assert await asyncio.gather(*others) == ["as it is"] * 199, "whoever asked first went away, and others did not"
    assert slow.asked == 1


async def test_what_nobody_could_say_is_asked_again(real: Stage) -> None:
    await real.fire()
    await real.settled("notified")
    execution, slow = await at_rest(real), Slow()
    slow.away = True
    views = Views(cast("Client", slow))
    assert await views.of(execution) is None
    slow.away = False
    assert await views.of(execution) == "as it is"


async def test_not_more_is_remembered_than_there_is_room_for(real: Stage) -> None:
    await real.fire()
    await real.settled("notified")
    execution, slow = await at_rest(real), Slow()
    views = Views(cast("Client", slow))
    for number in (*range(KEPT), 0, KEPT):  # the first is wanted once more, so that the second is the one forgotten
        await views.of(replace(execution, run_id=f"run-{number}"))
    assert slow.asked == KEPT + 1
    await views.of(replace(execution, run_id="run-0"))
    assert slow.asked == KEPT + 1
    await views.of(replace(execution, run_id="run-1"))
    assert slow.asked == KEPT + 2
