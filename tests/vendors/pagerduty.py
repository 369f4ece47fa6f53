"""A stand-in for PagerDuty's Events API v2, and for the webhooks it sends."""

import hashlib
import hmac
import json
import uuid
from typing import Any

from integrations.base.text import text_length
from tests.vendors.server import Request, Vendor
from tests.vendors.specs import body_faults


class PagerDuty(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.changes: list[dict[str, Any]] = []
        self.open: set[str] = set()
        """The keys of open incidents: a trigger with one of them pages nobody."""
        self.paged: list[str] = []

    def answer(self, request: Request) -> tuple[int, Any]:
        if (request.method, request.path) == ("POST", "/v2/change/enqueue"):
            self.violations += body_faults("pagerduty-events-v2", "/change/enqueue", "post", request.body)
            self.changes.append(request.body)
            return 202, {"status": "success", "message": "Change event processed"}
        if (request.method, request.path) != ("POST", "/v2/enqueue"):
            self.violations.append(f"PagerDuty has no {request.method} {request.path}")
            return 404, {}
        body = dict(request.body)
        if refusal := _refusal(body, request.raw):
            self.violations.append(refusal)
            return 400, {"status": "invalid event", "message": "Event object is invalid", "errors": [refusal]}
        # The API description's schema is that of a trigger; acknowledge and resolve need only the key.
        if body.get("event_action") == "trigger":
            self.violations += body_faults("pagerduty-events-v2", "/enqueue", "post", body)
        elif not body.get("dedup_key"):
            self.violations.append("acknowledge and resolve need a dedup_key")
        self._fold(body)
        return 202, {
            "status": "success",
            "message": "Event processed",
            "dedup_key": body.get("dedup_key", "new"),
        }

    def described(self, request: Request) -> tuple[str, str] | None:
        return "pagerduty-events-v2", request.path.removeprefix("/v2")

    def _fold(self, body: dict[str, Any]) -> None:
        """docs: "dedup_key": an open incident of the same service with the same key absorbs the event."""
        key = f"{body['routing_key']}/{body.get('dedup_key')}"
        if body["event_action"] == "trigger" and key not in self.open:
            self.open.add(key)
            self.paged.append(str(body.get("dedup_key")))
        elif body["event_action"] == "resolve":
            self.open.discard(key)

    def events(self, action: str = "", routing_key: str = "") -> list[dict[str, Any]]:
        """The events with an action, and to a service."""
        return [
            one.body
            for one in self.requests
            if one.path == "/v2/enqueue"
            and (not action or one.body["event_action"] == action)
            and (not routing_key or one.body["routing_key"] == routing_key)
        ]

    def about(self, incident: str, action: str = "trigger", routing_key: str = "") -> list[Request]:
        """The requests about one incident, with an action, and to a service."""
        return [
            one
            for one in list(self.requests)
            if one.path == "/v2/enqueue"
            and one.body["event_action"] == action
            and one.body["dedup_key"].startswith(f"{incident}.")
            and (not routing_key or one.body["routing_key"] == routing_key)
        ]

    @staticmethod
    def callback(event_type: str, incident_key: str, by: str = "Alice Example", person: bool = True) -> dict[str, Any]:
        """A V3 webhook's body, shaped as on developer.pagerduty.com, "Webhooks overview"."""
        return {
            "event": {
                "id": uuid.uuid4().hex,
                "event_type": event_type,
                "resource_type": "incident",
                "occurred_at": "2026-11-24T04:00:00.000Z",
                "agent": {
                    "html_url": "https://acme.pagerduty.com/users/PLH1HKV",
                    "id": "PLH1HKV",
                    "self": "https://api.pagerduty.com/users/PLH1HKV",
                    "summary": by,
                    "type": "user_reference" if person else "service_reference",
                },
                "client": None,
                "data": {
                    "id": f"P-{incident_key}",
                    "type": "incident",
                    "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2",
                    "number": 2,
                    "status": event_type.removeprefix("incident."),
                    "incident_key": incident_key,
                    "title": "A little bump in the road",
                },
            }
        }

    @staticmethod
    def sign(body: dict[str, Any], *secrets: str) -> tuple[bytes, dict[str, str]]:
        content = json.dumps(body).encode()
        signatures = [hmac.new(one.encode(), content, hashlib.sha256).hexdigest() for one in secrets]
        header = ",".join(f"v1={one}" for one in signatures)
        return content, {"X-PagerDuty-Signature": header, "Content-Type": "application/json"}


def _refusal(body: dict[str, Any], raw: bytes) -> str:
    """developer.pagerduty.com, "Send an alert event"."""
    if len(raw) > 512 * 1024:
        return "an event of more than 512 KB"
    if text_length(body.get("payload", {}).get("summary", "")) > 1024:
        return "summary is longer than 1024 characters"
    return "dedup_key is longer than 255 characters" if len(body.get("dedup_key", "")) > 255 else ""
