"""PagerDuty: what is sent, once or again, and how each failure is sorted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.contracts import Change, ChangeDelivery, Fact
from tests.activities.sending import SECRETS, a_brief, a_delivery, deliverer, run
from tests.vendors import Fault, PagerDuty


def config(vendor: PagerDuty) -> str:
    return f"{{type: pagerduty, base_url: '{vendor.base_url}', routing_key: {{env: KEY}}}}"


async def test_a_page_says_what_burns_and_carries_the_incidents_key(tmp_path: Path, pagerduty: PagerDuty) -> None:
    sent = a_delivery("page", "pagerduty")
    receipt = await run(deliverer(tmp_path, config(pagerduty)).page, sent)
    (event,) = pagerduty.events("trigger")
    assert event["dedup_key"] == receipt.id == sent.thread
    assert event["routing_key"] == SECRETS["KEY"]
    assert event["payload"]["summary"] == sent.brief.headline
    assert event["payload"]["severity"] == "critical"
    assert event["payload"]["custom_details"]["Segment"] == "premium"
    assert event["payload"]["class"] == "error_rate"
    assert event["links"] == [{"href": "https://runbooks.example.com/support", "text": "Runbook"}]


async def test_a_second_attempt_carries_the_same_key(tmp_path: Path, pagerduty: PagerDuty) -> None:
    activities = deliverer(tmp_path, config(pagerduty))
    for attempt in (1, 2):
        await run(activities.page, a_delivery("page", "pagerduty"), attempt)
    assert len({event["dedup_key"] for event in pagerduty.events("trigger")}) == 1


@pytest.mark.parametrize("verb", ["acknowledge", "resolve"])
async def test_acknowledge_and_resolve_use_the_key_of_the_page(tmp_path: Path, pagerduty: PagerDuty, verb: str) -> None:
    await run(deliverer(tmp_path, config(pagerduty)).page, a_delivery("page", "pagerduty", verb))  # type: ignore[arg-type]
    (event,) = pagerduty.events(verb)
    assert event["dedup_key"] == a_delivery("page", "pagerduty").thread


async def test_a_long_headline_is_cut_to_what_pagerduty_takes(tmp_path: Path, pagerduty: PagerDuty) -> None:
    brief = a_brief(headline="CRITICAL " + "x" * 3000)
    await run(deliverer(tmp_path, config(pagerduty)).page, a_delivery("page", "pagerduty", brief=brief))
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
async def test_failures_are_sorted(
    tmp_path: Path, pagerduty: PagerDuty, fault: Fault, permanent: bool, retry_after: float | None
) -> None:
    pagerduty.script(fault)
    with pytest.raises(ApplicationError) as caught:
        await run(deliverer(tmp_path, config(pagerduty)).page, a_delivery("page", "pagerduty"))
    assert caught.value.non_retryable is permanent
    assert (caught.value.next_retry_delay.total_seconds() if caught.value.next_retry_delay else None) == retry_after
    assert len(pagerduty.requests) == 1, "the client must leave retries to Temporal"
    assert SECRETS["KEY"] not in str(caught.value)


async def test_a_vendor_that_is_not_there_is_a_passing_failure(tmp_path: Path) -> None:
    activities = deliverer(tmp_path, "{type: pagerduty, base_url: 'http://127.0.0.1:9', routing_key: {env: KEY}}")
    with pytest.raises(ApplicationError, match="could not be reached") as caught:
        await run(activities.page, a_delivery("page", "pagerduty"))
    assert not caught.value.non_retryable


async def test_a_destination_that_the_policy_lost_is_a_lasting_failure(tmp_path: Path, pagerduty: PagerDuty) -> None:
    from policy import Target

    lost = a_delivery("page", "pagerduty", target=Target(name="gone", type="pagerduty", kind="page"))
    for attempt, lasts in ((1, False), (4, False), (5, True)):  # another worker may have the new policy a moment sooner
        with pytest.raises(ApplicationError, match="no destination named gone") as caught:
            await run(deliverer(tmp_path, config(pagerduty)).page, lost, attempt)
        assert caught.value.non_retryable is lasts


async def test_a_detail_that_is_too_long_is_cut_and_the_event_says_so(tmp_path: Path, pagerduty: PagerDuty) -> None:
    brief = a_brief(facts=(Fact(label="Segment", value="premium"),), why="x" * 3500)
    await run(deliverer(tmp_path, config(pagerduty)).page, a_delivery("page", "pagerduty", brief=brief))
    details = pagerduty.events("trigger")[0]["payload"]["custom_details"]
    assert details["Segment"] == "premium"
    assert details["Why"].endswith("…")
    assert details["Cut"].endswith(f"{brief.incident} has them whole")


async def test_a_key_that_is_too_long_stays_a_key_of_its_own(tmp_path: Path, pagerduty: PagerDuty) -> None:
    thread = "incident-x-0123456789ab.01234567/1-step-2-"
    for end in "ab":
        sent = a_delivery("page", "pagerduty", thread=thread + "n" * 300 + end, key=end)
        await run(deliverer(tmp_path, config(pagerduty)).page, sent)
    assert len({event["dedup_key"] for event in pagerduty.events("trigger")}) == 2


async def test_a_change_is_listed_and_pages_nobody(tmp_path: Path, pagerduty: PagerDuty) -> None:
    change = Change(
        key="evt-1",
        kind="prompt.version.created",
        at=datetime(2026, 11, 24, 3, 0, tzinfo=UTC),
        text="Prompt version created: support v8",
        url="https://app.arize.com/prompts/1",
        facts=(Fact(label="Author", value="bob"),),
    )
    activities = deliverer(tmp_path, config(pagerduty))
    assert await ActivityEnvironment().run(activities.hearers, change) == ["here"]
    await run(activities.tell_change, ChangeDelivery(target="here", change=change))
    (told,) = pagerduty.changes
    assert told["payload"]["summary"] == "Prompt version created: support v8"
    assert told["payload"]["custom_details"] == {"Author": "bob"}
    assert pagerduty.paged == []
    pagerduty.always = Fault(status=429, headers={"Retry-After": "3"})
    with pytest.raises(ApplicationError) as caught:
        await run(activities.tell_change, ChangeDelivery(target="here", change=change))
    assert caught.value.next_retry_delay == timedelta(seconds=3)
