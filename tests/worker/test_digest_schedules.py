"""The schedules that send digests, on a real Temporal server."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleState
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from audit import AuditLog, DigestLedger
from audit.digests import DigestItem
from integrations.base.open_destinations import open_destinations
from integrations.base.registry import destination_types
from policy import Policy, load_policy
from policy.digest_times import DigestTimes
from tests import DEV_SERVER
from tests.integrations.notifications import make_content
from tests.vendors import Slack
from worker.digest_schedules import DigestSchedules, schedule_spec
from worker.worker_group import WorkerDependencies, create_worker_group

POLICY = """
version: 1
destinations:
  term: {{type: console}}
  daily: {{type: slack, base_url: "{slack}/api", token: {{env: SLACK}}, channel: "#ai-ops-alerts", schedule: "{cron}"}}
  weekly: {{type: console, schedule: "0 8 * * 1", timezone: Europe/Berlin}}
tiers:
  critical: {{steps: [{{notify: [term]}}]}}
  high: {{steps: [{{notify: [term]}}]}}
  low: {{digest: [daily], fallback: [term]}}
rules:
  - {{name: weekly, when: 'alert.metric == "x"', tier: low, digest: {weekly}}}
"""


@pytest_asyncio.fixture
async def client() -> AsyncGenerator[Client]:
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=DEV_SERVER, data_converter=pydantic_data_converter, dev_server_log_level="error"
    ) as env:
        yield env.client


def policy(tmp_path: Path, slack: Slack, cron: str = "0 8 * * *", weekly: str = "[weekly]") -> Policy:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY.format(slack=slack.base_url, cron=cron, weekly=weekly))
    return load_policy(file, destination_types())


async def names(client: Client) -> set[str]:
    return {one.id async for one in await client.list_schedules()}


async def test_schedules_follow_the_policy(client: Client, tmp_path: Path, slack: Slack) -> None:
    gathered: dict[str, int] = {}
    schedules = DigestSchedules("q", lambda: gathered)
    await schedules.apply(client, policy(tmp_path, slack))
    await _until(client, {"digest-daily", "digest-weekly"})
    weekly = (await client.get_schedule_handle("digest-weekly").describe()).schedule
    assert weekly.spec.time_zone_name == "Europe/Berlin"
    daily = client.get_schedule_handle("digest-daily")
    assert (await daily.describe()).info.next_action_times[0].hour == 8
    await daily.pause(note="holidays")
    await schedules.apply(client, policy(tmp_path, slack, "30 9 * * *", "[daily]"))
    await _until(client, {"digest-daily"})
    described = await daily.describe()
    assert (described.info.next_action_times[0].hour, described.info.next_action_times[0].minute) == (9, 30)
    assert (described.schedule.state.paused, described.schedule.state.note) == (True, "holidays")


async def test_gathered_incidents_keep_their_schedule(client: Client, tmp_path: Path, slack: Slack) -> None:
    gathered = {"weekly": 2, "gone": 1}
    schedules = DigestSchedules("q", lambda: gathered)
    await schedules.apply(client, policy(tmp_path, slack, weekly="[daily]"))
    await _until(client, {"digest-daily", "digest-weekly"})


async def test_schedule_sends_gathered_incidents_when_due(client: Client, tmp_path: Path, slack: Slack) -> None:
    in_force = policy(tmp_path, slack)
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    ledger = DigestLedger(log.database)
    destinations = open_destinations(in_force, {"SLACK": "xoxb-test"})
    speed = 24 * 3600 / 2.0  # a day is two seconds
    ledger.add("daily", DigestItem("k", "incident-x", datetime.now(UTC), make_content(tier="low").model_dump_json()))
    async with create_worker_group(client, "q", WorkerDependencies(lambda: in_force, destinations, log, speed=speed)):
        await DigestSchedules("q", ledger.waiting, speed).apply(client, in_force)
        await asyncio.to_thread(slack.wait_for, lambda: slack.messages)
        await asyncio.sleep(4)
    assert len(slack.messages) == 1, "the digests after it were empty, and were not sent"
    for destination in destinations.values():
        await destination.close()
    log.close()


async def test_schedule_of_another_installation_stays(client: Client, tmp_path: Path, slack: Slack) -> None:
    await DigestSchedules("another", dict).apply(client, policy(tmp_path, slack))
    await _until(client, {"digest-daily", "digest-weekly"})
    await DigestSchedules("q", dict).apply(client, policy(tmp_path, slack, weekly="[daily]"))
    await asyncio.sleep(1)
    assert await names(client) == {"digest-daily", "digest-weekly"}


async def test_each_policy_is_applied_in_the_background(client: Client, tmp_path: Path, slack: Slack) -> None:
    schedules = DigestSchedules("q", dict)
    running = asyncio.create_task(schedules.run(client))
    schedules.set_policy(policy(tmp_path, slack))
    await _until(client, {"digest-daily", "digest-weekly"})
    schedules.set_policy(policy(tmp_path, slack, weekly="[daily]"))
    await _until(client, {"digest-daily"})
    running.cancel()


def test_cron_with_both_days_means_either() -> None:
    assert schedule_spec("0 8 1 * 1", "UTC").cron_expressions == ["0 8 1 * *", "0 8 * * 1"]
    assert schedule_spec("0 8 * * 1", "UTC").cron_expressions == ["0 8 * * 1"]
    (interval,) = schedule_spec("0 8 * * *", "UTC", 8640).intervals
    assert interval.every == timedelta(seconds=10)


@pytest.mark.parametrize(("cron", "error"), [("0 8 L * *", "do not support L"), ("0 8 * * 1#2", "do not support #")])
def test_unsupported_cron_is_rejected_with_the_policy(tmp_path: Path, slack: Slack, cron: str, error: str) -> None:
    with pytest.raises(Exception, match=error):
        policy(tmp_path, slack, cron)


async def _until(client: Client, wanted: set[str]) -> None:
    """The list of schedules is eventually consistent."""
    for _ in range(600):
        if await names(client) == wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(await names(client))


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Atlantic/Azores", "America/Santiago", "UTC"]
)
async def test_temporal_fires_at_the_counted_times(client: Client, zone: str) -> None:
    """Temporal is asked when it would start each schedule, around every change of daylight saving in a year."""
    start, end = datetime.now(UTC).replace(microsecond=0), datetime.now(UTC) + timedelta(days=400)
    for cron in ("30 2 * * 0", "30 1 * * *", "0 0 * * *", "0 3 1 * 1", "15,45 2 * * *"):
        name = f"times-{cron.replace(' ', '_').replace('*', 'x').replace(',', '-')}"
        schedule = Schedule(
            action=ScheduleActionStartWorkflow("Nothing", id=name, task_queue="nobody"),
            spec=schedule_spec(cron, zone),
            state=ScheduleState(paused=True),
        )
        await client.create_schedule(name, schedule)
        first, last = Timestamp(), Timestamp()
        first.FromDatetime(start)
        last.FromDatetime(end)
        request = ListScheduleMatchingTimesRequest(
            namespace=client.namespace, schedule_id=name, start_time=first, end_time=last
        )
        answer = await client.workflow_service.list_schedule_matching_times(request)
        fired = [one.ToDatetime(UTC) for one in answer.start_time]
        assert len(fired) < 1000, "Temporal lists no more"
        assert fired == list(takewhile(lambda at: at <= end, DigestTimes(cron, zone).after(start))), cron
