"""The watchdog pages although what it watches is broken, and its own death is noticed: real processes."""

import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Tocsin, tocsin
from tests.vendors import Fault, PagerDuty, Receiver, Request, Vendor
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-watchdog")]
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


class Beats(Vendor):
    """Whoever listens to the heartbeat."""

    def answer(self, request: Request) -> tuple[int, Any]:
        return (200, {}) if request.path == "/beat/secret" else (404, {})

    @property
    def count(self) -> int:
        return len(self.done)


class Kennel:
    def __init__(self, tocsin: Tocsin, pager: PagerDuty, quiet: Receiver, beats: Beats) -> None:
        self.tocsin, self.pager, self.quiet, self.beats = tocsin, pager, quiet, beats

    def barks(self, what: str, action: str = "trigger") -> list[dict[str, Any]]:
        key = f"tocsin-watchdog-{what}-"
        return [one for one in self.pager.events(action) if one["dedup_key"].startswith(key)]

    def barked(self, what: str, action: str = "trigger") -> dict[str, Any]:
        return wait_for(lambda: self.barks(what, action), 60, 0.2, lambda: f"{action} of {what}")[0]

    def beats_on(self) -> bool:
        before = self.beats.count
        return bool(wait_for(lambda: self.beats.count > before, 40))


@pytest.fixture(scope="module")
def kennel(tmp_path_factory: pytest.TempPathFactory) -> Generator[Kennel]:
    with ExitStack() as stack:
        pager, quiet, beats = (stack.enter_context(one) for one in (PagerDuty(), Receiver(), Beats()))
        folder = tmp_path_factory.mktemp("watchdog")
        (folder / "policy.yaml").write_text(POLICY.format(pager=pager.base_url, quiet=quiet.base_url))
        heartbeat = f"{beats.base_url}/beat/secret"
        running = Tocsin(folder, folder / "policy.yaml", SPEED, PAGER="pager-key", HEARTBEAT_URL=heartbeat)
        running.start()
        try:
            yield Kennel(running, pager, quiet, beats)
        finally:
            running.stop()
        assert pager.violations == quiet.violations == []
        assert "/beat/secret" not in running.printed()


def test_where_all_is_well_the_heart_beats_and_nobody_is_paged(kennel: Kennel) -> None:
    assert kennel.beats_on()
    assert kennel.beats_on()
    assert kennel.pager.requests == []


def test_a_drill_comes_out_at_the_other_end_and_is_over(kennel: Kennel) -> None:
    drilled = wait_for(lambda: [one for one in kennel.quiet.requests if b"DRILL" in one.raw], 30)[0]
    incident = drilled.body["incident"]["id"] if "incident" in drilled.body else ""
    found = kennel.tocsin.http.get(
        f"{kennel.tocsin.url}/api/incidents", headers={"Authorization": "Bearer v-token"}
    ).json()["incidents"]
    one = next(each for each in found if each["rule"] == "end-to-end")
    assert incident in {"", one["id"]}
    kennel.tocsin.until(one["id"], lambda view: view["state"] == "closed" and view["resolved_by"] == "watchdog")


def test_temporal_hangs_and_the_watchdog_pages_by_itself_once(kennel: Kennel) -> None:
    server = kennel.tocsin.child("server")
    server.suspend()
    try:
        page = kennel.barked("temporal")
        assert page["payload"]["summary"] == "CRITICAL Tocsin itself: Temporal is away"
        assert "it does not answer" in str(page["payload"]["custom_details"])
        assert "nobody is paged" in page["payload"]["custom_details"]["Note"]
        assert kennel.beats_on(), "somebody knows of it: that is no reason to alarm the outside, too"
        watchdog = kennel.tocsin.child("watchdog")
        watchdog.kill()  # the next one has it in its notes
        watchdog.wait(10)
        wait_for(lambda: "watchdog ended by itself" in kennel.tocsin.printed())
        assert kennel.beats_on()
        assert len(kennel.barks("temporal")) == 1
    finally:
        server.resume()
    assert kennel.barked("temporal", "resolve")["dedup_key"] == page["dedup_key"]


def test_where_nobody_can_be_told_the_heart_stops(kennel: Kennel) -> None:
    kennel.pager.always = Fault(status=503)
    gateway = kennel.tocsin.child("gateway")
    gateway.suspend()
    try:
        before = len(kennel.pager.requests)
        wait_for(lambda: len(kennel.pager.requests) > before, 60)
        beats = kennel.beats.count
        time.sleep(5)
        assert kennel.beats.count == beats
        kennel.pager.always = None
        assert "the gateway does not answer" in str(kennel.barked("gateway"))
        assert kennel.beats_on()
    finally:
        gateway.resume()
    kennel.barked("gateway", "resolve")


def test_a_drill_that_nobody_gets_is_told(kennel: Kennel) -> None:
    def open_ones() -> set[str]:
        over = {one["dedup_key"] for one in kennel.barks("drill", "resolve")}
        return {one["dedup_key"] for one in kennel.barks("drill")} - over

    wait_for(lambda: not open_ones(), 60)  # the gateway was away just now, and may have missed one
    kennel.quiet.always = Fault(status=503)
    try:
        (key,) = wait_for(open_ones, 60)
    finally:
        kennel.quiet.always = None
    (page,) = (one for one in kennel.barks("drill") if one["dedup_key"] == key)
    assert "a drill of end-to-end told nobody within 5 s" in str(page)
    wait_for(lambda: not open_ones(), 60)


def test_a_policy_without_one_is_told_what_is_missing(kennel: Kennel, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text((kennel.tocsin.folder / "policy.yaml").read_text().partition("watchdog:")[0])
    done = tocsin("watchdog", environment={**kennel.tocsin.environment, "TOCSIN_POLICY": str(policy)})
    assert (done.returncode, "has no watchdog" in done.stderr) == (1, True)
