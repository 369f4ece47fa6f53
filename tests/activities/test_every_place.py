"""What holds for every destination: its vendor's contract, its look, and that no text of an alert misbehaves in it."""

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from temporalio.exceptions import ApplicationError

from activities.contracts import Fact, Finding, Link, Receipt, Verb
from tests.activities.places import KINDS, VERBS, Place
from tests.activities.sending import SECRETS, a_brief, run
from tests.hostile import CONTROL, HOSTILE, INVISIBLE
from tests.vendors import Fault
from tests.vendors.specs import SPECS

GOLDEN = Path(__file__).parent / "golden"
WHOLE: dict[str, Any] = {
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
    "findings": (
        Finding(source="Deploys", text="v41 went out 12 minutes before", url="https://git.example.com/r/41"),
        Finding(
            source="Graph",
            text="error_rate, 3 h",
            url="https://grafana.example.com/d/1",
            image="https://grafana.example.com/d/1.png",
        ),
    ),
    "tags": ("team:support-ai",),
}


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind = KINDS[request.param]
    with kind.vendor() as vendor:
        yield Place(request.param, kind, vendor, tmp_path, lambda opening: f"https://tocsin.example.com/i/{opening}")
    assert vendor.violations == []


async def life(place: Place, attempts: tuple[int, ...] = (1,), **changes: Any) -> list[Receipt]:
    """All that an incident tells a destination of that kind, in order."""
    activity, first, receipts = place.activity(), None, list[Receipt]()
    note = changes.pop("note", "Nobody has acknowledged for 15m.")
    for verb in VERBS[place.kind.activity]:
        brief = a_brief(**{**WHOLE, **changes})
        told = None if verb in {"notify", "remind"} else first
        delivery = place.delivery(verb, key=f"key:{verb}", brief=brief, note=note, first=told)
        receipts += [await run(activity, delivery, attempt) for attempt in attempts]
        first = first or receipts[0]
    return receipts


async def test_a_whole_life_is_what_the_vendor_takes(place: Place) -> None:
    """Every stand-in checks each request against its vendor's own description; the fixture asks what it found."""
    receipts = await life(place)
    assert all(receipt.id and receipt.destination == "here" for receipt in receipts)
    if not SPECS.exists():
        pytest.skip("the vendors' descriptions do not lie beside the project: only the stand-ins' own checks were made")


async def test_it_looks_as_it_did(place: Place) -> None:
    """Golden: what is sent, whole. Look at what changed, then TOCSIN_WRITE_GOLDEN=1."""
    await life(place)
    sent = [
        {"request": f"{one.method} {one.path}", **({"query": one.query} if one.query else {}), "body": one.body}
        for one in place.vendor.requests
        if one.method != "GET"
    ]
    text = json.dumps(sent, indent=1, ensure_ascii=False, sort_keys=True)
    text = re.sub(r"http://127\.0\.0\.1:\d+", "https://vendor", text)
    file = GOLDEN / f"{place.type_name}.json"
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
async def test_no_text_misbehaves(place: Place, name: str) -> None:
    text = HOSTILE[name]
    changes: dict[str, Any] = {
        "headline": text,
        "why": text,
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
        "findings": (Finding(source=text, text=text, url=text, image=text),),
        "tags": (text,),
        "priority": text,
        "note": text,
    }
    await life(place, **changes)
    for body in place.bodies:
        raw = json.dumps(body, ensure_ascii=False)
        assert len(raw) < 300_000
        for one in strings(body):
            assert not CONTROL & set(one), f"control characters in {one[:80]!r}"
            assert not INVISIBLE & set(one), f"text is turned around in {one[:80]!r}"
            one.encode()  # a lone surrogate would stop here
            assert not one.startswith("javascript:")
    CHECKS.get(place.type_name, lambda bodies, text: None)(place.bodies, text)


def _slack(bodies: list[Any], text: str) -> None:
    for body in bodies:
        blocks = body.get("blocks", [])
        assert not [one for one in strings(blocks) if one == "mrkdwn"], "nothing is read as markup"
        elements = [
            e for block in blocks if block["type"] == "rich_text" for s in block["elements"] for e in s["elements"]
        ]
        assert {one["type"] for one in elements} <= {"text", "emoji", "link"}, "nobody is called"
        assert not re.search(r"<[!@#h]", body.get("text", "")), "the text beside the blocks is escaped"
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
        assert "<" not in body.get("description", ""), "Opsgenie shows HTML in descriptions"


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
    ("reset after it was taken", Fault(reset=True, after=True), False, None),
    ("cut off", Fault(status=200, headers={"Content-Length": "500"}, body="{", cut=True), False, None),
]


@pytest.mark.parametrize(("name", "fault", "permanent", "after"), FAULTS, ids=[one[0] for one in FAULTS])
async def test_each_failure_is_sorted(
    place: Place, name: str, fault: Fault, permanent: bool, after: float | None
) -> None:
    place.vendor.always = fault
    with pytest.raises(ApplicationError) as caught:
        await run(place.activity(), place.delivery())
    error = caught.value
    assert error.non_retryable is permanent, error.message
    assert (error.next_retry_delay.total_seconds() if error.next_retry_delay else None) == after
    assert error.type == ("Permanent" if permanent else "Temporary")
    if permanent:
        assert re.search(r"check|give|invite|install", error.message), "the remedy stands in it"


async def test_nobody_there_is_temporary(place: Place) -> None:
    with pytest.raises(ApplicationError) as caught:
        await run(place.activity("http://127.0.0.1:9"), place.delivery())
    assert not caught.value.non_retryable


async def test_a_vendor_that_repeats_the_secret_teaches_it_to_nobody(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = SECRETS[place.kind.secret]
    place.vendor.always = Fault(status=400, body=f"cannot use {secret} for this")
    with pytest.raises(ApplicationError) as caught:
        await run(place.activity(), place.delivery())
    seen = f"{caught.value!r} {caught.value.message} {caught.value.__cause__!r} {capsys.readouterr()}"
    assert secret not in seen
    assert "cannot use" in caught.value.message


async def test_a_second_attempt_is_no_second_message(place: Place) -> None:
    await life(place, (1, 2))
    if place.kind.folds:
        assert len(place.effects) == len(set(place.effects))


@pytest.mark.parametrize("verb", ["note", "change"])
async def test_no_note_pages_anybody(place: Place, verb: Any) -> None:
    if place.kind.activity != "page":
        return
    with pytest.raises(ApplicationError, match="it would page somebody"):
        await run(place.activity(), place.delivery(verb))
    assert place.vendor.requests == []


def test_every_verb_is_tried_somewhere() -> None:
    assert {verb for verbs in VERBS.values() for verb in verbs} == set(get_args(Verb))
