"""Reading incidents keeps nobody from being paged."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

import pytest
from temporalio.client import Client

from gateway.views import AT_ONCE, Views
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
    async with real.unattended():
        assert first is not None
        assert await views.of(execution) == first
        assert first.state == "closed"


async def test_what_is_open_is_asked_each_time(real: Stage) -> None:
    await real.fire()
    await real.settled("notified")
    views, execution = Views(real.client), await real.handle.describe()
    assert (first := await views.of(execution)) is not None
    await real.act("acknowledge", "bob")
    assert (second := await views.of(execution)) is not None
    assert (first.state, second.state) == ("notified", "acknowledged")


class Slow:
    """What a client looks like to its reader, of a Temporal whose workers take their time; counts who asks at once."""

    def __init__(self) -> None:
        self.asking = self.most = 0

    def get_workflow_handle(self, *_: object, **__: object) -> "Slow":
        return self

    async def query(self, *_: object, **__: object) -> object:
        self.asking += 1
        self.most = max(self.most, self.asking)
        await asyncio.sleep(0.01)
        self.asking -= 1
        return "as it is"


async def test_however_many_want_to_know_few_are_asked_at_once(real: Stage) -> None:
    await real.fire()
    execution, slow = await real.handle.describe(), Slow()
    views = Views(cast("Client", slow))
    assert await asyncio.gather(*(views.of(execution) for _ in range(200))) == ["as it is"] * 200
    assert slow.most == AT_ONCE
