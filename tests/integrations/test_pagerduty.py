"""PagerDuty: requests, repeats, and the error of each fault."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.contracts import ChangeNotification
from incident.change import Change
from incident.message import Fact
from tests.integrations.notifications import make_change_notifier, make_content, make_notification, make_notifier, run
from tests.integrations.vendors_table import SECRETS
from tests.vendors import Fault, PagerDuty


def config(vendor: PagerDuty) -> str:
    return f"{{type: pagerduty, base_url: '{vendor.base_url}', routing_key: {{env: KEY}}}}"


async def test_page_has_all_fields_and_dedup_key(tmp_path: Path, pagerduty: PagerDuty) -> None:
    sent = make_notification("page", "pagerduty")
    receipt = await run(make_notifier(tmp_path, config(pagerduty)).page, sent)
    (event,) = pagerduty.events("trigger")
    assert event["dedup_key"] == receipt.id == sent.dedup_key
    assert event["routing_key"] == SECRETS["KEY"]
    assert event["payload"]["summary"] == sent.content.headline
    assert event["payload"]["severity"] == "critical"
    assert event["payload"]["custom_details"]["Segment"] == "premium"
    assert event["payload"]["class"] == "error_rate"
    assert event["links"] == [{"href": "https://runbooks.example.com/support", "text": "Runbook"}]


async def test_second_attempt_has_the_same_dedup_key(tmp_path: Path, pagerduty: PagerDuty) -> None:
    activities = make_notifier(tmp_path, config(pagerduty))
    for attempt in (1, 2):
        await run(activities.page, make_notification("page", "pagerduty"), attempt)
    assert len({event["dedup_key"] for event in pagerduty.events("trigger")}) == 1


@pytest.mark.parametrize("verb", ["acknowledge", "resolve"])
async def test_acknowledge_and_resolve_use_the_pages_dedup_key(tmp_path: Path, pagerduty: PagerDuty, verb: str) -> None:
    await run(make_notifier(tmp_path, config(pagerduty)).page, make_notification("page", "pagerduty", verb))  # type: ignore[arg-type]
    (event,) = pagerduty.events(verb)
    assert event["dedup_key"] == make_notification("page", "pagerduty").dedup_key


async def test_long_headline_is_truncated(tmp_path: Path, pagerduty: PagerDuty) -> None:
    content = make_content(headline="CRITICAL " + "x" * 3000)
    await run(make_notifier(tmp_path, config(pagerduty)).page, make_notification("page", "pagerduty", content=content))
    summary = pagerduty.events("trigger")[0]["payload"]["summary"]
    assert len(summary) == 1024
    assert summary.endswith("…")


@pytest.mark.parametrize(
    ("fault", "permanent", "retry_after"),
    [
        (Fault(status=400, body='{"status":"invalid event"}'), True, None),
        (Fault(status=401), True, None),
        (Fault(status=404), True, None),
        (Fault(status=429), False, None),
        (Fault(status=429, headers={"Retry-After": "17"}), False, 17),
        (Fault(status=500), False, None),
        (Fault(status=503, headers={"Retry-After": "3"}), False, 3),
        (Fault(reset=True), False, None),
        (Fault(status=200, body="what?"), False, None),
    ],
)
async def test_fault_maps_to_error(
    tmp_path: Path, pagerduty: PagerDuty, fault: Fault, permanent: bool, retry_after: float | None
) -> None:
    pagerduty.script(fault)
    with pytest.raises(ApplicationError) as caught:
        await run(make_notifier(tmp_path, config(pagerduty)).page, make_notification("page", "pagerduty"))
    assert caught.value.non_retryable is permanent
    assert (caught.value.next_retry_delay.total_seconds() if caught.value.next_retry_delay else None) == retry_after
    assert len(pagerduty.requests) == 1, "Temporal retries, not the client"
    assert SECRETS["KEY"] not in str(caught.value)


async def test_refused_connection_is_temporary(tmp_path: Path) -> None:
    activities = make_notifier(tmp_path, "{type: pagerduty, base_url: 'http://127.0.0.1:9', routing_key: {env: KEY}}")
    with pytest.raises(ApplicationError, match="could not be reached") as caught:
        await run(activities.page, make_notification("page", "pagerduty"))
    assert not caught.value.non_retryable


async def test_unknown_destination_becomes_permanent(tmp_path: Path, pagerduty: PagerDuty) -> None:
    from policy import Target

    missing = make_notification("page", "pagerduty", target=Target(name="gone", type="pagerduty", kind="page"))
    for attempt, permanent in ((1, False), (4, False), (5, True)):  # this worker may be about to load the policy
        with pytest.raises(ApplicationError, match="no destination named gone") as caught:
            await run(make_notifier(tmp_path, config(pagerduty)).page, missing, attempt)
        assert caught.value.non_retryable is permanent


async def test_long_detail_is_truncated_with_a_hint(tmp_path: Path, pagerduty: PagerDuty) -> None:
    content = make_content(facts=(Fact(label="Segment", value="premium"),), reason="x" * 3500)
    await run(make_notifier(tmp_path, config(pagerduty)).page, make_notification("page", "pagerduty", content=content))
    details = pagerduty.events("trigger")[0]["payload"]["custom_details"]
    assert details["Segment"] == "premium"
    assert details["Why"].endswith("…")
    assert details["Truncated"].endswith(f"{content.incident} has them in full")


async def test_long_dedup_keys_stay_different(tmp_path: Path, pagerduty: PagerDuty) -> None:
    prefix = "incident-x-0123456789ab.01234567/1-step-2-"
    for end in "ab":
        sent = make_notification("page", "pagerduty", dedup_key=prefix + "n" * 300 + end, key=end)
        await run(make_notifier(tmp_path, config(pagerduty)).page, sent)
    assert len({event["dedup_key"] for event in pagerduty.events("trigger")}) == 2


async def test_change_event_pages_nobody(tmp_path: Path, pagerduty: PagerDuty) -> None:
    change = Change(
        key="evt-1",
        kind="prompt.version.created",
        at=datetime(2026, 11, 24, 3, 0, tzinfo=UTC),
        text="Prompt version created: support v8",
        url="https://app.arize.com/prompts/1",
        facts=(Fact(label="Author", value="bob"),),
    )
    activities = make_change_notifier(tmp_path, config(pagerduty))
    assert await ActivityEnvironment().run(activities.list_change_subscribers, change) == ["here"]
    await run(activities.send_change_event, ChangeNotification(destination="here", change=change))
    (event,) = pagerduty.changes
    assert event["payload"]["summary"] == "Prompt version created: support v8"
    assert event["payload"]["custom_details"] == {"Author": "bob"}
    assert pagerduty.paged == []
    pagerduty.always = Fault(status=429, headers={"Retry-After": "3"})
    with pytest.raises(ApplicationError) as caught:
        await run(activities.send_change_event, ChangeNotification(destination="here", change=change))
    assert caught.value.next_retry_delay == timedelta(seconds=3)
