"""Each vendor's callbacks: their payloads, and how the vendor authenticates them."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.gateway.conftest import CALLBACK_SECRETS, GatewayHarness
from tests.vendors import PagerDuty

Sent = tuple[bytes, dict[str, str]]


def bearer(payload: Any, secret: str) -> Sent:
    return json.dumps(payload).encode(), {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}


def hub_signed(payload: Any, secret: str) -> Sent:
    """developer.atlassian.com, "Webhooks", Secure admin webhooks."""
    content = json.dumps(payload).encode()
    return content, {"X-Hub-Signature": "sha256=" + hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()}


def slack_signed(payload: Any, secret: str, age: int = 0) -> Sent:
    """docs.slack.dev, "Verifying requests from Slack"."""
    content, stamp = urlencode({"payload": json.dumps(payload)}).encode(), str(int(time.time()) - age)
    signature = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + content, hashlib.sha256).hexdigest()
    return content, {"X-Slack-Signature": f"v0={signature}", "X-Slack-Request-Timestamp": stamp}


def pagerduty_signed(payload: Any, secret: str) -> Sent:
    return PagerDuty.sign(payload, secret)


def pagerduty(act: str, key: str) -> Any:
    return PagerDuty.callback(f"incident.{act}", key, "Alice Example")


def opsgenie(act: str, key: str) -> Any:
    action = {"acknowledged": "Acknowledge", "unacknowledged": "UnAcknowledge", "resolved": "Close"}[act]
    return {
        "action": action,
        "source": {"name": "", "type": "web"},
        "alert": {"alertId": "052652ac", "alias": key, "username": "Alice Example", "updatedAt": time.time_ns()},
        "integrationName": "Tocsin",
    }


def splunk_oncall(act: str, key: str) -> Any:
    phase = {"acknowledged": "ACKED", "resolved": "RESOLVED"}[act]
    return {"entity_id": key, "phase": phase, "user": "Alice Example", "message": "", "at": str(time.time_ns())}


def slack(act: str, key: str) -> Any:
    name = {"acknowledged": "acknowledge", "resolved": "resolve"}.get(act, act)
    return {
        "type": "block_actions",
        "user": {"id": "U1", "username": "alice", "name": "Alice Example", "team_id": "T1"},
        "response_url": "https://hooks.slack.com/actions/T1/1/x",
        "actions": [{"type": "button", "action_id": f"tocsin:{name}", "value": key, "action_ts": str(time.time())}],
    }


def jira(act: str, key: str) -> Any:
    assert act == "resolved"
    return {
        "timestamp": time.time_ns(),
        "webhookEvent": "jira:issue_updated",
        "user": {"accountId": "1", "displayName": "Alice Example"},
        "issue": {
            "key": "AIGOV-7",
            "fields": {"labels": ["tocsin", key], "status": {"name": "Done", "statusCategory": {"key": "done"}}},
        },
        "changelog": {"id": "1", "items": [{"field": "status", "fromString": "To Do", "toString": "Done"}]},
    }


def servicenow(act: str, key: str) -> Any:
    assert act == "resolved"
    return {"correlation_id": key, "number": "INC1", "state": "6", "user_name": "Alice Example", "at": "2026-11-24"}


@dataclass(frozen=True)
class CallbackSender:
    """The payloads of one vendor's callbacks, and their signature."""

    payload: Callable[[str, str], Any]
    sign: Callable[[Any, str], Sent]
    accepted: int = 202

    @property
    def name(self) -> str:
        return self.payload.__name__

    @property
    def path(self) -> str:
        return f"/webhooks/{self.name.replace('_', '-')}"

    async def post(self, gateway: GatewayHarness, payload: Any, secret: str = "") -> httpx.Response:
        content, headers = self.sign(payload, secret or CALLBACK_SECRETS[self.name][0])
        return await gateway.http.post(self.path, content=content, headers=headers)


PAGERDUTY = CallbackSender(pagerduty, pagerduty_signed)


OPSGENIE = CallbackSender(opsgenie, bearer)


SPLUNK = CallbackSender(splunk_oncall, bearer)


SLACK = CallbackSender(slack, slack_signed, 200)


JIRA = CallbackSender(jira, hub_signed)


SERVICENOW = CallbackSender(servicenow, bearer)
