"""The watchdog's notifications: sent once, also across a restart, and withdrawn when the problem disappears."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from gateway.health_monitor import CHECKS
from integrations.base.open_destinations import OpenDestinations
from integrations.base.registry import destination_types
from policy import Target, load_policy
from tests.vendors import Fault, PagerDuty, Slack
from worker.watchdog_notifier import RUNBOOK, WatchdogNotifier, subject_of

POLICY = """
version: 1
destinations:
  pager: {{type: pagerduty, base_url: "{pagerduty}", routing_key: {{env: KEY}}}}
  chat: {{type: slack, base_url: "{slack}/api", token: {{env: SLACK}}, channel: "#ai-ops-alerts"}}
tiers:
  critical: {{steps: [{{notify: [pager]}}]}}
  high: {{steps: [{{notify: [chat]}}]}}
  low: {{digest: [chat]}}
rules: []
"""
PAGER = Target(name="pager", type="pagerduty", kind="page")
CHAT = Target(name="chat", type="slack", kind="post")
TEMPORAL = {"temporal": ["it does not answer: no connection can be made"]}


@pytest.fixture
async def destinations(tmp_path: Path, pagerduty: PagerDuty, slack: Slack) -> AsyncGenerator[OpenDestinations]:
    (tmp_path / "policy.yaml").write_text(POLICY.format(pagerduty=pagerduty.base_url, slack=slack.base_url))
    opened = OpenDestinations({"KEY": "k", "SLACK": "xoxb-test"})
    opened.update(load_policy(tmp_path / "policy.yaml", destination_types()))
    yield opened
    await opened.close()


def test_every_check_has_a_title_and_first_step() -> None:
    assert set(RUNBOOK) == {
        *CHECKS,
        "gateway",
        "spool",
        "stuck",
        "dedup_store",
        "arize",
        "policy",
        "conditions",
        "drill",
    }
    for title, meaning, _ in RUNBOOK.values():
        assert 10 < len(title) <= 40
        assert meaning.endswith(".")
    high = {name for name, one in RUNBOOK.items() if one.tier == "high"}
    assert high == {"dedup_store", "records", "schedules", "arize", "policy", "conditions"}, "what delays no page"


async def test_problem_is_notified_once_and_recovers(
    tmp_path: Path, destinations: OpenDestinations, pagerduty: PagerDuty
) -> None:
    notifier = WatchdogNotifier(tmp_path, destinations)
    assert await notifier.update(TEMPORAL, [PAGER], 0)
    assert await notifier.update(TEMPORAL, [PAGER], 0)
    (page,) = pagerduty.events("trigger")
    assert page["payload"]["summary"] == "CRITICAL Tocsin itself: Temporal is unavailable"
    assert "no connection can be made" in str(page["payload"]["custom_details"])
    assert await notifier.update({}, [PAGER], 0)
    (resolved,) = pagerduty.events("resolve")
    assert resolved["dedup_key"] == page["dedup_key"]
    assert page["dedup_key"].startswith("tocsin-watchdog-temporal-")


async def test_problem_of_a_check_that_cannot_be_made_has_not_recovered(
    tmp_path: Path, destinations: OpenDestinations, pagerduty: PagerDuty
) -> None:
    notifier = WatchdogNotifier(tmp_path, destinations)
    workers = {"workers": ["no worker polls for pages"]}
    assert await notifier.update(workers, [PAGER], 0)
    assert await notifier.update(TEMPORAL, [PAGER], 0, {"workers"})
    assert await notifier.update(workers, [PAGER], 0)
    assert len(pagerduty.events("trigger")) == 2
    (resolved,) = pagerduty.events("resolve")
    assert "temporal" in resolved["dedup_key"]


def failing(*incidents: str) -> dict[str, list[str]]:
    return {"workflow_tasks": [f"{one}: its workflow task has failed or timed out 7 times" for one in incidents]}


async def test_second_incident_that_is_stuck_pages(
    tmp_path: Path, destinations: OpenDestinations, pagerduty: PagerDuty
) -> None:
    """Who knows of the first one, and lets it be for days, does not know of the second one."""
    notifier = WatchdogNotifier(tmp_path, destinations)
    await notifier.update(failing("incident-a"), [PAGER], 0)
    await notifier.update(failing("incident-a", "incident-b"), [PAGER], 0)
    await WatchdogNotifier(tmp_path, destinations).update(failing("incident-b", "incident-a"), [PAGER], 0)
    first, second = pagerduty.events("trigger")
    assert first["dedup_key"] != second["dedup_key"]
    assert "incident-b" in str(second["payload"]["custom_details"])
    assert "incident-a" not in str(second["payload"]["custom_details"])
    await WatchdogNotifier(tmp_path, destinations).update(failing("incident-b"), [PAGER], 0)
    (resolved,) = pagerduty.events("resolve")
    assert resolved["dedup_key"] == first["dedup_key"], "what is fixed recovers, and the other does not"


async def test_many_stuck_incidents_page_ever_more_seldom(
    tmp_path: Path, destinations: OpenDestinations, pagerduty: PagerDuty
) -> None:
    """Everything fails: each incident is named in some page, and no storm of pages follows."""
    now, names = 0.0, list[str]()
    notifier = WatchdogNotifier(tmp_path, destinations, lambda: now)
    for minute in range(0, 8 * 60, 2):
        now = minute * 60.0
        if minute <= 4 * 60:
            names.append(f"incident-{minute}")
        assert await notifier.update(failing(*names), [PAGER], 120)
    pages = pagerduty.events("trigger")
    assert 8 <= len(pages) <= 12
    subjects = [subject for one in notifier.problems for subject in one.subjects]
    assert sorted(subjects) == sorted(names), "each belongs to one problem"
    assert all(one.receipts for one in notifier.problems)


async def test_reason_that_differs_in_its_details_is_one_problem(
    tmp_path: Path, destinations: OpenDestinations, pagerduty: PagerDuty
) -> None:
    now = 0.0
    notifier = WatchdogNotifier(tmp_path, destinations, lambda: now)
    for attempt in range(40):
        now = attempt * 15.0
        body = f'{{"message":"Service Unavailable","requestId":"{attempt // 2:08d}-{"%04x" % (attempt // 2)}"}}'
        text = f"incident-chatbot-1: post has failed {9 + attempt} times: The receiver answered 503: {body}"[:100]
        await notifier.update({"activities": [text]}, [PAGER], 120)
    assert len(pagerduty.events("trigger")) == 1
    assert not pagerduty.events("resolve")


@pytest.mark.parametrize(
    ("check", "one", "other", "same"),
    [
        ("workflow_tasks", "incident-a: failed 4 times", "incident-b: failed 4 times", False),
        ("workflow_tasks", "incident-a: failed 4 times", "incident-a: failed 5 times", True),
        ("activities", "incident-a: page has failed 9 times: HTTP 503", "b: page has failed 12 times: HTTP 503", True),
        ("activities", "incident-a: page has failed 9 times: HTTP 503", "b: post has failed 9 times: no auth", False),
        (
            "activities",
            "a: page has failed 9 times: it answered 503: x",
            "a: page has failed 9 times: it answered 401",
            False,
        ),
        (
            "records",
            "a: write_audit_events has failed 9 times: locked",
            "b: send_digest has failed 9 times: locked",
            False,
        ),
        ("schedules", "tocsin-digest has no next run", "tocsin-reconcile has no next run", False),
        ("stuck", "incident-a: HTTP 500 (since 10:00:00 UTC)", "incident-b: HTTP 500 (since 10:00:00 UTC)", False),
        ("stuck", "3 items are spooled, the oldest for 130 s", "4 items are spooled, the oldest for 150 s", True),
        ("gateway", "the gateway does not answer: ReadTimeout", "the gateway accepts no alerts: spool full", True),
    ],
)
def test_subject_distinguishes_problems(check: str, one: str, other: str, same: bool) -> None:
    assert (subject_of(check, one) == subject_of(check, other)) is same


async def test_problem_that_disappears_early_notifies_nobody(
    tmp_path: Path, destinations: OpenDestinations, pagerduty: PagerDuty
) -> None:
    notifier = WatchdogNotifier(tmp_path, destinations)
    assert await notifier.update(TEMPORAL, [PAGER], 3600)
    assert await notifier.update({}, [PAGER], 3600)
    assert pagerduty.requests == []


async def test_restarted_watchdog_notifies_nobody_twice(
    tmp_path: Path, destinations: OpenDestinations, pagerduty: PagerDuty
) -> None:
    await WatchdogNotifier(tmp_path, destinations).update(TEMPORAL, [PAGER], 0)
    restarted = WatchdogNotifier(tmp_path, destinations)
    assert await restarted.update(TEMPORAL, [PAGER], 0)
    await restarted.update({}, [PAGER], 0)
    assert (len(pagerduty.events("trigger")), len(pagerduty.events("resolve"))) == (1, 1)


async def test_failed_destination_is_retried_alone(
    tmp_path: Path, destinations: OpenDestinations, pagerduty: PagerDuty, slack: Slack
) -> None:
    notifier = WatchdogNotifier(tmp_path, destinations)
    pagerduty.always = Fault(status=503)
    assert not await notifier.update(TEMPORAL, [PAGER], 0), "nobody knows: the heartbeat must stop"
    assert await notifier.update(TEMPORAL, [PAGER, CHAT], 0), "the chat accepted it"
    pagerduty.always = None
    await notifier.update(TEMPORAL, [PAGER, CHAT], 0)
    await notifier.update(TEMPORAL, [PAGER, CHAT], 0)
    assert len(pagerduty.events("trigger")) == 3, "two were refused, one was accepted"
    assert len(slack.messages) == 1


async def test_recovery_names_itself(tmp_path: Path, destinations: OpenDestinations, slack: Slack) -> None:
    notifier = WatchdogNotifier(tmp_path, destinations)
    await notifier.update(TEMPORAL, [CHAT], 0)
    await notifier.update({}, [CHAT], 0)
    assert any("RECOVERED Tocsin itself: Temporal is unavailable" in str(one.body) for one in slack.requests)


def test_last_drill_is_remembered(tmp_path: Path) -> None:
    WatchdogNotifier(tmp_path, {}).last_drill_at = 17.0
    assert WatchdogNotifier(tmp_path, {}).last_drill_at == 17.0
