"""Deliveries of webhooks, as Arize sends them: authentication, headers, retries, and the record of each attempt.

What is known of the transport is in the ``arize`` SDK 8.61.0 (``arize/webhooks``). Not published, and so assumed here:
the monitor's body and the name of its event, which statuses are retried, and when.
"""

import hashlib
import hmac
import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.vendors.arize.state import Row, Table, TenantState, now
from tests.waiting import SLOW_MACHINE

MONITOR_EVENT = "monitor.status.changed"


@dataclass
class Delivery:
    """One event on its way to one webhook."""

    webhook_id: str
    event: str
    event_id: str
    payload: Any
    raw: bytes
    attempts: list[Row] = field(default_factory=list[Row])
    """Each as REST v2 shows it: ``status_code``, ``error_message``, ``attempt_number`` …"""
    answers: list[str] = field(default_factory=list[str])
    """The text of each response; empty if there was none."""
    finished: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float = SLOW_MACHINE) -> Row:
        """The last attempt, when no other will follow.

        Raises:
            AssertionError: The delivery is still being attempted.
        """
        assert self.finished.wait(seconds), f"{self.event_id} is still being delivered: {self.attempts}"
        return self.attempts[-1]


class Deliverer:
    """Sends deliveries in threads of its own, as Arize does beside its API."""

    def __init__(self, state: TenantState) -> None:
        self.state = state
        self.retry_intervals: tuple[float, ...] = (0.1, 0.3, 1.0)
        """Seconds before each further attempt of a failed delivery."""
        self.clock: Callable[[], float] = time.time
        """The sender's clock."""
        self.key_of: Callable[[str], bytes] = str.encode
        """The HMAC key of a signing secret."""
        self.bearer_headers = False
        """Whether deliveries with a stored token also carry the event's id and type."""
        self.deliveries: list[Delivery] = []
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="arize-webhooks")

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def send(self, webhook_id: str, event: str, payload: Any, event_id: str | None = None) -> Delivery:
        """Deliver an event, and again until it is accepted.

        Args:
            webhook_id: The webhook.
            event: The dotted type of the event.
            payload: JSON, or bytes to send exactly those.
            event_id: The same id again, for a duplicate. New by default.
        """
        delivery = self._new(webhook_id, event, payload, event_id)
        self._pool.submit(self._deliver, delivery)
        return delivery

    def send_once(self, webhook_id: str, event: str, payload: Any) -> Delivery:
        """Deliver an event with one attempt, before this returns."""
        delivery = self._new(webhook_id, event, payload, None)
        self._attempt(delivery)
        delivery.finished.set()
        return delivery

    def _new(self, webhook_id: str, event: str, payload: Any, event_id: str | None) -> Delivery:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        delivery = Delivery(webhook_id, event, event_id or f"evt_{uuid.uuid4().hex}", payload, raw)
        self.deliveries.append(delivery)
        return delivery

    def _deliver(self, delivery: Delivery) -> None:
        try:
            for pause in (0.0, *self.retry_intervals):
                time.sleep(pause)
                if self._attempt(delivery):
                    break
        finally:
            delivery.finished.set()

    def _attempt(self, delivery: Delivery) -> bool:
        """One attempt, recorded. True if the endpoint accepted it."""
        with self.state.lock:
            webhook = self.state.webhooks.get(delivery.webhook_id)
            if webhook is None:  # deleted meanwhile
                delivery.attempts.append({"status_code": None, "error_message": "the webhook was deleted"})
                return True
            headers = self._headers(webhook, delivery)
        status, error, text = None, None, ""
        try:
            response = httpx.post(
                webhook["url"], content=delivery.raw, headers=headers, timeout=webhook["timeout_ms"] / 1000
            )
            status, text = response.status_code, response.text
            if not response.is_success:
                error = f"the endpoint answered {status}"
        except httpx.HTTPError as failure:
            error = f"{type(failure).__name__}: {failure}"
        attempt: Row = {
            "event_id": delivery.event_id,
            "attempt_number": len(delivery.attempts) + 1,
            "status_code": status,
            "error_message": error,
            "created_at": now(),
        }
        if isinstance(delivery.payload, dict):
            attempt["payload"] = delivery.payload
        delivery.answers.append(text)
        with self.state.lock:
            table = self.state.attempts.setdefault(delivery.webhook_id, Table("WebhookDeliveryAttempt", 1))
            table.add({"id": f"{delivery.event_id}-{attempt['attempt_number']}", **attempt})
            delivery.attempts.append(attempt)
        return error is None

    def _headers(self, webhook: Row, delivery: Delivery) -> dict[str, str]:
        secret = self.state.webhook_secrets.get(webhook["id"], "")
        headers = {"Content-Type": "application/json", **self.state.webhook_headers.get(webhook["id"], {})}
        names = {"X-Arize-Webhook-Id": delivery.event_id, "X-Arize-Webhook-Event": delivery.event}
        if webhook["auth_type"] == "BEARER":
            return {
                **headers,
                **({"Authorization": secret} if secret else {}),
                **(names if self.bearer_headers else {}),
            }
        sent = str(int(self.clock()))
        signature = hmac.new(self.key_of(secret), f"{sent}.".encode() + delivery.raw, hashlib.sha256).hexdigest()
        return {
            **headers,
            **names,
            "X-Arize-Webhook-Timestamp": sent,
            "X-Arize-Webhook-Signature": f"v1={signature}",
        }
