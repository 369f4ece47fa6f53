"""The sample payloads beside the project, and their combinations."""

import itertools
import json
from typing import Any

import pytest

from alerts import incident_id, read_alert
from tests import SHARED

SAMPLES = [
    file
    for file in sorted((SHARED / "samples").glob("*.json"))
    if "cases" not in json.loads(file.read_text())  # a list of a tenant's monitors, not an alert
]
if not SAMPLES:
    pytest.skip("no samples are beside the project", allow_module_level=True)


def read_sample(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    content = json.loads((SHARED / "samples" / f"{name}.json").read_text())
    return (content["body"], content["headers"]) if "headers" in content else (content, {})


@pytest.mark.parametrize("file", SAMPLES, ids=[file.stem for file in SAMPLES])
def test_each_sample_is_an_alert(file: Any) -> None:
    body, headers = read_sample(file.stem)
    alert = read_alert(
        json.dumps(body).encode(), headers.get("X-Arize-Webhook-Id", ""), headers.get("X-Arize-Webhook-Event", "")
    )
    assert alert.status == ("cleared" if "cleared" in file.stem else "triggered")
    assert alert.monitor_id
    assert alert.value is not None
    assert alert.threshold is not None
    assert alert.occurred_at is not None


def test_one_monitors_alerts_are_one_incident() -> None:
    names = ("arize-triggered", "arize-cleared", "arize-retriggered")
    alerts = [read_alert(json.dumps(read_sample(name)[0]).encode()) for name in names]
    assert len({incident_id(alert) for alert in alerts}) == 1
    flat = [read_alert(json.dumps(read_sample(name)[0]).encode()) for name in ("triggered", "cleared")]
    assert len({incident_id(alert) for alert in flat}) == 1


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(["triggered", "monitor-object"], 2)))
def test_body_shapes_combine_by_field(one: str, other: str) -> None:
    body = {**read_sample(one)[0], **read_sample(other)[0]}
    alert = read_alert(json.dumps(body).encode())
    assert alert.monitor == "support-chatbot error rate", "flat names take precedence"
    assert alert.value == pytest.approx(0.31)
    assert alert.window_seconds == 86400, "fields of the monitor object only are kept"
