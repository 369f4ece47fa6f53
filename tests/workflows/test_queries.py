"""A query changes nothing that an incident does, at any moment."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alerts import incident_id
from gateway.query_client import IncidentQueryClient
from incident.view import IncidentView
from tests.vendors import Jira, PagerDuty, Slack
from tests.workflows.harness import incident_harness
from workflows.contracts import INCIDENT_QUERY


async def test_query_at_due_step_without_worker_changes_nothing(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira
) -> None:
    """The next worker receives the query before the timer's event: ``worker.query_guard``.

    The harness replays the history at the end, as every later worker would have to.
    """
    async with incident_harness(tmp_path, pagerduty, slack, jira, real=True) as harness:
        harness.change_policy("after: 15m", "after: 2s")
        await harness.fire()
        opened_at = (await harness.until_state("notified")).timeline[0].at

        incident, client, within = (
            incident_id(harness.alert),
            IncidentQueryClient(harness.client),
            timedelta(seconds=60),
        )

        async def query() -> IncidentView:
            return await client.ask(incident, INCIDENT_QUERY, result=IncidentView, within=within)

        async with harness.without_worker():
            queries = [asyncio.create_task(query()) for _ in range(5)]
            # Shortly after the step is due: much later, the incident would wait for actions spooled in an outage.
            await asyncio.sleep((opened_at + timedelta(seconds=2.1) - datetime.now(UTC)).total_seconds())
        await harness.until(lambda view: view.escalation_level == 2)
        await harness.until(lambda view: len(harness.page_keys("secondary")) == len(harness.page_keys("managers")) == 1)
        assert {view.state for view in await asyncio.gather(*queries)} == {"notified"}, "every query has a result"
        await harness.callback("acknowledge")
        await harness.until_state("acknowledged")
        await harness.clear()
        await harness.until_closed()
