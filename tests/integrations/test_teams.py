"""Teams: a card for an incident, truncated from its end, and a short card for each update."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from incident.digest import Digest
from incident.message import Fact, Link
from tests.integrations.notifications import make_content, run
from tests.integrations.vendor_harness import VendorHarness
from tests.integrations.vendors_table import VENDOR_CASES
from tests.vendors import Teams


@pytest.fixture
def harness(tmp_path: Path) -> Any:
    with Teams() as vendor:
        yield VendorHarness(
            "teams", VENDOR_CASES["teams"], vendor, tmp_path, lambda key: f"https://tocsin.example.com/i/{key}"
        )
    assert vendor.violations == []


def texts(card: dict[str, Any]) -> str:
    return json.dumps(card["body"], ensure_ascii=False)


async def test_card_has_headline_facts_and_acknowledge_link(harness: VendorHarness) -> None:
    sent = harness.notification()
    await run(harness.activity(), sent)
    (card,) = harness.vendor.cards
    assert card["body"][0]["style"] == "attention"
    assert card["body"][0]["items"][0]["inlines"][0]["text"] == sent.content.headline
    assert "premium" in texts(card)
    assert [(one["title"], one["url"]) for one in card["actions"]] == [
        ("Acknowledge", f"https://tocsin.example.com/i/{sent.incident_key}"),
        ("Runbook", "https://runbooks.example.com/support"),
    ]


async def test_acknowledgement_is_a_short_card(harness: VendorHarness) -> None:
    first = await run(harness.activity(), harness.notification())
    later = harness.notification("acknowledge", key="2", original=first, note="Acknowledged by alice")
    await run(harness.activity(), later)
    card = harness.vendor.cards[1]
    assert (len(card["body"]), card["fallbackText"]) == (2, "Acknowledged by alice")
    assert "actions" not in card


async def test_large_card_is_truncated_with_a_hint(harness: VendorHarness) -> None:
    facts = tuple(Fact(label=f"f{number}", value="ü" * 1900) for number in range(60))
    links = tuple(Link(text=f"link {number}", url=f"https://example.com/{number}") for number in range(30))
    await run(harness.activity(), harness.notification(content=make_content(facts=facts, links=links)))
    (card,) = harness.vendor.cards
    assert "This message was truncated" in texts(card)
    assert "f0" in texts(card)
    assert len(card["actions"]) == 6


async def test_digest_has_a_line_for_each_incident(harness: VendorHarness) -> None:
    contents = tuple(make_content(headline=f"LOW model-{number}") for number in range(3))
    await harness.send_digest(
        Digest(key="d", destination="here", contents=contents, since=datetime(2026, 11, 24, tzinfo=UTC))
    )
    (card,) = harness.vendor.cards
    assert [f"LOW model-{number}" in texts(card) for number in range(3)] == [True] * 3
