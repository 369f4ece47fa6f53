"""Whoever looks at an incident, at whatever moment, changes nothing that it does."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alerts import incident_id
from gateway.asking import Asker
from tests.vendors import Jira, PagerDuty, Slack
from tests.workflows.stage import staged
from workflows.messages import INCIDENT_QUERY, IncidentView


async def test_an_incident_that_is_looked_at_while_a_step_falls_due_and_no_worker_is_there(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira
) -> None:
    """The next worker is asked to look before it is told that the time has come: ``worker.in_step``.

    The stage has the history done over at the end, as every worker after it would have to.
    """
    async with staged(tmp_path, pagerduty, slack, jira, real=True) as stage:
        stage.change_policy("after: 15m", "after: 2s")
        await stage.fire()
        began = (await stage.settled("notified")).timeline[0].at

        incident, asker, within = incident_id(stage.alert), Asker(stage.client), timedelta(seconds=20)

        async def look() -> IncidentView:
            return await asker.ask(incident, INCIDENT_QUERY, result=IncidentView, within=within)

        async with stage.unattended():
            looks = [asyncio.create_task(look()) for _ in range(5)]
            # Not so late that the incident would take it for an outage, and wait for what was said meanwhile.
            await asyncio.sleep((began + timedelta(seconds=2.1) - datetime.now(UTC)).total_seconds())
        await stage.until(lambda view: view.escalation == 2)
        await stage.until(lambda view: len(stage.paged("secondary")) == len(stage.paged("managers")) == 1)
        assert {view.state for view in await asyncio.gather(*looks)} == {"notified"}, "everybody was answered"
        await stage.callback("acknowledge")
        await stage.settled("acknowledged")
        await stage.clear()
        await stage.closed()
