"""Opsgenie, Splunk On-Call and signed webhooks: what is sent, once or again, and how each failure is sorted."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from activities.contracts import DigestIssue, Fact
from tests.activities.places import KINDS, Place
from tests.activities.sending import SECRETS, a_brief, deliverer, run
from tests.vendors import Fault

HERE = ("opsgenie", "splunk_oncall", "webhook")


@pytest.fixture(params=HERE)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind = KINDS[request.param]
    with kind.vendor() as vendor:
        yield Place(request.param, kind, vendor, tmp_path)
    assert vendor.violations == []


async def test_every_verb_is_taken_and_a_second_attempt_is_the_same_message(place: Place) -> None:
    activity = place.activity()
    for verb in ("notify", "acknowledge", "resolve", "remind"):
        receipts = [await run(activity, place.delivery(verb), attempt) for attempt in (1, 2)]  # type: ignore[arg-type]
        assert receipts[0].id == receipts[1].id
    assert len(place.vendor.requests) == 8


@pytest.mark.parametrize("place", ["opsgenie"], indirect=True)
async def test_an_alert_in_opsgenie_says_what_burns(place: Place) -> None:
    sent = place.delivery(brief=a_brief(tags=("team:x", "y" * 80), priority="P2"))
    receipt = await run(place.activity(), sent)
    (body,) = place.bodies
    assert receipt.id == body["alias"] == sent.thread
    assert body["message"] == sent.brief.headline
    assert (body["priority"], body["entity"], body["responders"]) == (
        "P2",
        "support-chatbot",
        [{"type": "team", "name": "sre"}],
    )
    assert body["tags"] == ["team:x", "y" * 49 + "…"]
    assert body["details"]["Segment"] == "premium"
    assert "Runbook: https://runbooks.example.com/support" in body["description"]
    await run(place.activity(), place.delivery("acknowledge", note="Acknowledged by alice"))
    await run(place.activity(), place.delivery("resolve"))
    assert place.vendor.alerts[sent.thread] == "closed"
    await run(place.activity(), place.delivery("remind"))
    assert place.vendor.notified == [sent.thread, place.delivery("remind").key], "a reminder is heard"


@pytest.mark.parametrize("place", ["opsgenie"], indirect=True)
async def test_what_is_too_long_for_opsgenie_is_cut_where_a_reader_loses_least(place: Place) -> None:
    brief = a_brief(
        headline="x" * 500, facts=tuple(Fact(label=f"f{n}", value="y" * 3000) for n in range(9)), tags=("t",) * 30
    )
    await run(place.activity(), place.delivery(brief=brief))
    (body,) = place.bodies
    assert body["message"].endswith("…")
    assert sum(len(key) + len(value) for key, value in body["details"].items()) <= 8000


@pytest.mark.parametrize("place", ["splunk_oncall"], indirect=True)
async def test_a_message_in_splunk_on_call_says_what_burns(place: Place) -> None:
    sent = place.delivery()
    for verb in ("notify", "acknowledge", "resolve", "remind"):
        await run(place.activity(), place.delivery(verb, note="because"))  # type: ignore[arg-type]
    first = place.bodies[0]
    assert [body["message_type"] for body in place.bodies] == ["CRITICAL", "ACKNOWLEDGEMENT", "RECOVERY", "CRITICAL"]
    assert first["entity_display_name"] == sent.brief.headline
    assert first["state_message"].startswith("because\nSegment: premium")
    assert first["vo_annotate.u.Runbook"] == "https://runbooks.example.com/support"
    assert [body["entity_id"] for body in place.bodies[:3]] == [sent.thread] * 3
    assert place.bodies[3]["entity_id"] == sent.key, "a reminder is heard"


@pytest.mark.parametrize("place", ["splunk_oncall"], indirect=True)
async def test_what_splunk_on_call_did_not_take_is_tried_again_and_the_key_is_not_told(place: Place) -> None:
    place.vendor.script(Fault(status=200, body='{"result":"failure","messages":"splunk-key is busy"}'))
    with pytest.raises(ApplicationError, match="did not take it") as caught:
        await run(place.activity(), place.delivery())
    assert not caught.value.non_retryable
    assert "splunk-key" not in str(caught.value)


@pytest.mark.parametrize("place", ["webhook"], indirect=True)
async def test_a_webhook_is_signed_and_named_by_its_delivery(place: Place) -> None:
    await run(place.activity(), place.delivery(note="why now"))
    (request,) = place.vendor.requests
    assert request.path == "/in"
    assert request.headers["Authorization"] == SECRETS["AUTH"]
    assert request.body["type"] == "incident.notify"
    assert request.body["data"]["headline"] == a_brief().headline
    assert request.body["data"]["note"] == "why now"
    issue = DigestIssue(
        key="digest:1", destination="here", briefs=(a_brief(),), since=datetime(2026, 11, 24, tzinfo=UTC)
    )
    await run(place.activity().__self__.send_digest, issue)
    assert place.bodies[1]["type"] == "digest"
    assert len(place.bodies[1]["data"]["incidents"]) == 1


@pytest.mark.parametrize(
    ("fault", "permanent", "retry_after"),
    [
        (Fault(status=400, body="no"), True, None),
        (Fault(status=401), True, None),
        (Fault(status=302, headers={"Location": "http://127.0.0.1:9/"}), True, None),
        (Fault(status=404), True, None),
        (Fault(status=422), True, None),
        (Fault(status=429, headers={"Retry-After": "17"}), False, 17),
        (Fault(status=500), False, None),
        (Fault(status=503, headers={"Retry-After": "3"}), False, 3),
        (Fault(reset=True), False, None),
    ],
)
async def test_failures_are_sorted_and_no_secret_is_told(
    place: Place, fault: Fault, permanent: bool, retry_after: float | None
) -> None:
    secret = SECRETS[place.kind.secret]
    place.vendor.script(Fault(fault.status, fault.headers, f"{fault.body} {secret}", reset=fault.reset))
    with pytest.raises(ApplicationError) as caught:
        await run(place.activity(), place.delivery())
    assert caught.value.non_retryable is permanent
    assert (caught.value.next_retry_delay.total_seconds() if caught.value.next_retry_delay else None) == retry_after
    assert len(place.vendor.requests) == 1, "retries are Temporal's"
    assert secret not in str(caught.value)


async def test_a_vendor_that_is_not_there_is_a_passing_failure(place: Place) -> None:
    with pytest.raises(ApplicationError, match="could not be reached") as caught:
        await run(place.activity("http://127.0.0.1:9"), place.delivery())
    assert not caught.value.non_retryable


@pytest.mark.parametrize("written", ["[{}]", "[{team: a, user: b}]", "[{group: a}]", "[a]"])
def test_a_responder_is_one_of_four(tmp_path: Path, written: str) -> None:
    from policy import PolicyError

    with pytest.raises(PolicyError):
        deliverer(tmp_path, f"{{type: opsgenie, api_key: {{env: OPSGENIE}}, responders: {written}}}")
