from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.vendors import Jira, PagerDuty, Slack
from tests.workflows.harness import IncidentHarness, incident_harness


@pytest.fixture
async def harness(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[IncidentHarness]:
    """An incident on the time-skipping server."""
    async with incident_harness(tmp_path, pagerduty, slack, jira) as harness:
        yield harness


@pytest.fixture
async def real(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[IncidentHarness]:
    """An incident on the server that production uses: it has search attributes, and time does not skip."""
    async with incident_harness(tmp_path, pagerduty, slack, jira, real=True) as harness:
        yield harness
