"""Any receiver of JSON over HTTP, signed as https://www.standardwebhooks.com specifies.

``webhook-id`` is derived from the notification's key. It is the same on every attempt, so a receiver can drop a repeat.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any, cast

from incident.digest import Digest
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.destination import Secrets
from integrations.base.http import HttpDestination
from integrations.base.text import truncate
from integrations.webhook.config import WebhookConfig
from integrations.webhook.limits import MAX_BODY

_TEXT_LIMITS = (1_000, 250, 60)
"""UTF-16 units of each text, if a message with longer texts does not fit into a body."""
_KEPT = frozenset({"incident", "incident_url", "state", "tier", "since", "respond_by", "closed_by"})
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
        content = _fitting_content(notification)
        body = {
            "type": f"incident.{notification.verb}",
            "data": {"note": notification.note, "dedup_key": notification.incident_key, **content},
        }
        return await self._send(notification.key, body)

    async def send_digest(self, digest: Digest, attempt: int) -> Receipt:
        return await self._send(digest.key, await asyncio.to_thread(_digest_body, digest))

    async def _send(self, key: str, body: dict[str, Any]) -> Receipt:
        webhook_id = f"msg_{hashlib.sha256(key.encode()).hexdigest()[:32]}"
        timestamp = str(int(time.time()))
        content = json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()
        headers = {**self._headers, "webhook-id": webhook_id, "webhook-timestamp": timestamp}
        if secret := self.secrets.get("secret"):
            headers["webhook-signature"] = signature(secret, webhook_id, timestamp, content)
        await self.post(str(self.config.url), content, headers)
        return self.receipt(key, webhook_id)


def _digest_body(digest: Digest) -> dict[str, Any]:
    """As many incidents as fit into a body; ``more`` is the number of the others."""
    incidents: list[dict[str, Any]] = []
    room = MAX_BODY - 1_000
    for content in digest.contents:
        incident = content.model_dump(mode="json")
        room -= _size(incident) + 1
        if room < 0:
            break
        incidents.append(incident)
    more = len(digest.contents) - len(incidents)
    data: dict[str, Any] = {"since": digest.since.isoformat(), "incidents": incidents}
    return {"type": "digest", "data": {**data, **({"more": more} if more else {})}}


def _fitting_content(notification: Notification) -> dict[str, Any]:
    """The message with its long texts cut, and then without the last facts, if its body would be too long."""
    body = notification.content.model_dump(mode="json")
    fixed = _size([notification.note, notification.incident_key]) + 1_000
    for limit in _TEXT_LIMITS:
        if _size(body) + fixed <= MAX_BODY:
            return body
        body = {name: value if name in _KEPT else _cut(value, limit) for name, value in body.items()}
    facts: list[dict[str, str]] = []
    room = MAX_BODY - fixed - _size({**body, "facts": []})
    for fact in body["facts"]:
        room -= _size(fact) + 1
        if room < 0:
            break
        facts.append(fact)
    return {**body, "facts": facts}


def _cut(value: Any, limit: int) -> Any:
    """The value with every text cut, except addresses of links, which are bounded and must stay whole."""
    if isinstance(value, str):
        return truncate(value, limit)
    if isinstance(value, list):
        return [_cut(one, limit) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {name: one if name == "url" else _cut(one, limit) for name, one in items}
    return value


def _size(value: object) -> int:
    """Bytes of JSON as it is sent."""
    return len(json.dumps(value, ensure_ascii=True, separators=(",", ":")))


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
