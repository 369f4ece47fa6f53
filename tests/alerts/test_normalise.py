"""From what Arize sends to an Alert: every shape, every way to write a value."""

from datetime import UTC, datetime
from typing import Any

import pytest

from alerts import AlertError, fingerprint, incident_id, normalise, read_alert
from tests.alerts.bodies import FIRST, FLAT, MONITOR, SECOND, body, flat, without


def test_flat_body() -> None:
    alert = normalise(FLAT)
    assert (alert.monitor, alert.monitor_id) == ("support-chatbot error rate", "TW9uaXRvcjoxMjM=")
    assert (alert.metric, alert.value, alert.threshold, alert.baseline) == ("error_rate", 0.31, 0.05, 0.02)
    assert alert.change == pytest.approx(14.5)
    assert (alert.model, alert.model_version, alert.environment, alert.region) == (
        "support-chatbot",
        "2026-11-20",
        "production",
        "eu-west-1",
    )
    assert (alert.severity, alert.status) == ("critical", "triggered")
    assert (alert.segment, alert.tags) == ({"customer_tier": "premium"}, {"deployment": "blue"})
    assert alert.occurred_at == datetime(2026, 11, 23, 9, 15, tzinfo=UTC)
    assert alert.url.endswith("/monitors/123")


def test_monitor_object() -> None:
    alert = normalise({"monitor": MONITOR, "model": "contract-retriever"})
    assert (alert.monitor, alert.monitor_id, alert.kind) == (MONITOR["name"], MONITOR["id"], "drift")
    assert (alert.metric, alert.value, alert.threshold, alert.operator) == (
        "embedding_drift",
        0.22,
        0.15,
        "greater_than",
    )
    assert (alert.model, alert.environment) == ("contract-retriever", "production")
    assert (alert.url, alert.window_seconds) == (MONITOR["uri"], 86400)


def test_envelope_id_is_not_the_monitors_id() -> None:
    sent = {
        "event": "monitor.status.changed",
        "event_id": "evt_9",
        "id": "evt_9",
        "type": "webhook",
        "monitor": MONITOR,
    }
    alert = read_alert(body(sent))
    assert (alert.event_id, alert.monitor_id, alert.kind) == ("evt_9", MONITOR["id"], "drift")


def test_headers_take_precedence_over_body() -> None:
    alert = read_alert(body(without("status", "event")), "evt_header", "monitor.cleared")
    assert (alert.event_id, alert.status) == ("evt_header", "cleared")


@pytest.mark.parametrize("nest", ["monitor", "alert", "data", "payload"])
def test_nested_body_is_the_same_alert(nest: str) -> None:
    assert normalise({nest: FLAT}).model_dump(exclude={"raw"}) == normalise(FLAT).model_dump(exclude={"raw"})


def test_flat_names_take_precedence_over_monitor_object() -> None:
    alert = normalise({"monitor": MONITOR, "metric_value": 0.5, "model": "m", "monitor_name": "mine"})
    assert (alert.value, alert.monitor) == (0.5, "mine")


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-11-23T09:15:00Z", datetime(2026, 11, 23, 9, 15, tzinfo=UTC)),
        ("2026-11-23T10:15:00+01:00", datetime(2026, 11, 23, 9, 15, tzinfo=UTC)),
        ("2026-11-23 09:15:00", datetime(2026, 11, 23, 9, 15, tzinfo=UTC)),
        (1795425300, datetime(2026, 11, 23, 9, 15, tzinfo=UTC)),
        ("1795425300", datetime(2026, 11, 23, 9, 15, tzinfo=UTC)),
        (1795425300000, datetime(2026, 11, 23, 9, 15, tzinfo=UTC)),
        (1795425300.5, datetime(2026, 11, 23, 9, 15, 0, 500_000, tzinfo=UTC)),
        ("yesterday", None),
        ("2026-11-23", None),
        ("20261123", None),
        ("2026-W48-1", None),
        (-5, None),
        (1e300, None),
        ({}, None),
    ],
)
def test_times_are_parsed(written: Any, moment: datetime | None) -> None:
    assert normalise(flat(triggered_at=written)).occurred_at == moment


@pytest.mark.parametrize(
    ("times", "local"),
    [
        ({"triggered_at": "2026-11-23 09:15:00"}, True),
        ({"triggered_at": "20261123T091500"}, True),
        ({"triggered_at": "2026-11-23 09:15:00+05:30"}, False),
        ({"triggered_at": "2026-11-23T09:15:00Z"}, False),
        ({"triggered_at": "1711120112345"}, False),
        ({"triggered_at": 1795425300}, False),
        ({"triggered_at": "2026-11-23"}, False),
        ({"triggered_at": "2026-11-23 09:15:00", "evaluated_at": "2026-11-23T14:15:00Z"}, False),
    ],
)
def test_time_without_zone_is_local(times: dict[str, Any], local: bool) -> None:
    alert = normalise({**without("triggered_at"), **times})
    assert alert.local_time is local
    assert alert.ordering_time is None or (alert.ordering_time.tzinfo is None) is local


@pytest.mark.parametrize("missing", sorted(set(FLAT) - {"monitor_name", "model"}))
def test_every_other_field_is_optional(missing: str) -> None:
    alert = normalise(without(missing))
    assert (alert.monitor, alert.model) == ("support-chatbot error rate", "support-chatbot")


def test_unknown_fields_are_kept_in_raw() -> None:
    sent = flat(acme={"ticket": [1, 2]}, note=None)
    assert normalise(sent).raw == sent


@pytest.mark.parametrize("sent", [{}, {"status": "TRIGGERED"}, {"value": 3}, {"monitor": {}}, {"model": ""}])
def test_body_without_monitor_and_model_is_refused(sent: dict[str, Any]) -> None:
    with pytest.raises(AlertError) as caught:
        normalise(sent)
    assert "monitor_name" in str(caught.value)
    assert "model_name" in str(caught.value)


def test_monitor_or_model_is_enough() -> None:
    assert normalise({"monitor_name": "psi"}).monitor == "psi"
    assert normalise({"model": "churn"}).monitor == "churn"


@pytest.mark.parametrize(
    "segments",
    [
        {"customer_tier": "premium"},
        ["customer_tier:premium"],
        ["customer_tier=premium"],
        "customer_tier=premium",
        [{"name": "customer_tier", "value": "premium"}],
        [{"key": "customer_tier", "value": "premium"}],
    ],
)
def test_segment_formats_are_parsed(segments: Any) -> None:
    assert normalise(flat(segment=segments)).segment == {"customer_tier": "premium"}


def test_excluding_filter_is_no_segment() -> None:
    excluded = {"dimension": {"category": "TAG", "name": "region"}, "operator": "NOT_EQUALS", "values": ["eu"]}
    alert = normalise({"monitor": {**MONITOR, "filters": [excluded]}})
    assert (alert.segment, alert.excluded) == ({}, {"region": "eu"})


@pytest.mark.parametrize(
    "hostile",
    ["a\r\nSubject: x", "a\u202eb", "a\x00b", "a\u2028b", "a\ud800b", "\x1b[31mred"],
)
def test_hostile_text_becomes_printable(hostile: str) -> None:
    alert = normalise(flat(monitor_name=hostile, region=hostile))
    for text in (alert.monitor, alert.region):
        assert text.isprintable(), repr(text)


def test_long_texts_are_truncated() -> None:
    alert = normalise(flat(monitor_name="x" * 5000, notes="y" * 5000))
    assert (len(alert.monitor), len(alert.notes)) == (255, 1000)


@pytest.mark.parametrize("address", ["javascript:alert(1)", "ftp://x", "https://a b", 'https://x/"onclick=', "//x"])
def test_invalid_url_is_dropped(address: str) -> None:
    assert normalise(flat(monitor_url=address)).url == ""


def test_fingerprint_ignores_value_time_and_status() -> None:
    first = normalise(FLAT)
    later = normalise(flat(metric_value=0.5, triggered_at="2026-11-23T10:00:00Z", severity="low", status="CLEARED"))
    assert incident_id(first) == incident_id(later)
    assert incident_id(first).startswith("incident-monitor-123-")


@pytest.mark.parametrize(
    "change",
    [
        {"monitor_name": "other"},
        {"model": "other"},
        {"environment": "staging"},
        {"segment": {"customer_tier": "free"}},
    ],
)
def test_fingerprint_without_an_id_is_of_all_names(change: dict[str, Any]) -> None:
    first = without("monitor_id")
    assert fingerprint(normalise(first)) != fingerprint(normalise({**first, **change}))
    assert incident_id(normalise(first)).startswith("incident-support-chatbot-")


@pytest.mark.parametrize("change", [{"monitor_id": "other"}, {"segment": {"customer_tier": "free"}}])
def test_fingerprint_depends_on_monitor_id_and_segment(change: dict[str, Any]) -> None:
    assert fingerprint(normalise(FLAT)) != fingerprint(normalise(flat(**change)))


@pytest.mark.parametrize(
    "poke",
    [
        {"monitor_id": MONITOR["id"]},
        {"monitorId": MONITOR["id"]},
        {"id": MONITOR["id"]},
        {"monitor": {"id": MONITOR["id"]}},
        {"event": "monitor.status.changed", "data": {"node": {"id": MONITOR["id"]}}},
        {"subject": {"ref": [{"global_id": MONITOR["id"]}]}},
        {"monitor": {**MONITOR, "name": "renamed", "filters": []}, "project_name": "moved"},
    ],
)
def test_every_message_about_a_monitor_is_one_incident(poke: dict[str, Any]) -> None:
    assert incident_id(normalise(poke)) == incident_id(normalise(MONITOR))


@pytest.mark.parametrize(
    ("value", "threshold", "operator"),
    [(9100, 5000, "greater_than"), (20, 50, "less_than"), (800, None, ""), (None, None, "")],
)
def test_range_threshold_is_the_limit_that_was_passed(
    value: float | None, threshold: float | None, operator: str
) -> None:
    band = {
        "type": "MANUAL_RANGE",
        "lower": {"operator": "GREATER_THAN", "value": 50},
        "upper": {"operator": "LESS_THAN", "value": 5000},
    }
    alert = normalise({**MONITOR, "threshold": band, "latest_computed_value": value})
    assert (alert.threshold, alert.operator) == (threshold, operator)


def test_failing_window_ends_before_the_delay() -> None:
    evaluated = {**MONITOR, "evaluation_window_length_seconds": 3600, "delay_seconds": 600}
    begin = datetime(2026, 11, 23, 7, 50, tzinfo=UTC)
    assert normalise(evaluated).failing_window() == (begin, datetime(2026, 11, 23, 8, 50, tzinfo=UTC))
    assert normalise({**evaluated, "evaluated_at": None}).failing_window() is None
    assert normalise({**evaluated, "evaluation_window_length_seconds": None}).failing_window() is None


def test_notes_words_are_tags_and_tags_win() -> None:
    notes = 'Paged: owner:growth-ml runbook:https://wiki.example.com/psi, team:"growth ml" baseline:0.8 env:staging'
    alert = normalise({**MONITOR, "filters": [], "notes": notes, "tags": [{"name": "owner:support"}]})
    assert alert.tags == {
        "owner": "support",
        "runbook": "https://wiki.example.com/psi",
        "team": "growth ml",
        "baseline": "0.8",
        "environment": "staging",
    }
    assert (alert.environment, alert.baseline) == ("staging", 0.8)


@pytest.mark.parametrize(
    ("filters", "segment", "excluded"),
    [
        ([("age", "GREATER_THAN_OR_EQUAL", ["20"]), ("age", "LESS_THAN", ["30"])], {"age": ">= 20 and < 30"}, {}),
        ([("tier", "EQUALS", ["gold", "premium"])], {"tier": "gold, premium"}, {}),
        ([("tier", "NOT_EQUALS", ["free"]), ("plan", "EQUALS", ["x"])], {"plan": "x"}, {"tier": "free"}),
        ([("text", "CONTAINS_STRING", ["refund"])], {"text": "contains refund"}, {}),
    ],
)
def test_filters_are_segment_or_excluded(
    filters: list[tuple[str, str, list[str]]], segment: dict[str, str], excluded: dict[str, str]
) -> None:
    stated = [
        {"dimension": {"category": "FEATURE_LABEL", "name": name}, "operator": operator, "values": values}
        for name, operator, values in filters
    ]
    alert = normalise({**MONITOR, "filters": stated})
    assert (alert.segment, alert.excluded) == (segment, excluded)


@pytest.mark.parametrize(
    "body",
    [
        {"alerts": [{"ref": FIRST}, {"ref": SECOND}]},
        {"monitors": [{"id": FIRST, "status": "TRIGGERED"}, {"id": SECOND, "status": "TRIGGERED"}]},
        {"monitorIds": [FIRST, SECOND]},
    ],
)
def test_body_of_several_monitors_is_not_read_as_the_first(body: dict[str, Any]) -> None:
    with pytest.raises(AlertError, match="names 2 monitors"):
        normalise(body)


def test_same_monitor_twice_is_one_alert() -> None:
    assert normalise({"ref": FIRST, "again": [FIRST]}).monitor_id == FIRST
    assert normalise({"monitor_id": FIRST, "related": [SECOND]}).monitor_id == FIRST


@pytest.mark.parametrize("end", ["", "?tab=overview", "/"])
def test_monitor_id_is_found_in_a_link(end: str) -> None:
    link = f"https://app.arize.com/organizations/QQ==/spaces/QQ==/monitors/{FIRST[:-4]}Wg%3D%3D{end}"
    alert = normalise({"monitor_name": "slow answers", "monitor_url": link})
    assert (alert.monitor, alert.monitor_id) == ("slow answers", f"{FIRST[:-4]}Wg==")


@pytest.mark.parametrize(
    "notes",
    ["not for env:staging", "never page, except env:staging", "Do not use in env:staging.", "all but env:staging"],
)
def test_negated_words_of_notes_are_no_tags(notes: str) -> None:
    assert normalise(flat(environment="", notes=notes)).environment == ""


def test_words_after_a_negation_are_tags() -> None:
    assert normalise(flat(environment="", notes="Do not ignore. env:staging")).environment == "staging"


def test_texts_are_cut_between_words_and_characters() -> None:
    assert normalise(flat(monitor_name="word " * 200)).monitor.endswith("word…")
    assert normalise(flat(monitor_name="x" * 253 + "e\u0301y" * 9)).monitor == "x" * 253 + "…"
    assert normalise(flat(monitor_name="x" * 251 + "👩\u200d👩\u200d👧" * 9)).monitor == "x" * 251 + "…"
