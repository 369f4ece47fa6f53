"""The cache of descriptions is kept as Arize has it, with few requests: against a whole tenant."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.contracts import Refresh
from integrations.arize.health import ArizeHealth
from tests.vendors import ArizeTenant, Fault
from worker.arize import Arize, open_arize
from worker.settings import read_settings


class RefreshHarness:
    def __init__(self, folder: Path, tenant: ArizeTenant, **settings: str) -> None:
        self.tenant = tenant
        environment = {"TOCSIN_STATE_DIR": str(folder), **tenant.environment, **settings}
        self.arize: Arize = open_arize(read_settings(environment), ArizeHealth())

    async def refresh(self) -> Refresh:
        return await ActivityEnvironment().run(self.arize.refresher.refresh_descriptions)

    def reads(self, begin: int) -> list[str]:
        """The paths of single monitors that were requested since."""
        paths = [one.path for one in self.tenant.requests[begin:]]
        return [one for one in paths if one.startswith("/v2/monitors/") or one == "/graphql"]


@pytest.fixture
async def harness(tmp_path: Path, arize_tenant: ArizeTenant) -> AsyncGenerator[RefreshHarness]:
    harness = RefreshHarness(tmp_path, arize_tenant)
    yield harness
    await harness.arize.close()


async def test_unchanged_monitors_are_only_listed(harness: RefreshHarness) -> None:
    monitors = [harness.tenant.add_monitor(name=f"monitor {number}", tags=["team:a"]) for number in range(105)]
    assert await harness.refresh() == Refresh(monitors=105, described=105)
    known = harness.arize.descriptions.get(monitors[0]["id"])
    assert known is not None
    assert (known.project, known.tags) == ("chatbot", ("team:a",))
    before = len(harness.tenant.requests)
    harness.tenant.evaluate(monitors[0]["id"], 9000.0)  # a value is no change of the monitor
    assert await harness.refresh() == Refresh(monitors=105)
    assert harness.reads(before) == []
    harness.tenant.edit_by_hand(monitors[1]["id"], "Ada", notes="team:b")
    assert (await harness.refresh()).described == 1


async def test_vanished_monitor_is_removed(harness: RefreshHarness) -> None:
    kept, gone = harness.tenant.add_monitor(name="kept"), harness.tenant.add_monitor(name="gone")
    await harness.refresh()
    with harness.tenant.state.lock:
        harness.tenant.state.monitors.remove(gone["id"])
    assert await harness.refresh() == Refresh(monitors=1, removed=1)
    assert harness.arize.descriptions.ids == {kept["id"]}


async def test_monitor_of_another_space_stays(tmp_path: Path, arize_tenant: ArizeTenant) -> None:
    """Only one space is listed, but a webhook may come from any."""
    other = arize_tenant.state.add_space("Other")
    project = arize_tenant.add_project("elsewhere", space_id=other["id"])
    monitor = arize_tenant.add_monitor(project_id=project["id"])
    harness = RefreshHarness(tmp_path, arize_tenant, ARIZE_SPACE_ID=arize_tenant.space_id)
    found = await harness.arize.describer.describe(monitor["id"])
    assert found is not None
    harness.arize.descriptions.add([found])
    assert await harness.refresh() == Refresh()
    assert harness.arize.descriptions.ids == {monitor["id"]}
    await harness.arize.close()


async def test_monitor_that_is_refused_is_kept(harness: RefreshHarness) -> None:
    """It moved to a space that the key may not read: it is not gone, and the others are refreshed."""
    moved, gone = harness.tenant.add_monitor(name="moved"), harness.tenant.add_monitor(name="gone")
    await harness.refresh()
    with harness.tenant.state.lock:
        for one in (moved, gone):
            harness.tenant.state.monitors.remove(one["id"])
    path = f"/v2/monitors/{moved['id']}"
    harness.tenant.choose = lambda request: Fault(status=403, body="{}") if request.path == path else None
    assert await harness.refresh() == Refresh(removed=1)
    assert harness.arize.descriptions.ids == {moved["id"]}


async def test_rate_limit_leaves_rest_for_next_refresh(harness: RefreshHarness) -> None:
    for number in range(20):
        harness.tenant.add_monitor(name=f"monitor {number}")
    harness.tenant.graphql.script(Fault(429, {"Retry-After": "1"}, "{}"))
    first = await harness.refresh()
    assert (first.monitors, first.complete) == (20, False)
    assert first.described < 20


async def test_refused_graphql_keeps_what_was_known(harness: RefreshHarness) -> None:
    project = harness.tenant.project("chatbot")
    metric = harness.tenant.add_custom_metric("Error Rate", "SELECT 1 FROM model", project_id=project["id"])
    monitor = harness.tenant.add_monitor(type="CUSTOM_METRIC", custom_metric_id=metric["id"])
    await harness.refresh()
    known = harness.arize.descriptions.get(monitor["id"])
    assert known is not None
    harness.arize.descriptions.add([known.model_copy(update={"missing": ("its tags: Arize answered 503",)})])
    harness.tenant.graphql.permission_denied()
    await harness.refresh()
    found = harness.arize.descriptions.get(monitor["id"])
    assert found is not None
    assert (found.custom_metric, [one.split(":")[0] for one in found.missing]) == ("Error Rate", ["its custom metric"])


async def test_unavailable_arize_fails_the_activity(harness: RefreshHarness) -> None:
    harness.tenant.rest.broken(503)
    with pytest.raises(ApplicationError, match="Arize answered 503"):
        await harness.refresh()
