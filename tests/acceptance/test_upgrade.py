"""Workflow code changes under open incidents: fifty are started by a release, and today's code closes them.

The release is the commit in ``baseline.txt``; its wheel is built from that commit. See docs/testing.md.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import AcceptanceHarness
from tests.acceptance.release_code import baseline, release_code
from tests.processes import Tocsin, tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS
from tests.waiting import SLOW_MACHINE, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-upgrade"), pytest.mark.timeout(600)]
SPEED = 15.0
"""The first step of an escalation is due after 60 s: by then, the code has changed."""
INCIDENTS = {"escalated": 12, "acknowledged": 8, "held": 8, "posted": 8, "regulated": 6, "low": 6, "mixed": 2}
"""How many incidents of each kind; ``mixed`` ones have workers of both versions at once."""
ALERTS: dict[str, tuple[str, dict[str, Any]]] = {
    "escalated": ("error_rate", {}),
    "acknowledged": ("error_rate", {}),
    "held": ("p95_latency_ms", {}),
    "posted": ("answer_relevance", {}),
    "regulated": ("bias", {"model": "underwriting"}),
    "low": ("percent_empty", {}),
    "mixed": ("error_rate", {}),
}


@dataclass
class UpgradeHarness(AcceptanceHarness):
    """Runs the code of a release first, then today's; knows the incidents by kind."""

    folder: Path
    pagerduty: PagerDuty
    slack: Slack
    jira: Jira
    incidents: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def __post_init__(self) -> None:
        super().__init__(self.folder, self.pagerduty, self.slack, self.jira)
        self.tocsin = Tocsin(self.folder, self.policy, SPEED, **SECRETS)

    def fire(self) -> None:
        for kind, number in INCIDENTS.items():
            metric, changes = ALERTS[kind]
            for _ in range(number):
                alert = self.alert(metric, **changes)
                incident = self.tocsin.open(alert)
                self.incidents.setdefault(kind, []).append(incident)
                self.alerts[incident] = alert

    def of(self, *kinds: str) -> list[str]:
        return [incident for kind in kinds for incident in self.incidents[kind]]

    def states(self, *kinds: str) -> set[str]:
        return {self.tocsin.call("GET", f"/{one}").json().get("state", "") for one in self.of(*kinds)}

    def acknowledge(self, kind: str) -> None:
        for incident in self.of(kind):
            key = self.wait_for_page(incident).body["dedup_key"]
            assert self.tocsin.callback("incident.acknowledged", key).is_success
            self.tocsin.until(incident, lambda one: one["state"] == "acknowledged")

    def version(self) -> str:
        return self.tocsin.http.get(f"{self.tocsin.url}/openapi.json").json()["info"]["version"]

    def start_second_worker(self) -> Tocsin:
        """A worker of today's code on the release's Temporal server, beside the release's worker."""
        command = self.tocsin.child("server").cmdline()
        worker = Tocsin(self.folder, self.policy, SPEED, **SECRETS)
        worker.log = self.folder / "second-worker.txt"
        worker.environment["TEMPORAL_ADDRESS"] = f"127.0.0.1:{command[command.index('--port') + 1]}"
        worker.start("worker")
        wait_for(lambda: tocsin("health", "worker", environment=worker.environment).returncode == 0)
        return worker

    def clear(self, *kinds: str) -> None:
        for incident in self.of(*kinds):
            assert self.tocsin.send({**self.alerts[incident], "status": "CLEARED"}).status_code == 202


@pytest.fixture
def upgrade(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> Generator[UpgradeHarness]:
    code = release_code(baseline(), tmp_path / "release")
    upgrade = UpgradeHarness(tmp_path / "harness", pagerduty, slack, jira)
    upgrade.tocsin.code = code
    yield upgrade
    upgrade.stop()


def test_incidents_of_release_end_under_current_code(upgrade: UpgradeHarness) -> None:
    upgrade.tocsin.start()
    if baseline() != "HEAD":
        assert upgrade.version() == baseline().removeprefix("v") or len(baseline()) == 40
    upgrade.fire()
    assert len(upgrade.alerts) == 50
    upgrade.acknowledge("acknowledged")
    wait_for(lambda: upgrade.states("escalated", "posted") == {"notified"})

    # Workers of both versions at once: each continues incidents of the other.
    second_worker = upgrade.start_second_worker()
    for _ in range(3):
        for incident in upgrade.of("mixed", "posted"):
            assert upgrade.tocsin.send({**upgrade.alerts[incident], "metric_value": 0.9}).status_code == 202
    upgrade.acknowledge("mixed")
    assert upgrade.tocsin.stop() == 0
    second_worker.stop()

    # Today's code alone, on the databases that the release left.
    upgrade.tocsin.code = None
    upgrade.tocsin.start()
    _close_all(upgrade)
    _check_outcome(upgrade)
    assert "Nondeterminism" not in upgrade.tocsin.printed() + second_worker.printed()


def _close_all(upgrade: UpgradeHarness) -> None:
    for incident in upgrade.of("escalated"):
        upgrade.wait_for_page(incident, "secondary")
    for incident in upgrade.of("held"):
        upgrade.wait_for_page(incident)
    upgrade.clear(*INCIDENTS)
    for incident in upgrade.of("regulated"):
        upgrade.tocsin.until(incident, lambda one: one["state"] == "awaiting_human")
        closed = upgrade.tocsin.call("POST", f"/{incident}/resolve", "c-token", json={"by": "Carl"})
        assert closed.status_code == 200, closed.text
    wait_for(lambda: upgrade.states(*INCIDENTS) == {"closed"}, 3 * SLOW_MACHINE, 1.0)


def _check_outcome(upgrade: UpgradeHarness) -> None:
    for incident in upgrade.of("escalated"):
        assert len(upgrade.pages(incident, "primary")) == len(upgrade.pages(incident, "managers")) == 1
    for incident in upgrade.of("acknowledged", "mixed"):
        assert len(upgrade.pages(incident)) == 1
    for incident in upgrade.of("posted"):
        assert upgrade.tocsin.incident(incident)["alert_count"] == 4
    assert len(upgrade.jira.issues) == 6
    verified = tocsin("audit", "verify", environment=upgrade.tocsin.environment)
    assert (verified.returncode, verified.stdout[:6]) == (0, "intact"), verified.stderr
