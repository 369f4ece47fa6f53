from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.vendors import Jira, PagerDuty, Slack
from tests.workflows.stage import Stage, staged


@pytest.fixture
async def stage(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[Stage]:
    async with staged(tmp_path, pagerduty, slack, jira) as stage:
        yield stage
