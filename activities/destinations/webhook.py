"""Any receiver of yours: JSON over HTTP, signed as https://www.standardwebhooks.com says.

``webhook-id`` is the delivery's key, the same on every attempt, so that a receiver can tell a repeat.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any, ClassVar

from pydantic import AnyHttpUrl, Field

from activities.contracts import Delivery, DigestIssue, Receipt
from activities.destinations.base import Secrets
from activities.destinations.over_http import HttpDestination
from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind

_RESERVED = frozenset({"content-type", "content-length", "host", "user-agent"})


class WebhookConfig(DestinationConfig):
    kind: ClassVar[Kind] = "post"

    url: AnyHttpUrl = Field(description="Where it is posted to.")
    secret: SecretSetting | None = Field(
        default=None, description="Signs each message: whsec_ and base64, or any text."
    )
    headers: dict[str, SecretSetting] = Field(default={}, description="Sent along, such as Authorization.")

    def where(self) -> str:
        return self.url.host or ""


class WebhookDestination(HttpDestination):
    type_name = "webhook"
    config = WebhookConfig
    remedy = "check the destination's url, headers and secret"

    def __init__(self, name: str, config: WebhookConfig, secrets: Secrets, public_url: str) -> None:
        super().__init__(name, secrets, public_url)
        self._url = str(config.url)
        self._headers = {
            header: secrets[f"headers.{header}"] for header in config.headers if header.lower() not in _RESERVED
        }
        self.vendor = f"{config.url.host}"

    async def deliver(self, delivery: Delivery, attempt: int) -> Receipt:
        brief = delivery.brief.model_dump(mode="json")
        body = {
            "type": f"incident.{delivery.verb}",
            "data": {"note": delivery.note, "thread": delivery.thread, **brief},
        }
        return await self._send(delivery.key, body)

    async def send_digest(self, issue: DigestIssue, attempt: int) -> Receipt:
        briefs = [brief.model_dump(mode="json") for brief in issue.briefs]
        return await self._send(
            issue.key, {"type": "digest", "data": {"since": issue.since.isoformat(), "incidents": briefs}}
        )

    async def _send(self, key: str, body: dict[str, Any]) -> Receipt:
        name, moment = f"msg_{hashlib.sha256(key.encode()).hexdigest()[:32]}", str(int(time.time()))
        content = json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()
        headers = {**self._headers, "webhook-id": name, "webhook-timestamp": moment}
        if secret := self.secrets.get("secret"):
            headers["webhook-signature"] = signature(secret, name, moment, content)
        await self.post(self._url, content, headers)
        return self.receipt(key, name)


def signature(secret: str, name: str, moment: str, content: bytes) -> str:
    """``v1,`` and base64 of HMAC-SHA256 over ``<webhook-id>.<webhook-timestamp>.<body>``."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True) if secret.startswith("whsec_") else None
    except binascii.Error:
        key = None
    signed = b".".join((name.encode(), moment.encode(), content))
    return "v1," + base64.b64encode(hmac.digest(key or secret.encode(), signed, "sha256")).decode()
