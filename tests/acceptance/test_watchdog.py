"""The watchdog pages although everything else is broken, and its heartbeat shows its own failure: real processes."""

import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Tocsin, tocsin
from tests.vendors import Arize, Fault, PagerDuty, Receiver, Request, Vendor
from tests.waiting import SLOW_MACHINE, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-watchdog"), pytest.mark.timeout(400)]
SPEED = 60.0
POLICY = """
version: 1
destinations:
  pager: {{type: pagerduty, base_url: "{pager}", routing_key: {{env: PAGER}}}}
  quiet: {{type: webhook, url: "{quiet}"}}
tiers:
  critical: {{steps: [{{notify: [pager]}}]}}
  high: {{steps: [{{notify: [quiet]}}]}}
  low: {{digest: [quiet]}}
rules:
  - {{name: end-to-end, when: 'alert.metric == "nothing has this"', tier: high}}
watchdog:
  notify: [pager]
  after: 2m
  heartbeat: {{url: {{env: HEARTBEAT_URL}}, every: 1m}}
  drill: {{rule: end-to-end, every: 10m, within: 5m}}
"""


class HeartbeatReceiver(Vendor):
    """An uptime monitor that receives the heartbeat."""

    def answer(self, request: Request) -> tuple[int, Any]:
        return (200, {}) if request.path == "/beat/secret" else (404, {})

    @property
    def count(self) -> int:
        return len(self.done)


class WatchdogHarness:
    """``tocsin up`` with a watchdog, its pager, a destination for drills, and a receiver of heartbeats."""

    def __init__(
        self, tocsin: Tocsin, pager: PagerDuty, quiet: Receiver, heartbeats: HeartbeatReceiver, arize: Arize
    ) -> None:
        self.tocsin, self.pager, self.quiet, self.heartbeats, self.arize = tocsin, pager, quiet, heartbeats, arize

    def notifications(self, check: str, action: str = "trigger") -> list[dict[str, Any]]:
        key = f"tocsin-watchdog-{check}-"
        return [one for one in self.pager.events(action) if one["dedup_key"].startswith(key)]

    def wait_for_notification(self, check: str, action: str = "trigger") -> dict[str, Any]:
        return wait_for(lambda: self.notifications(check, action), describe=lambda: f"{action} of {check}")[0]

    def heart_beats(self) -> bool:
        before = self.heartbeats.count
        return bool(wait_for(lambda: self.heartbeats.count > before))


@pytest.fixture(scope="module")
def watchdog(tmp_path_factory: pytest.TempPathFactory) -> Generator[WatchdogHarness]:
    with ExitStack() as stack:
        pager, quiet, heartbeats = (stack.enter_context(one) for one in (PagerDuty(), Receiver(), HeartbeatReceiver()))
        arize = stack.enter_context(Arize())
        settings = {"ARIZE_API_KEY": arize.key, "ARIZE_API_URL": arize.base_url, "ARIZE_APP_URL": arize.base_url}
        folder = tmp_path_factory.mktemp("watchdog")
        (folder / "policy.yaml").write_text(POLICY.format(pager=pager.base_url, quiet=quiet.base_url))
        heartbeat = f"{heartbeats.base_url}/beat/secret"
        running = Tocsin(folder, folder / "policy.yaml", SPEED, PAGER="pager-key", HEARTBEAT_URL=heartbeat, **settings)
        running.start()
        try:
            yield WatchdogHarness(running, pager, quiet, heartbeats, arize)
        finally:
            running.stop()
        assert pager.violations == quiet.violations == []
        assert "/beat/secret" not in running.printed()


def test_healthy_system_sends_heartbeats_and_pages_nobody(watchdog: WatchdogHarness) -> None:
    assert watchdog.heart_beats()
    assert watchdog.heart_beats()
    assert watchdog.pager.requests == []


def test_watchdog_drill_is_delivered_and_closed(watchdog: WatchdogHarness) -> None:
    delivered = wait_for(lambda: [one for one in watchdog.quiet.requests if b"DRILL" in one.raw])[0]
    incident = delivered.body["incident"]["id"] if "incident" in delivered.body else ""

    def drills() -> list[dict[str, Any]]:
        """Temporal lists an incident some time after it has started it."""
        answer = watchdog.tocsin.http.get(
            f"{watchdog.tocsin.url}/api/incidents", headers={"Authorization": "Bearer v-token"}
        )
        return [each for each in answer.json()["incidents"] if each["rule"] == "end-to-end"]

    one = wait_for(drills)[0]
    assert incident in {"", one["id"]}
    watchdog.tocsin.until(
        one["id"], lambda view: view["state"] == "closed" and view["resolved_by"] == "ada (for watchdog)"
    )


def test_watchdog_pages_once_while_temporal_hangs(watchdog: WatchdogHarness) -> None:
    server = watchdog.tocsin.child("server")
    server.suspend()
    try:
        page = watchdog.wait_for_notification("temporal")
        assert page["payload"]["summary"] == "CRITICAL Tocsin itself: Temporal is unavailable"
        assert "Temporal is unavailable" in str(page["payload"]["custom_details"]["Seen"])
        assert "alerts are spooled" in page["payload"]["custom_details"]["Note"]
        assert watchdog.heart_beats(), "the problem was notified, so the heartbeat continues"
        process = watchdog.tocsin.child("watchdog")
        process.kill()  # the next one reads the state file
        process.wait(SLOW_MACHINE)
        wait_for(lambda: "watchdog ended unexpectedly" in watchdog.tocsin.printed())
        assert watchdog.heart_beats()
        assert len(watchdog.notifications("temporal")) == 1
    finally:
        server.resume()
    assert watchdog.wait_for_notification("temporal", "resolve")["dedup_key"] == page["dedup_key"]


def test_heartbeat_stops_if_nobody_can_be_notified(watchdog: WatchdogHarness) -> None:
    watchdog.pager.always = Fault(status=503)
    gateway = watchdog.tocsin.child("gateway")
    gateway.suspend()
    try:
        before = len(watchdog.pager.requests)
        wait_for(lambda: len(watchdog.pager.requests) > before)
        heartbeats = watchdog.heartbeats.count
        time.sleep(5)
        assert watchdog.heartbeats.count == heartbeats
        watchdog.pager.always = None
        assert "the gateway does not answer" in str(watchdog.wait_for_notification("gateway"))
        assert watchdog.heart_beats()
    finally:
        gateway.resume()
    watchdog.wait_for_notification("gateway", "resolve")


def test_undelivered_watchdog_drill_is_reported(watchdog: WatchdogHarness) -> None:
    def open_keys() -> set[str]:
        over = {one["dedup_key"] for one in watchdog.notifications("drill", "resolve")}
        return {one["dedup_key"] for one in watchdog.notifications("drill")} - over

    wait_for(lambda: not open_keys())  # the gateway hung in the previous test, and a drill may have failed
    watchdog.quiet.always = Fault(status=503)
    try:
        (key,) = wait_for(open_keys)
    finally:
        watchdog.quiet.always = None
    (page,) = (one for one in watchdog.notifications("drill") if one["dedup_key"] == key)
    assert "a drill of end-to-end notified nobody within 5 s" in str(page)
    wait_for(lambda: not open_keys())


def test_watchdog_pages_while_arize_refuses_the_key(watchdog: WatchdogHarness) -> None:
    """The schedule that polls Arize finds it; workers report it, and the gateway shows it."""
    watchdog.arize.always = Fault(status=401, body="revoked")
    try:
        page = watchdog.wait_for_notification("arize")
        assert "Arize answered 401: revoked; check ARIZE_API_KEY" in page["payload"]["custom_details"]["Seen"]
    finally:
        watchdog.arize.always = None
    assert watchdog.wait_for_notification("arize", "resolve")["dedup_key"] == page["dedup_key"]


def test_watchdog_without_policy_section_is_rejected(watchdog: WatchdogHarness, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text((watchdog.tocsin.folder / "policy.yaml").read_text().partition("watchdog:")[0])
    done = tocsin("watchdog", environment={**watchdog.tocsin.environment, "TOCSIN_POLICY": str(policy)})
    assert (done.returncode, "has no watchdog" in done.stderr) == (1, True)
