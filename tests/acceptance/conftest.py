from collections.abc import Generator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS, alert_body, write_policy

SPEED = 300.0
"""Fifteen minutes are three seconds."""
STEP = 15 * 60 / SPEED
_numbers = count(1)


class World:
    """Tocsin and the vendors around it."""

    def __init__(self, folder: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> None:
        self.pagerduty, self.slack, self.jira = pagerduty, slack, jira
        folder.mkdir(parents=True, exist_ok=True)
        self.policy = folder / "policy.yaml"
        write_policy(self.policy, pagerduty, slack, jira)
        self.tocsin = Tocsin(folder, self.policy, SPEED, **SECRETS)

    def alert(self, metric: str = "error_rate", value: float = 0.31, **changes: Any) -> dict[str, Any]:
        """An alert of a monitor that no other test has."""
        return alert_body(metric, value, f"m-{next(_numbers)}", **changes)

    def pages(self, incident: str, who: str = "", action: str = "trigger") -> list[Any]:
        """The requests for one incident that PagerDuty got, of one service."""
        return self.pagerduty.about(incident, action, SECRETS[who.upper()] if who else "")

    def paged(self, incident: str, who: str = "primary") -> Any:
        """The first page of the incident to a service, as soon as it is there."""
        return self.pagerduty.wait_for(lambda: self.pages(incident, who))[0]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    with PagerDuty() as pagerduty, Slack() as slack, Jira() as jira:
        world = World(tmp_path_factory.mktemp("world"), pagerduty, slack, jira)
        world.tocsin.start()
        try:
            yield world
        finally:
            world.tocsin.stop()
        assert pagerduty.violations == slack.violations == jira.violations == []
