"""From what Arize sends to an Alert: every shape, every way to write a value."""

from datetime import UTC, datetime
from typing import Any

import pytest

from alerts import AlertError, fingerprint, incident_id, normalise, read_alert
from tests.alerts.bodies import FLAT, MONITOR, body, flat, without


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
    ("written", "value"),
    [
        (0.31, 0.31),
        ("0.31", 0.31),
        (" 0.31 ", 0.31),
        ("31 %", 0.31),
        ("31%", 0.31),
        ("1,250", 1250.0),
        ("1,250.5", 1250.5),
        ("-2e-3", -0.002),
        (7, 7.0),
        ("", None),
        (None, None),
        ("many", None),
        (True, None),
        ([], None),
        ("1,2", None),
        ("0x10", None),
        ("nan", None),
        ("1e999", None),
    ],
)
def test_numbers_are_parsed(written: Any, value: float | None) -> None:
    assert normalise(flat(metric_value=written)).value == value


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
        (-5, None),
        (1e300, None),
        ({}, None),
    ],
)
def test_times_are_parsed(written: Any, moment: datetime | None) -> None:
    assert normalise(flat(triggered_at=written)).occurred_at == moment


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("TRIGGERED", "triggered"),
        ("Cleared", "cleared"),
        ("resolved", "cleared"),
        ("OK", "cleared"),
        ("NO_DATA", "no_data"),
        ("no data", "no_data"),
        ("something new", "triggered"),
        ("", "triggered"),
        (None, "triggered"),
    ],
)
def test_unknown_status_is_triggered(written: Any, status: str) -> None:
    assert normalise({**without("status", "event"), "status": written}).status == status


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


def test_excluding_filter_is_marked() -> None:
    excluded = {"dimension": {"category": "TAG", "name": "region"}, "operator": "NOT_EQUALS", "values": ["eu"]}
    assert normalise({"monitor": {**MONITOR, "filters": [excluded]}}).segment == {"not region": "eu"}


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
    assert incident_id(first).startswith("incident-support-chatbot-")


@pytest.mark.parametrize(
    "change",
    [
        {"monitor_name": "other"},
        {"monitor_id": "other"},
        {"model": "other"},
        {"environment": "staging"},
        {"segment": {"customer_tier": "free"}},
    ],
)
def test_fingerprint_depends_on_the_identity(change: dict[str, Any]) -> None:
    assert fingerprint(normalise(FLAT)) != fingerprint(normalise(flat(**change)))
