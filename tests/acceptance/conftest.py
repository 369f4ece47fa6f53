"""The harness of the acceptance tests: ``tocsin up`` beside stand-in vendors, durations divided by ``SPEED``."""

import time
from collections.abc import Generator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS, alert_body, write_policy
from tests.waiting import wait_for

SPEED = 300.0
"""The policy's fifteen minutes take three seconds."""
RESTART = 30.0
"""Seconds that a restarted process, or Temporal's timeout for a dead one, may delay a step."""
STEP = 15 * 60 / SPEED
_numbers = count(1)


class AcceptanceHarness:
    """Real processes of Tocsin, and the stand-ins of its vendors."""

    def __init__(self, folder: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> None:
        self.pagerduty, self.slack, self.jira = pagerduty, slack, jira
        folder.mkdir(parents=True, exist_ok=True)
        self.policy = folder / "policy.yaml"
        write_policy(self.policy, pagerduty, slack, jira)
        self.tocsin = Tocsin(folder, self.policy, SPEED, **SECRETS)

    def alert(self, metric: str = "error_rate", value: float = 0.31, **changes: Any) -> dict[str, Any]:
        """An alert of a monitor that no other test uses."""
        return alert_body(metric, value, f"m-{next(_numbers)}", **changes)

    def pages(self, incident: str, service: str = "", action: str = "trigger") -> list[Any]:
        """The requests about an incident that PagerDuty received, for one service or all."""
        return self.pagerduty.about(incident, action, SECRETS[service.upper()] if service else "")

    def wait_for_page(self, incident: str, service: str = "primary") -> Any:
        """The incident's first page to a service."""
        return wait_for(lambda: self.pages(incident, service), describe=self.tocsin.last_output)[0]

    def assert_quiet(self, incident: str, seconds: float) -> None:
        """Nobody is paged for that long, and the first step has paged once.

        A slow machine may have taken later steps before: those say nothing about what comes now.
        """
        before = len(self.pages(incident))
        time.sleep(seconds)
        assert len(self.pages(incident)) == before, self.tocsin.last_output()
        assert len(self.pages(incident, "primary")) == 1, self.tocsin.last_output()

    def stop(self) -> None:
        """Stop Tocsin, unless it has ended already."""
        if self.tocsin.process and self.tocsin.process.poll() is None:
            self.tocsin.stop()


@pytest.fixture(scope="package")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Generator[AcceptanceHarness]:
    with PagerDuty() as pagerduty, Slack() as slack, Jira() as jira:
        harness = AcceptanceHarness(tmp_path_factory.mktemp("acceptance"), pagerduty, slack, jira)
        harness.tocsin.start()
        try:
            yield harness
        finally:
            harness.tocsin.stop()
        assert pagerduty.violations == slack.violations == jira.violations == []
