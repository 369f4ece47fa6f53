"""Workflow code changes under open incidents: fifty are begun by a release, and today's code brings them to an end.

``tests/releases`` holds the wheel of each release that may still have open incidents somewhere; CONTRIBUTING.md says
how one is added.
"""

import zipfile
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import World
from tests.processes import Tocsin, tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-upgrade"), pytest.mark.timeout(300)]
RELEASES = sorted((Path(__file__).parents[1] / "releases").glob("*.whl"))
SPEED = 30.0
"""The first step of an escalation comes after 30 s: by then, the code is another."""


@dataclass
class Rolled:
    """Tocsin on the code of a release, and then on that of today; what was begun meanwhile, by its kind."""

    world: World
    incidents: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    alerts: dict[str, dict[str, object]] = field(default_factory=dict[str, dict[str, object]])

    def fire(self, kind: str, number: int, metric: str, **changes: Any) -> None:
        for _ in range(number):
            alert = self.world.alert(metric, **changes)
            incident = self.world.tocsin.open(alert)
            self.incidents.setdefault(kind, []).append(incident)
            self.alerts[incident] = alert

    def of(self, *kinds: str) -> list[str]:
        return [incident for kind in kinds for incident in self.incidents[kind]]

    def states(self, *kinds: str) -> list[str]:
        return [self.world.tocsin.call("GET", f"/{one}").json().get("state", "") for one in self.of(*kinds)]

    def acknowledge(self, kind: str) -> None:
        for incident in self.of(kind):
            key = self.world.paged(incident).body["dedup_key"]
            assert self.world.tocsin.callback("incident.acknowledged", key).is_success
            self.world.tocsin.until(incident, lambda one: one["state"] == "acknowledged")


@pytest.fixture(params=RELEASES, ids=lambda file: file.name.split("-")[1])
def rolled(
    request: pytest.FixtureRequest, tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira
) -> Generator[Rolled]:
    with zipfile.ZipFile(request.param) as wheel:
        wheel.extractall(tmp_path / "release")
    world = World(tmp_path / "world", pagerduty, slack, jira)
    world.tocsin = Tocsin(tmp_path / "world", world.policy, SPEED, **SECRETS)
    world.tocsin.code = tmp_path / "release"
    yield Rolled(world)
    if world.tocsin.process and world.tocsin.process.poll() is None:
        world.tocsin.stop()


def test_fifty_incidents_begun_by_a_release_end_under_the_code_of_today(rolled: Rolled, tmp_path: Path) -> None:
    world, old = rolled.world, rolled.world.tocsin
    old.start()
    version = old.http.get(f"{old.url}/openapi.json").json()["info"]["version"]
    assert f"-{version}-" in str([file.name for file in RELEASES])
    rolled.fire("silent", 12, "error_rate")
    rolled.fire("acknowledged", 8, "error_rate")
    rolled.fire("held", 8, "p95_latency_ms")
    rolled.fire("posted", 8, "answer_relevance")
    rolled.fire("regulated", 6, "bias", model="underwriting")
    rolled.fire("low", 6, "percent_empty")
    rolled.fire("both", 2, "error_rate")
    assert len(rolled.alerts) == 50
    rolled.acknowledge("acknowledged")
    wait_for(lambda: set(rolled.states("silent", "posted")) == {"notified"})

    # A worker of today beside the one of the release: each takes up what the other began.
    server = old.child("server").cmdline()
    beside = Tocsin(tmp_path / "world", world.policy, SPEED, **SECRETS)
    beside.log = tmp_path / "beside.txt"
    beside.environment["TEMPORAL_ADDRESS"] = f"127.0.0.1:{server[server.index('--port') + 1]}"
    beside.start("worker")
    wait_for(lambda: tocsin("health", "worker", environment=beside.environment).returncode == 0)
    for _ in range(3):
        for incident in rolled.of("both", "posted"):
            assert world.tocsin.send({**rolled.alerts[incident], "metric_value": 0.9}).status_code == 202
    rolled.acknowledge("both")
    assert old.stop() == 0
    beside.stop()

    # And now everything is of today, on the database that the release left.
    old.code = None
    old.start()
    assert old.http.get(f"{old.url}/openapi.json").json()["info"]["version"] != version
    for incident in rolled.of("silent"):
        world.paged(incident, "secondary")
    for incident in rolled.of("held"):
        world.paged(incident)
    for incident in rolled.of("silent", "acknowledged", "held", "posted", "low", "both", "regulated"):
        assert world.tocsin.send({**rolled.alerts[incident], "status": "CLEARED"}).status_code == 202
    for incident in rolled.of("regulated"):
        world.tocsin.until(incident, lambda one: one["state"] == "awaiting_human")
        closed = world.tocsin.call("POST", f"/{incident}/resolve", "c-token", json={"by": "Carl"})
        assert closed.status_code == 200, closed.text
    wait_for(lambda: set(rolled.states(*rolled.incidents)) == {"closed"}, 90, 1.0)

    for incident in rolled.of("silent"):
        assert len(world.pages(incident, "primary")) == len(world.pages(incident, "managers")) == 1
    for incident in rolled.of("acknowledged", "both"):
        assert len(world.pages(incident)) == 1
    for incident in rolled.of("posted"):
        assert world.tocsin.incident(incident)["alerts"] == 4
    assert len(world.jira.issues) == 6
    verified = tocsin("audit", "verify", environment=world.tocsin.environment)
    assert (verified.returncode, verified.stdout[:6]) == (0, "whole:"), verified.stderr
    assert "Nondeterminism" not in old.printed() + beside.printed()
