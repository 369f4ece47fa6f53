"""The schedules that send digests, on a real Temporal server."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from activities.destinations import destination_types, open_destinations
from audit import AuditLog, DigestLedger
from audit.digests import Entry
from policy import Policy, load_policy
from tests import DEV_SERVER
from tests.activities.sending import a_brief
from tests.vendors import Slack
from worker.crew import create_crew
from worker.digest_schedules import DigestSchedules, schedule_spec

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


async def test_there_is_one_for_each_destination_that_the_policy_gathers_for(
    client: Client, tmp_path: Path, slack: Slack
) -> None:
    waiting: dict[str, int] = {}
    schedules = DigestSchedules("q", lambda: waiting)
    await schedules.bring_in_line(client, policy(tmp_path, slack))
    await _until(client, {"digest-daily", "digest-weekly"})
    weekly = (await client.get_schedule_handle("digest-weekly").describe()).schedule
    assert weekly.spec.time_zone_name == "Europe/Berlin"
    daily = client.get_schedule_handle("digest-daily")
    assert (await daily.describe()).info.next_action_times[0].hour == 8
    await daily.pause(note="holidays")
    await schedules.bring_in_line(client, policy(tmp_path, slack, "30 9 * * *", "[daily]"))
    await _until(client, {"digest-daily"})
    there = await daily.describe()
    assert (there.info.next_action_times[0].hour, there.info.next_action_times[0].minute) == (9, 30)
    assert (there.schedule.state.paused, there.schedule.state.note) == (True, "holidays")


async def test_what_was_gathered_is_sent_though_the_policy_gathers_no_more_for_it(
    client: Client, tmp_path: Path, slack: Slack
) -> None:
    waiting = {"weekly": 2, "gone": 1}
    schedules = DigestSchedules("q", lambda: waiting)
    await schedules.bring_in_line(client, policy(tmp_path, slack, weekly="[daily]"))
    await _until(client, {"digest-daily", "digest-weekly"})


async def test_at_its_time_the_schedule_sends_what_was_gathered(client: Client, tmp_path: Path, slack: Slack) -> None:
    in_force = policy(tmp_path, slack)
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    ledger = DigestLedger(log.database)
    destinations = open_destinations(in_force, {"SLACK": "xoxb-test"}, "")
    speed = 24 * 3600 / 2.0  # a day is two seconds
    ledger.add("daily", Entry("k", "incident-x", datetime.now(UTC), a_brief(tier="low").model_dump_json()))
    async with create_crew(client, "q", lambda: in_force, destinations, log, speed):
        await DigestSchedules("q", ledger.waiting, speed).bring_in_line(client, in_force)
        await asyncio.to_thread(slack.wait_for, lambda: slack.messages)
        await asyncio.sleep(4)
    assert len(slack.messages) == 1, "the issues after it held nothing, and were left out"
    for destination in destinations.values():
        await destination.close()
    log.close()


async def test_a_schedule_of_somebody_else_is_left_alone(client: Client, tmp_path: Path, slack: Slack) -> None:
    await DigestSchedules("another", dict).bring_in_line(client, policy(tmp_path, slack))
    await _until(client, {"digest-daily", "digest-weekly"})
    await DigestSchedules("q", dict).bring_in_line(client, policy(tmp_path, slack, weekly="[daily]"))
    await asyncio.sleep(1)
    assert await names(client) == {"digest-daily", "digest-weekly"}


async def test_it_waits_for_a_server_that_is_away(client: Client, tmp_path: Path, slack: Slack) -> None:
    schedules = DigestSchedules("q", dict)
    running = asyncio.create_task(schedules.run(client))
    schedules.want(policy(tmp_path, slack))
    await _until(client, {"digest-daily", "digest-weekly"})
    schedules.want(policy(tmp_path, slack, weekly="[daily]"))
    await _until(client, {"digest-daily"})
    running.cancel()


def test_cron_means_either_day_where_both_are_named() -> None:
    assert schedule_spec("0 8 1 * 1", "UTC").cron_expressions == ["0 8 1 * *", "0 8 * * 1"]
    assert schedule_spec("0 8 * * 1", "UTC").cron_expressions == ["0 8 * * 1"]
    (interval,) = schedule_spec("0 8 * * *", "UTC", 8640).intervals
    assert interval.every == timedelta(seconds=10)


@pytest.mark.parametrize(("cron", "said"), [("0 8 L * *", "knows no L"), ("0 8 * * 1#2", "knows no #")])
def test_what_temporal_cannot_read_is_refused_when_the_policy_is_checked(
    tmp_path: Path, slack: Slack, cron: str, said: str
) -> None:
    with pytest.raises(Exception, match=said):
        policy(tmp_path, slack, cron)


async def _until(client: Client, wanted: set[str]) -> None:
    """The list of schedules follows what was done a moment later."""
    for _ in range(100):
        if await names(client) == wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(await names(client))
