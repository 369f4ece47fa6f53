"""Opsgenie, Splunk On-Call and signed webhooks: requests, repeats, and the error of each fault."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from incident.digest import Digest
from incident.message import Fact
from tests.integrations.notifications import make_content, make_notifier, run
from tests.integrations.vendor_harness import VendorHarness
from tests.integrations.vendors_table import SECRETS, VENDOR_CASES
from tests.vendors import Fault

HTTP_VENDORS = ("opsgenie", "splunk_oncall", "webhook")


@pytest.fixture(params=HTTP_VENDORS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VendorHarness]:
    case = VENDOR_CASES[request.param]
    with case.vendor() as vendor:
        yield VendorHarness(request.param, case, vendor, tmp_path)
    assert vendor.violations == []


async def test_second_attempt_has_the_same_id(harness: VendorHarness) -> None:
    activity = harness.activity()
    for verb in ("notify", "acknowledge", "resolve", "remind"):
        receipts = [await run(activity, harness.notification(verb), attempt) for attempt in (1, 2)]  # type: ignore[arg-type]
        assert receipts[0].id == receipts[1].id
    assert len(harness.vendor.requests) == 8


@pytest.mark.parametrize("harness", ["opsgenie"], indirect=True)
async def test_opsgenie_alert_has_all_fields(harness: VendorHarness) -> None:
    sent = harness.notification(content=make_content(tags=("team:x", "y" * 80), priority="P2"))
    receipt = await run(harness.activity(), sent)
    (body,) = harness.bodies
    assert receipt.id == body["alias"] == sent.dedup_key
    assert body["message"] == sent.content.headline
    assert (body["priority"], body["entity"], body["responders"]) == (
        "P2",
        "support-chatbot",
        [{"type": "team", "name": "sre"}],
    )
    assert body["tags"] == ["team:x", "y" * 49 + "…"]
    assert body["details"]["Segment"] == "premium"
    assert "Runbook: https://runbooks.example.com/support" in body["description"]
    await run(harness.activity(), harness.notification("acknowledge", note="Acknowledged by alice"))
    await run(harness.activity(), harness.notification("resolve"))
    assert harness.vendor.alerts[sent.dedup_key] == "closed"
    await run(harness.activity(), harness.notification("remind"))
    assert harness.vendor.notified == [sent.dedup_key, harness.notification("remind").key], "a reminder pages again"


@pytest.mark.parametrize("harness", ["opsgenie"], indirect=True)
async def test_opsgenie_alert_is_truncated_to_limits(harness: VendorHarness) -> None:
    content = make_content(
        headline="x" * 500, facts=tuple(Fact(label=f"f{n}", value="y" * 3000) for n in range(9)), tags=("t",) * 30
    )
    await run(harness.activity(), harness.notification(content=content))
    (body,) = harness.bodies
    assert body["message"].endswith("…")
    assert sum(len(key) + len(value) for key, value in body["details"].items()) <= 8000


@pytest.mark.parametrize("harness", ["splunk_oncall"], indirect=True)
async def test_splunk_oncall_message_has_all_fields(harness: VendorHarness) -> None:
    sent = harness.notification()
    for verb in ("notify", "acknowledge", "resolve", "remind"):
        await run(harness.activity(), harness.notification(verb, note="because"))  # type: ignore[arg-type]
    first = harness.bodies[0]
    assert [body["message_type"] for body in harness.bodies] == ["CRITICAL", "ACKNOWLEDGEMENT", "RECOVERY", "CRITICAL"]
    assert first["entity_display_name"] == sent.content.headline
    assert first["state_message"].startswith("because\nSegment: premium")
    assert first["vo_annotate.u.Runbook"] == "https://runbooks.example.com/support"
    assert [body["entity_id"] for body in harness.bodies[:3]] == [sent.dedup_key] * 3
    assert harness.bodies[3]["entity_id"] == sent.key, "a reminder pages again"


@pytest.mark.parametrize("harness", ["splunk_oncall"], indirect=True)
async def test_splunk_oncall_failure_is_temporary_and_redacted(harness: VendorHarness) -> None:
    harness.vendor.script(Fault(status=200, body='{"result":"failure","messages":"splunk-key is busy"}'))
    with pytest.raises(ApplicationError, match="did not accept it") as caught:
        await run(harness.activity(), harness.notification())
    assert not caught.value.non_retryable
    assert "splunk-key" not in str(caught.value)


@pytest.mark.parametrize("harness", ["webhook"], indirect=True)
async def test_webhook_has_headers_and_content(harness: VendorHarness) -> None:
    await run(harness.activity(), harness.notification(note="Repeated."))
    (request,) = harness.vendor.requests
    assert request.path == "/in"
    assert request.headers["Authorization"] == SECRETS["AUTH"]
    assert request.body["type"] == "incident.notify"
    assert request.body["data"]["headline"] == make_content().headline
    assert request.body["data"]["note"] == "Repeated."
    digest = Digest(
        key="digest:1", destination="here", contents=(make_content(),), since=datetime(2026, 11, 24, tzinfo=UTC)
    )
    await harness.send_digest(digest)
    assert harness.bodies[1]["type"] == "digest"
    assert len(harness.bodies[1]["data"]["incidents"]) == 1


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
async def test_fault_maps_to_redacted_error(
    harness: VendorHarness, fault: Fault, permanent: bool, retry_after: float | None
) -> None:
    secret = SECRETS[harness.case.secret]
    harness.vendor.script(Fault(fault.status, fault.headers, f"{fault.body} {secret}", reset=fault.reset))
    with pytest.raises(ApplicationError) as caught:
        await run(harness.activity(), harness.notification())
    assert caught.value.non_retryable is permanent
    assert (caught.value.next_retry_delay.total_seconds() if caught.value.next_retry_delay else None) == retry_after
    assert len(harness.vendor.requests) == 1, "Temporal retries"
    assert secret not in str(caught.value)


async def test_refused_connection_is_temporary(harness: VendorHarness) -> None:
    with pytest.raises(ApplicationError, match="could not be reached") as caught:
        await run(harness.activity("http://127.0.0.1:9"), harness.notification())
    assert not caught.value.non_retryable


@pytest.mark.parametrize("harness", ["webhook"], indirect=True)
async def test_unreachable_webhook_is_named_by_its_host(harness: VendorHarness) -> None:
    with pytest.raises(ApplicationError, match=r"127\.0\.0\.1 could not be reached"):
        await run(harness.activity("http://127.0.0.1:9"), harness.notification())


@pytest.mark.parametrize("written", ["[{}]", "[{team: a, user: b}]", "[{group: a}]", "[a]"])
def test_responder_must_have_one_key(tmp_path: Path, written: str) -> None:
    from policy import PolicyError

    with pytest.raises(PolicyError):
        make_notifier(tmp_path, f"{{type: opsgenie, api_key: {{env: OPSGENIE}}, responders: {written}}}")
