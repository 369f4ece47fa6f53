"""The content of a message. Its first line must suffice on a locked phone."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import Alert, normalise
from incident.events import GroupedAlert
from incident.message_builder import LOCK_SCREEN_CHARS, build_message, headline
from incident.state import IncidentState
from incident.text import counted
from policy import Decision
from tests.incident.timeline_player import CRITICAL, START, TimelinePlayer

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def state(drill: str = "", tier: Any = "critical", **alert: Any) -> IncidentState:
    values: dict[str, Any] = {
        "monitor": "error rate of premium",
        "model": "support-chatbot",
        "metric": "error_rate",
        "value": 0.31,
        "threshold": 0.05,
        "environment": "production",
        "region": "eu-west-1",
        "segment": {"customer_tier": "premium", "region": "eu-west-1"},
    }
    decision = Decision(rule="errors", reason="0.31 > 0.05", tier=tier, respond_within=3600.0)
    return IncidentState(
        incident="incident-x-0123456789ab",
        first_run_id="01234567",
        opened_at=NOW,
        tier=tier,
        decision=decision,
        alert=Alert(**{**values, **alert}, drill=drill),
        alert_count=1,
    )


def test_headline_names_problem_amount_and_place() -> None:
    assert headline(state()) == (
        "CRITICAL support-chatbot error_rate 31 % (limit 5 %) · production · eu-west-1 · premium"
    )


@pytest.mark.parametrize(
    ("alert", "begins"),
    [
        (
            {"metric": "p95_latency_ms", "value": 6200.4, "threshold": None},
            "CRITICAL support-chatbot p95_latency_ms 6,200 ms",
        ),
        (
            {"metric": "tokens", "value": 1234567.0, "threshold": None, "baseline": 900000.0},
            "CRITICAL support-chatbot tokens 1,234,567 (was 900,000)",
        ),
        ({"value": None, "threshold": None}, "CRITICAL support-chatbot error_rate · production"),
        ({"model": "", "metric": ""}, "CRITICAL error rate of premium 0.31 (limit 0.05)"),
        ({"drill": "errors"}, "DRILL CRITICAL support-chatbot error_rate 31 %"),
    ],
)
def test_headline_without_optional_fields(alert: dict[str, Any], begins: str) -> None:
    assert headline(state(**alert)).startswith(begins)


@given(
    model=st.text("abcdefghij-", min_size=1, max_size=255),
    metric=st.text("abcdefghij_", min_size=1, max_size=120),
    value=st.floats(0, 1e12),
    tier=st.sampled_from(["critical", "high", "low"]),
    drill=st.sampled_from(["", "errors"]),
)
def test_lock_screen_shows_tier_model_metric_amount(
    model: str, metric: str, value: float, tier: Any, drill: str
) -> None:
    incident = state(drill, tier, model=model, metric=metric, value=value)
    line = headline(incident)
    shown = line[:LOCK_SCREEN_CHARS]
    amount = line.split(" (limit")[0].rsplit(" ", 2 if metric.endswith(("_rate", "_ms")) else 1)[-1]
    assert tier.upper() in shown
    assert amount in shown
    assert model[:6] in shown
    assert metric[:3] in shown
    if drill:
        assert shown.startswith("DRILL ")


def test_respond_by_follows_policy() -> None:
    assert build_message(state()).respond_by == datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def test_drill_is_marked_in_every_part() -> None:
    message = build_message(state("errors"))
    assert message.drill
    assert message.tags[0] == "drill"
    assert (message.facts[0].label, message.facts[0].value) == ("Drill", "of rule errors: no real alert")


@pytest.mark.parametrize(
    ("count", "words", "text"),
    [
        (0, ("alert",), "0 alerts"),
        (1, ("alert",), "1 alert"),
        (1_200, ("alert",), "1,200 alerts"),
        (1, ("discrepancy", "discrepancies"), "1 discrepancy"),
        (2, ("discrepancy", "discrepancies"), "2 discrepancies"),
    ],
)
def test_counted_noun_agrees_with_its_number(count: int, words: tuple[str, ...], text: str) -> None:
    assert counted(count, *words) == text


def test_message_about_unreadable_delivery_says_what_to_do() -> None:
    unreadable = state(tier="high", model="", metric="", value=None, threshold=None, segment={}, quarantined="q-0123")
    assert unreadable.alert is not None
    unreadable.alert = unreadable.alert.model_copy(
        update={"monitor": "unreadable deliveries: detector{title}", "notes": "no monitor was found"}
    )
    unreadable.alert_count = 4
    content = build_message(unreadable)
    facts = {fact.label: fact.value for fact in content.facts}
    assert facts["Unreadable"] == "no monitor was found"
    assert facts["Show it"] == "tocsin intake show q-0123"
    assert facts["Deliveries"] == "4"
    assert "Alerts" not in facts
    assert content.headline.startswith("HIGH unreadable deliveries: detector{title}")
    readable = {fact.label for fact in build_message(state(notes="any")).facts}
    assert not {"Unreadable", "Show it", "Deliveries"} & readable


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3600, "2026-11-24 01:50:00 to 02:50:00 UTC"),
        (86_400, "2026-11-23 02:50:00 to 2026-11-24 02:50:00 UTC"),
        (None, None),
    ],
)
def test_message_has_the_failing_window(seconds: int | None, text: str | None) -> None:
    content = build_message(state(occurred_at=NOW, window_seconds=seconds, delay_seconds=600))
    assert {fact.label: fact.value for fact in content.facts}.get("Window") == text


def test_message_says_what_arize_did_not_describe() -> None:
    facts = {fact.label: fact.value for fact in build_message(state(undescribed="its tags: Arize answered 503")).facts}
    assert facts["Not described"] == "its tags: Arize answered 503"
    assert "Not described" not in {fact.label for fact in build_message(state()).facts}


def test_message_says_what_is_no_number_and_no_time() -> None:
    """A time without a zone is not shown as if it were UTC."""
    body = {"monitor_name": "m", "metric_value": "abc", "evaluated_at": "2026-11-24 22:00:00"}
    player = TimelinePlayer()
    player.machine.add_alerts([GroupedAlert(alert=normalise(body))], CRITICAL, START)
    facts = {fact.label: fact.value for fact in build_message(player.state).facts}
    assert facts["No number"] == "value 'abc'"
    assert facts["Since"] == f"{START:%Y-%m-%d %H:%M:%S} UTC"
