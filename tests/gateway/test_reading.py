"""What a request says: an alert, a change, or nothing that anybody understands."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from alerts import Alert
from gateway.ingest.reading import ReportedEvent, Unreadable, read_delivery
from gateway.quarantine.delivery import Received

MONITOR, OTHER = "TW9uaXRvcjo2MTAwMDphWjYxMDAw", "TW9uaXRvcjo2MTAwMTphWjYxMDAx"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"event": "webhook.monitor_triggered", "monitor": {"id": MONITOR}}, Alert),
        ({"event": "webhook.test", "monitor": {"id": MONITOR}}, ReportedEvent),
        ({"event": "webhook.disabled", "webhook": {"name": "tocsin"}}, ReportedEvent),
        ({"event": "prompt.version.created", "prompt": {"name": "p"}}, ReportedEvent),
        ({"alerts": [{"ref": MONITOR}, {"ref": OTHER}]}, Unreadable),
    ],
)
def test_event_of_a_monitor_is_an_alert(body: dict[str, Any], kind: type) -> None:
    received = Received(json.dumps(body).encode(), "", "", "application/json", datetime(2026, 11, 24, tzinfo=UTC))
    assert isinstance(read_delivery(received, ()), kind)
