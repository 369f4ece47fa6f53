"""Any receiver of JSON over HTTP, signed as https://www.standardwebhooks.com specifies.

``webhook-id`` is derived from the notification's key. It is the same on every attempt, so a receiver can drop a repeat.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any

from incident.digest import Digest
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.destination import Secrets
from integrations.base.http import HttpDestination
from integrations.webhook.config import WebhookConfig

_RESERVED_HEADERS = frozenset({"content-type", "content-length", "host", "user-agent"})


class WebhookDestination(HttpDestination[WebhookConfig]):
    """Posts each notification as JSON."""

    remedy = "check the destination's url, headers and secret"

    def __init__(self, name: str, config: WebhookConfig, secrets: Secrets) -> None:
        super().__init__(name, config, secrets)
        self.vendor = config.url.host or self.vendor
        self._headers = {
            header: secrets[f"headers.{header}"] for header in config.headers if header.lower() not in _RESERVED_HEADERS
        }

    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        content = notification.content.model_dump(mode="json")
        body = {
            "type": f"incident.{notification.verb}",
            "data": {"note": notification.note, "dedup_key": notification.dedup_key, **content},
        }
        return await self._send(notification.key, body)

    async def send_digest(self, digest: Digest, attempt: int) -> Receipt:
        incidents = [content.model_dump(mode="json") for content in digest.contents]
        data = {"since": digest.since.isoformat(), "incidents": incidents}
        return await self._send(digest.key, {"type": "digest", "data": data})

    async def _send(self, key: str, body: dict[str, Any]) -> Receipt:
        webhook_id = f"msg_{hashlib.sha256(key.encode()).hexdigest()[:32]}"
        timestamp = str(int(time.time()))
        content = json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()
        headers = {**self._headers, "webhook-id": webhook_id, "webhook-timestamp": timestamp}
        if secret := self.secrets.get("secret"):
            headers["webhook-signature"] = signature(secret, webhook_id, timestamp, content)
        await self.post(str(self.config.url), content, headers)
        return self.receipt(key, webhook_id)


def signature(secret: str, webhook_id: str, timestamp: str, content: bytes) -> str:
    """``v1,`` and the base64 of HMAC-SHA256 over ``<webhook-id>.<webhook-timestamp>.<body>``.

    A secret that begins with ``whsec_`` is base64 after that; any other one is used as it is.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True) if secret.startswith("whsec_") else None
    except binascii.Error:
        key = None
    signed = b".".join((webhook_id.encode(), timestamp.encode(), content))
    return "v1," + base64.b64encode(hmac.digest(key or secret.encode(), signed, "sha256")).decode()
