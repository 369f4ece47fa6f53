"""Every vendor: its contract, its golden requests, hostile texts, and the error of each fault."""

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from temporalio.exceptions import ApplicationError

from incident.message import Fact, Link
from incident.receipt import Receipt, Verb
from tests.hostile import CONTROL, HOSTILE, INVISIBLE
from tests.integrations.notifications import make_content, run
from tests.integrations.vendor_harness import VendorHarness
from tests.integrations.vendors_table import SECRETS, VENDOR_CASES, VERBS
from tests.vendors import Fault
from tests.vendors.specs import SPECS

GOLDEN = Path(__file__).parent / "golden"
FULL_CONTENT: dict[str, Any] = {
    "headline": "CRITICAL support-chatbot error_rate 31 % (limit 5 %) · production · eu-west-1 · premium",
    "priority": "P1",
    "component": "error rate of premium customers",
    "respond_by": datetime(2026, 11, 25, 3, 0, tzinfo=UTC),
    "facts": (
        Fact(label="Environment", value="production"),
        Fact(label="Segment", value="customer_tier: premium, region: eu-west-1"),
        Fact(label="Model version", value="41"),
        Fact(label="Prompt version", value="v7"),
        Fact(label="Since", value="2026-11-24 03:00:00 UTC"),
        Fact(label="Team", value="support-ai"),
    ),
    "links": (
        Link(text="Arize monitor", url="https://app.arize.com/monitors/1"),
        Link(text="Runbook", url="https://runbooks.example.com/support"),
    ),
    "tags": ("team:support-ai",),
}


@pytest.fixture(params=VENDOR_CASES)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VendorHarness]:
    case = VENDOR_CASES[request.param]
    with case.vendor() as vendor:
        yield VendorHarness(request.param, case, vendor, tmp_path, lambda key: f"https://tocsin.example.com/i/{key}")
    assert vendor.violations == []


async def send_all(harness: VendorHarness, attempts: tuple[int, ...] = (1,), **changes: Any) -> list[Receipt]:
    """Send every verb that an incident sends to this kind of destination, in order."""
    activity, original, receipts = harness.activity(), None, list[Receipt]()
    note = changes.pop("note", "Not acknowledged for 15m.")
    for verb in VERBS[harness.case.activity]:
        content = make_content(**{**FULL_CONTENT, **changes})
        updated = None if verb in {"notify", "remind"} else original
        notification = harness.notification(verb, key=f"key:{verb}", content=content, note=note, original=updated)
        receipts += [await run(activity, notification, attempt) for attempt in attempts]
        original = original or receipts[0]
    return receipts


async def test_requests_match_the_vendors_api_description(harness: VendorHarness) -> None:
    """Every stand-in validates each request by its vendor's API description; the fixture checks the violations."""
    receipts = await send_all(harness)
    assert all(receipt.id and receipt.destination == "here" for receipt in receipts)
    if not SPECS.exists():
        pytest.skip(
            "the vendors' API descriptions are not beside the project: only the stand-ins' own checks were made"
        )


async def test_requests_match_the_golden_file(harness: VendorHarness) -> None:
    """TOCSIN_WRITE_GOLDEN=1 writes the files; read the difference."""
    await send_all(harness)
    sent = [
        {"request": f"{one.method} {one.path}", **({"query": one.query} if one.query else {}), "body": one.body}
        for one in harness.vendor.requests
        if one.method != "GET"
    ]
    text = json.dumps(sent, indent=1, ensure_ascii=False, sort_keys=True)
    text = re.sub(r"http://127\.0\.0\.1:\d+", "https://vendor", text)
    file = GOLDEN / f"{harness.type_name}.json"
    if os.environ.get("TOCSIN_WRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text + "\n")
    assert file.read_text() == text + "\n"


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_text_stays_text(harness: VendorHarness, name: str) -> None:
    text = HOSTILE[name]
    changes: dict[str, Any] = {
        "headline": text,
        "reason": text,
        "model": text,
        "team": text,
        "component": text,
        "metric": text,
        "incident": "incident-support-chatbot-4b629acc8409",
        "facts": (Fact(label=text, value=text), Fact(label="Segment", value=text)),
        "links": (
            Link(text=text, url="https://runbooks.example.com/support"),
            Link(text="x", url="javascript:alert(1)"),
        ),
        "tags": (text,),
        "priority": text,
        "note": text,
    }
    await send_all(harness, **changes)
    for body in harness.bodies:
        raw = json.dumps(body, ensure_ascii=False)
        assert len(raw) < 300_000
        for one in strings(body):
            assert not CONTROL & set(one), f"control characters in {one[:80]!r}"
            assert not INVISIBLE & set(one), f"invisible characters in {one[:80]!r}"
            one.encode()  # raises for a lone surrogate
            assert not one.startswith("javascript:")
    CHECKS.get(harness.type_name, lambda bodies, text: None)(harness.bodies, text)


def _slack(bodies: list[Any], text: str) -> None:
    for body in bodies:
        blocks = body.get("blocks", [])
        assert not [one for one in strings(blocks) if one == "mrkdwn"], "no text is markup"
        elements = [
            e for block in blocks if block["type"] == "rich_text" for s in block["elements"] for e in s["elements"]
        ]
        assert {one["type"] for one in elements} <= {"text", "emoji", "link"}, "nobody is mentioned"
        assert not re.search(r"<[!@#h]", body.get("text", "")), "the text for notifications is escaped"
        assert all(
            one["url"].startswith(("https://runbooks", "https://tocsin")) for one in elements if one["type"] == "link"
        )


def _jira(bodies: list[Any], text: str) -> None:
    def nodes(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            yield value
            for one in value.values():
                yield from nodes(one)
        elif isinstance(value, list):
            for one in value:
                yield from nodes(one)

    kinds = {
        one["type"]
        for body in bodies
        for one in nodes(body.get("body") if isinstance(body, dict) else {})
        if "type" in one
    }
    assert kinds <= {"doc", "paragraph", "text", "subsup", "sub", "link"}


def _opsgenie(bodies: list[Any], text: str) -> None:
    for body in bodies:
        assert "<" not in body.get("description", ""), "Opsgenie renders HTML in descriptions"


CHECKS: dict[str, Any] = {"slack": _slack, "jira": _jira, "opsgenie": _opsgenie}


# ── Failures ────────────────────────────────────────────────────────────────────────────────────────────

FAULTS: list[tuple[str, Fault, bool, float | None]] = [
    ("429 with Retry-After", Fault(status=429, headers={"Retry-After": "7"}), False, 7.0),
    ("429 alone", Fault(status=429), False, None),
    ("500", Fault(status=500, body="oops"), False, None),
    ("503 with a date", Fault(status=503, headers={"Retry-After": "Mon, 01 Jan 2001 00:00:00 GMT"}), False, 0.1),
    ("502 of a proxy", Fault(status=502, headers={"Content-Type": "text/html"}, body="<html>"), False, None),
    ("401", Fault(status=401, body="no"), True, None),
    ("403", Fault(status=403, body="no"), True, None),
    ("404", Fault(status=404, body="no"), True, None),
    ("400", Fault(status=400, body="no"), True, None),
    ("a redirect", Fault(status=302, headers={"Location": "http://127.0.0.1:9/"}), True, None),
    ("reset", Fault(reset=True), False, None),
    ("reset after it was processed", Fault(reset=True, after=True), False, None),
    ("truncated response", Fault(status=200, headers={"Content-Length": "500"}, body="{", cut=True), False, None),
]


@pytest.mark.parametrize(("name", "fault", "permanent", "retry_after"), FAULTS, ids=[one[0] for one in FAULTS])
async def test_fault_maps_to_error(
    harness: VendorHarness, name: str, fault: Fault, permanent: bool, retry_after: float | None
) -> None:
    harness.vendor.always = fault
    with pytest.raises(ApplicationError) as caught:
        await run(harness.activity(), harness.notification())
    error = caught.value
    assert error.non_retryable is permanent, error.message
    assert (error.next_retry_delay.total_seconds() if error.next_retry_delay else None) == retry_after
    assert error.type == ("Permanent" if permanent else "Temporary")
    if permanent:
        assert re.search(r"check|give|invite|install", error.message), "the message names the remedy"


async def test_refused_connection_is_temporary(harness: VendorHarness) -> None:
    with pytest.raises(ApplicationError) as caught:
        await run(harness.activity("http://127.0.0.1:9"), harness.notification())
    assert not caught.value.non_retryable


async def test_secret_in_a_response_is_redacted(harness: VendorHarness, capsys: pytest.CaptureFixture[str]) -> None:
    secret = SECRETS[harness.case.secret]
    harness.vendor.always = Fault(status=400, body=f"cannot use {secret} for this")
    with pytest.raises(ApplicationError) as caught:
        await run(harness.activity(), harness.notification())
    seen = f"{caught.value!r} {caught.value.message} {caught.value.__cause__!r} {capsys.readouterr()}"
    assert secret not in seen
    assert "cannot use" in caught.value.message


async def test_second_attempt_has_no_second_effect(harness: VendorHarness) -> None:
    await send_all(harness, (1, 2))
    if harness.case.idempotent:
        assert len(harness.effects) == len(set(harness.effects))


@pytest.mark.parametrize("verb", ["note", "refresh"])
async def test_notes_page_nobody(harness: VendorHarness, verb: Any) -> None:
    if harness.case.activity != "page":
        return
    with pytest.raises(ApplicationError, match="a note would page somebody"):
        await run(harness.activity(), harness.notification(verb))
    assert harness.vendor.requests == []


def test_table_covers_every_verb() -> None:
    assert {verb for verbs in VERBS.values() for verb in verbs} == set(get_args(Verb))


async def test_webhook_has_one_dedup_key_for_all_messages(tmp_path: Path) -> None:
    """An update carries its receipt's id, and a repeated page a key of its own: programs match by the incident's."""
    case = VENDOR_CASES["webhook"]
    with case.vendor() as vendor:
        harness = VendorHarness("webhook", case, vendor, tmp_path)
        first = await run(harness.activity(), harness.notification(key="1"))
        later: list[tuple[Verb, str]] = [("acknowledge", first.id), ("resolve", first.id), ("notify", f"{first.id}/2")]
        for verb, key in later:
            await run(harness.activity(), harness.notification(verb, key=verb, dedup_key=key, original=first))
        assert len({body["data"]["dedup_key"] for body in harness.bodies}) == 1
