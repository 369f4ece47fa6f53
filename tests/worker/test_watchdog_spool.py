"""The watchdog says what is wrong with the spool: Temporal, or one incident of many."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.health_monitor import HealthMonitor
from integrations.base.open_destinations import OpenDestinations
from policy import Target, Watchdog
from tests.vendors import Jira, PagerDuty, Request, Slack, Vendor
from tests.vendors.policy import SECRETS
from tests.workflows.harness import QUEUE, incident_harness
from worker.settings import read_settings
from worker.watchdog import WatchdogLoop
from worker.watchdog_notifier import WatchdogNotifier

STUCK = "incident-checkout-0123456789ab: BusyIncidentError: its history has 9,102,060 bytes (since 10:45:23 UTC)"
PAGER = Target(name="primary", type="pagerduty", kind="page")


class ReadyzServer(Vendor):
    """A gateway whose oldest spooled item is ten minutes old."""

    stuck: tuple[str, ...] = ()

    def answer(self, request: Request) -> tuple[int, Any]:
        spooled = {"items": 3, "bytes": 9, "limit": 99, "oldest_seconds": 600.0}
        return 200, {"ready": True, "spooled": spooled, "stuck": list(self.stuck), "dedup_store": "ok", "arize": "ok"}


@pytest.mark.parametrize(
    ("stuck", "title", "seen"),
    [((STUCK,), "spooled alerts are stuck", STUCK), ((), "spooled alerts are stuck", "the gateway is delivering them")],
)
async def test_stuck_item_is_named_while_temporal_is_well(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira, stuck: tuple[str, ...], title: str, seen: str
) -> None:
    with ReadyzServer() as gateway:
        gateway.stuck = stuck
        settings = read_settings({"TOCSIN_STATE_DIR": str(tmp_path), "TOCSIN_GATEWAY_URL": gateway.base_url})
        async with (
            incident_harness(tmp_path, pagerduty, slack, jira, real=True) as harness,
            httpx.AsyncClient() as http,
        ):
            destinations = OpenDestinations(SECRETS)
            destinations.update(harness.policies[-1])
            notifier = WatchdogNotifier(tmp_path, destinations)
            loop = WatchdogLoop(settings, HealthMonitor(harness.client, QUEUE), notifier, http)
            await loop.check(Watchdog(notify=(PAGER,), after=0))
            await destinations.close()
    pages = pagerduty.events("trigger")  # another check may page too: a worker's first poll takes its time
    (page,) = (one for one in pages if one["dedup_key"].startswith("tocsin-watchdog-stuck-"))
    assert page["payload"]["summary"] == f"CRITICAL Tocsin itself: {title}"
    details = page["payload"]["custom_details"]
    assert seen in details["Seen"]
    assert "Check Temporal" not in details["Note"]


async def test_checks_behind_a_silent_gateway_have_not_recovered(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira
) -> None:
    async with (
        incident_harness(tmp_path, pagerduty, slack, jira, real=True) as harness,
        httpx.AsyncClient() as http,
    ):
        destinations = OpenDestinations(SECRETS)
        destinations.update(harness.policies[-1])
        notifier, watchdog = WatchdogNotifier(tmp_path, destinations), Watchdog(notify=(PAGER,), after=0)
        with ReadyzServer() as gateway:
            gateway.stuck = (STUCK,)
            settings = read_settings({"TOCSIN_STATE_DIR": str(tmp_path), "TOCSIN_GATEWAY_URL": gateway.base_url})
            loop = WatchdogLoop(settings, HealthMonitor(harness.client, QUEUE), notifier, http)
            await loop.check(watchdog)
        await loop.check(watchdog)  # nothing answers at that address now
        await destinations.close()
    checks = {one["dedup_key"].split("-")[2] for one in pagerduty.events("trigger")}
    resolved = {one["dedup_key"].split("-")[2] for one in pagerduty.events("resolve")}
    assert checks >= {"stuck", "gateway"}
    assert "stuck" not in resolved
