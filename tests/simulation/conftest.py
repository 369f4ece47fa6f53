from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.cli.harness import CliHarness
from tests.vendors import Jira, PagerDuty, Slack
from tests.workflows.harness import IncidentHarness, incident_harness


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliHarness:
    return CliHarness(tmp_path, monkeypatch)


@pytest.fixture
async def harness(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[IncidentHarness]:
    """An incident on the time-skipping server."""
    async with incident_harness(tmp_path, pagerduty, slack, jira) as harness:
        yield harness
