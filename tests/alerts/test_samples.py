"""The sample payloads that lie beside the project, and their combinations."""

import itertools
import json
from typing import Any

import pytest

from alerts import incident_id, read_alert
from tests import SHARED

SAMPLES = sorted((SHARED / "samples").glob("*.json"))
if not SAMPLES:
    pytest.skip("no samples lie beside the project", allow_module_level=True)


def sent(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    content = json.loads((SHARED / "samples" / f"{name}.json").read_text())
    return (content["body"], content["headers"]) if "headers" in content else (content, {})


@pytest.mark.parametrize("file", SAMPLES, ids=[file.stem for file in SAMPLES])
def test_every_sample_is_an_alert(file: Any) -> None:
    body, headers = sent(file.stem)
    alert = read_alert(
        json.dumps(body).encode(), headers.get("X-Arize-Webhook-Id", ""), headers.get("X-Arize-Webhook-Event", "")
    )
    assert alert.status == ("cleared" if "cleared" in file.stem else "triggered")
    assert alert.monitor_id
    assert alert.value is not None
    assert alert.threshold is not None
    assert alert.occurred_at is not None


def test_one_monitors_messages_are_one_incident() -> None:
    names = ("arize-triggered", "arize-cleared", "arize-retriggered")
    alerts = [read_alert(json.dumps(sent(name)[0]).encode()) for name in names]
    assert len({incident_id(alert) for alert in alerts}) == 1
    flat = [read_alert(json.dumps(sent(name)[0]).encode()) for name in ("triggered", "cleared")]
    assert len({incident_id(alert) for alert in flat}) == 1


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(["triggered", "monitor-object"], 2)))
def test_shapes_combine_field_by_field(one: str, other: str) -> None:
    body = {**sent(one)[0], **sent(other)[0]}
    alert = read_alert(json.dumps(body).encode())
    assert alert.monitor == "support-chatbot error rate", "a flat name says what its writer means"
    assert alert.value == pytest.approx(0.31)
    assert alert.window_seconds == 86400, "and what only the monitor object says is there too"
