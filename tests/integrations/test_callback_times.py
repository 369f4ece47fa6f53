"""When an action happened, by the vendor's own clock: an older action must not undo a newer one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.base.callback import ParsedCallback, happened_at
from integrations.base.registry import callbacks
from tests.vendors import PagerDuty

KEY = "incident-chatbot-0123456789ab.01a20e59"
AT = datetime(2026, 11, 26, 10, 15, 30, 500_000, tzinfo=UTC)
MILLISECONDS = 1_795_688_130_500
PAGERDUTY = PagerDuty.callback("incident.acknowledged", KEY)
PAYLOADS: dict[str, Mapping[str, Any]] = {
    "pagerduty": {"event": {**PAGERDUTY["event"], "occurred_at": "2026-11-26T10:15:30.500Z"}},
    "opsgenie": {
        "action": "Acknowledge",
        "source": {"type": "web"},
        "alert": {"alias": KEY, "username": "alice", "updatedAt": MILLISECONDS * 1_000_000},
    },
    "slack": {
        "type": "block_actions",
        "user": {"id": "U1", "name": "alice"},
        "actions": [{"action_id": "tocsin:acknowledge", "value": KEY, "action_ts": "1795688130.500000"}],
    },
    "splunk_oncall": {"entity_id": KEY, "phase": "ACKED", "user": "alice", "at": str(MILLISECONDS)},
    "jira": {
        "timestamp": MILLISECONDS,
        "webhookEvent": "jira:issue_updated",
        "issue": {"key": "AIGOV-1", "fields": {"labels": ["tocsin", KEY]}},
        "changelog": {"id": "1", "items": [{"field": "resolution", "toString": "Done"}]},
    },
    "servicenow": {"correlation_id": KEY, "number": "INC1", "state": "6", "at": "2026-11-26 10:15:30"},
}


@pytest.mark.parametrize("callback", callbacks(), ids=lambda one: one.name)
def test_callback_carries_time_of_action(callback: Any) -> None:
    parsed = callback.parse(PAYLOADS[callback.name])
    assert isinstance(parsed, ParsedCallback)
    assert parsed.action is not None
    expected = AT.replace(microsecond=0) if callback.name == "servicenow" else AT
    assert parsed.action.occurred_at == expected


@pytest.mark.parametrize("stated", [None, "", "soon", True, -1, 10**40, "2026-13-99", {}, []])
def test_unusable_time_is_none(stated: Any) -> None:
    assert happened_at(stated) is None


@pytest.mark.parametrize("stated", [f(MILLISECONDS * unit) for f in (int, str) for unit in (1, 1_000, 1_000_000)])
def test_every_unit_of_unix_time_is_read(stated: Any) -> None:
    assert happened_at(stated) == AT
