"""Teams: a card that says what burns, cut where a reader loses least; what comes later is a short card of its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from activities.contracts import DigestIssue, Fact, Link
from tests.activities.places import KINDS, Place
from tests.activities.sending import a_brief, run
from tests.vendors import Teams


@pytest.fixture
def place(tmp_path: Path) -> Any:
    with Teams() as vendor:
        yield Place(
            "teams", KINDS["teams"], vendor, tmp_path, lambda opening: f"https://tocsin.example.com/i/{opening}"
        )
    assert vendor.violations == []


def texts(card: dict[str, Any]) -> str:
    return json.dumps(card["body"], ensure_ascii=False)


async def test_a_card_says_what_burns_and_how_to_acknowledge(place: Place) -> None:
    sent = place.delivery()
    await run(place.activity(), sent)
    (card,) = place.vendor.cards
    assert card["body"][0]["style"] == "attention"
    assert card["body"][0]["items"][0]["inlines"][0]["text"] == sent.brief.headline
    assert "premium" in texts(card)
    assert [(one["title"], one["url"]) for one in card["actions"]] == [
        ("Acknowledge", f"https://tocsin.example.com/i/{sent.opening}"),
        ("Runbook", "https://runbooks.example.com/support"),
    ]


async def test_who_acknowledged_is_a_short_card(place: Place) -> None:
    first = await run(place.activity(), place.delivery())
    later = place.delivery("acknowledge", key="2", first=first, note="Acknowledged by alice")
    await run(place.activity(), later)
    card = place.vendor.cards[1]
    assert (len(card["body"]), card["fallbackText"]) == (2, "Acknowledged by alice")
    assert "actions" not in card


async def test_a_card_stays_within_what_teams_takes_and_says_that_it_was_cut(place: Place) -> None:
    facts = tuple(Fact(label=f"f{number}", value="ü" * 1900) for number in range(60))
    links = tuple(Link(text=f"link {number}", url=f"https://example.com/{number}") for number in range(30))
    await run(place.activity(), place.delivery(brief=a_brief(facts=facts, links=links)))
    (card,) = place.vendor.cards
    assert "This message was cut" in texts(card)
    assert "f0" in texts(card)
    assert len(card["actions"]) == 6


async def test_a_digest_is_a_line_an_incident(place: Place) -> None:
    briefs = tuple(a_brief(headline=f"LOW model-{number}") for number in range(3))
    await run(
        place.activity().__self__.send_digest,
        DigestIssue(key="d", destination="here", briefs=briefs, since=a_brief().since),  # type: ignore[arg-type]
    )
    (card,) = place.vendor.cards
    assert [f"LOW model-{number}" in texts(card) for number in range(3)] == [True] * 3
