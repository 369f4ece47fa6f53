"""REST v2: webhooks, their test and delivery attempts, and subscriptions."""

import asyncio
import secrets
from collections.abc import Awaitable
from typing import Any
from urllib.parse import urlsplit

from tests.vendors.arize.delivery import Deliverer
from tests.vendors.arize.rest import Answer, Call, Handler, ProblemError, contains, found
from tests.vendors.arize.state import Row, Table, TenantState, now

EVENTS = {
    "PROMPT_VERSION_CREATED": ("prompt.version.created", {"PROMPT"}),
    "PROMPT_VERSION_LABELED": ("prompt.version.labeled", {"PROMPT"}),
    "PROMPT_VERSION_UNLABELED": ("prompt.version.unlabeled", {"PROMPT"}),
    "EVALUATOR_VERSION_CREATED": ("evaluator.version.created", {"EVALUATOR"}),
    "ONLINE_TASK_RUN_FAILED": ("online_task.run.failed", {"ONLINE_TASK", "SPACE"}),
}
"""The dotted name of each event that a webhook can subscribe to, and its sources."""
_FORBIDDEN_HEADERS = {"host", "content-length", "connection", "transfer-encoding", "upgrade"}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class WebhookRoutes:
    def __init__(self, state: TenantState, deliverer: Deliverer) -> None:
        self.state = state
        self.deliverer = deliverer

    def routes(self) -> dict[tuple[str, str], Handler]:
        state = self.state
        return {
            ("GET", "/v2/webhooks"): self.list_webhooks,
            ("POST", "/v2/webhooks"): lambda call: (201, self.create(call.body)),
            ("GET", "/v2/webhooks/{}"): lambda call, id_: (200, found(state.webhooks, id_)),
            ("PATCH", "/v2/webhooks/{}"): self.update,
            ("DELETE", "/v2/webhooks/{}"): self.delete,
            ("POST", "/v2/webhooks/{}/test"): self.test,
            ("GET", "/v2/webhooks/{}/delivery-attempts"): self.list_attempts,
            ("GET", "/v2/webhook-subscriptions"): self.list_subscriptions,
            ("POST", "/v2/webhook-subscriptions"): self.subscribe,
            ("GET", "/v2/webhook-subscriptions/{}"): lambda call, id_: (200, found(state.subscriptions, id_)),
            ("DELETE", "/v2/webhook-subscriptions/{}"): self.unsubscribe,
        }

    def list_webhooks(self, call: Call) -> Answer:
        if "org_id" in call.query:
            found(self.state.organizations, call.query["org_id"])
        rows = [
            row
            for row in self.state.webhooks.newest()
            if call.query.get("org_id", row["organization_id"]) == row["organization_id"]
            and contains(row, "name", call.query.get("name"))
        ]
        return call.page(self.state.webhooks, rows, "webhooks")

    def create(self, body: dict[str, Any]) -> Row:
        """A new webhook, with its signing secret, which no later response has.

        Raises:
            ProblemError: The organization, the name, the address or the authentication is not accepted.
        """
        found(self.state.organizations, body["organization_id"])
        kind = body.get("auth_type") or "BEARER"
        if kind != "BEARER" and body.get("auth_token") is not None:
            raise ProblemError(422, "auth_token is only valid when auth_type is BEARER")
        self._check(body, body["organization_id"])
        created = now()
        fields: Row = {
            "organization_id": body["organization_id"],
            "name": body["name"],
            "description": body.get("description") or "",
            "url": body["url"],
            "auth_type": kind,
            "timeout_ms": body.get("timeout_ms") or 30000,
            "created_at": created,
            "updated_at": created,
            "created_by_user_id": self.state.owner["id"],
        }
        secret = body.get("auth_token") or ""
        if kind == "HMAC_SHA256":
            secret = f"whsec_{secrets.token_hex(24)}"
            fields["signing_secret_hint"] = f"whsec_…{secret[-4:]}"
        webhook = self.state.webhooks.add(fields)
        self.state.webhook_secrets[webhook["id"]] = secret
        self.state.webhook_headers[webhook["id"]] = dict(body.get("headers") or {})
        return {**webhook, "signing_secret": secret} if kind == "HMAC_SHA256" else webhook

    def _check(self, body: dict[str, Any], organization: str, except_id: str | None = None) -> None:
        if "url" in body:
            url = urlsplit(body["url"])
            # Arize accepts HTTPS only. The stand-in's targets are on this machine, without a certificate.
            if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _LOOPBACK):
                raise ProblemError(422, "url must be an HTTPS endpoint")
        headers = body.get("headers") or {}
        if len(headers) > 20 or any(name.lower() in _FORBIDDEN_HEADERS for name in headers):
            raise ProblemError(422, "headers: at most 20, and none that manages the connection")
        for row in self.state.webhooks.newest():
            same = row["organization_id"] == organization and row["name"] == body.get("name")
            if same and row["id"] != except_id:
                raise ProblemError(409, "a webhook with this name already exists in the organization")

    def update(self, call: Call, webhook_id: str) -> Answer:
        webhook = found(self.state.webhooks, webhook_id)
        if not call.body:
            raise ProblemError(400, "at least one field must be provided")
        if "auth_token" in call.body and webhook["auth_type"] != "BEARER":
            raise ProblemError(422, "auth_token is only valid when auth_type is BEARER")
        self._check(call.body, webhook["organization_id"], webhook_id)
        changes = dict(call.body)
        if "auth_token" in changes:
            self.state.webhook_secrets[webhook_id] = changes.pop("auth_token") or ""
        if "headers" in changes:
            self.state.webhook_headers[webhook_id] = dict(changes.pop("headers") or {})
        if "description" in changes:
            changes["description"] = changes["description"] or ""
        return 200, self.state.webhooks.add({**webhook, **changes, "updated_at": now()})

    def delete(self, call: Call, webhook_id: str) -> Answer:
        found(self.state.webhooks, webhook_id)
        self.state.webhooks.remove(webhook_id)
        self.state.webhook_secrets.pop(webhook_id, None)
        for monitor in self.state.monitors.newest():
            if "notification_configs" in monitor:
                configs = [one for one in monitor["notification_configs"] if one.get("id") != webhook_id]
                monitor.pop("notification_configs")
                if configs:
                    monitor["notification_configs"] = configs
        for row in self.state.subscriptions.newest():
            if row["webhook_id"] == webhook_id:
                self.state.subscriptions.remove(row["id"])
        return 204, None

    def test(self, call: Call, webhook_id: str) -> Awaitable[Answer]:
        webhook = found(self.state.webhooks, webhook_id)
        if webhook["auth_type"] != "BEARER":
            raise ProblemError(400, "Test deliveries are not supported for HMAC_SHA256 webhooks")
        return self._test(webhook_id)

    async def _test(self, webhook_id: str) -> Answer:
        body = {"event": "webhook.test", "occurred_at": now(), "message": "This is a test event from Arize."}
        delivery = await asyncio.to_thread(self.deliverer.send_once, webhook_id, "webhook.test", body)
        attempt = delivery.attempts[-1]
        status = attempt["status_code"]
        return 200, {"status_code": 502 if status is None else status, "error_message": attempt["error_message"]}

    def list_attempts(self, call: Call, webhook_id: str) -> Answer:
        found(self.state.webhooks, webhook_id)
        table = self.state.attempts.setdefault(webhook_id, Table("WebhookDeliveryAttempt", 1))
        status, page = call.page(table, table.newest(), "delivery_attempts")
        # An attempt has no id of its own.
        rows = [{key: value for key, value in row.items() if key != "id"} for row in page["delivery_attempts"]]
        return status, {**page, "delivery_attempts": rows}

    # Subscriptions

    def _source(self, kind: str, identifier: str) -> Row:
        tables = {
            "PROMPT": self.state.prompts,
            "EVALUATOR": self.state.evaluators,
            "ONLINE_TASK": self.state.tasks,
            "SPACE": self.state.spaces,
        }
        return found(tables[kind], identifier)

    def list_subscriptions(self, call: Call) -> Answer:
        kind, source = call.query.get("source_type"), call.query.get("source_id")
        if (kind is None) != (source is None):
            raise ProblemError(400, "source_type and source_id belong together")
        if kind and source:
            self._source(kind, source)
        rows = [
            row
            for row in self.state.subscriptions.newest()
            if kind in (None, row["source_type"]) and source in (None, row["source_id"])
        ]
        return call.page(self.state.subscriptions, rows, "subscriptions")

    def subscribe(self, call: Call) -> Answer:
        body = call.body
        if body["source_type"] not in EVENTS[body["event"]][1]:
            raise ProblemError(422, f"{body['event']} is no event of a {body['source_type']}")
        self._source(body["source_type"], body["source_id"])
        found(self.state.webhooks, body["webhook_id"])
        keys = ("webhook_id", "source_type", "source_id", "event")
        if any(all(row[key] == body[key] for key in keys) for row in self.state.subscriptions.newest()):
            raise ProblemError(409, "this webhook is already subscribed to this event of this source")
        return 201, self.state.subscriptions.add({**{key: body[key] for key in keys}, "created_at": now()})

    def unsubscribe(self, call: Call, subscription_id: str) -> Answer:
        found(self.state.subscriptions, subscription_id)
        self.state.subscriptions.remove(subscription_id)
        return 204, None
