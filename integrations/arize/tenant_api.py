"""What a tenant of Arize consists of, and its webhooks: organizations, spaces, projects, monitors, delivery attempts.

Source: the ``arize`` SDK 8.61.0 (``organizations``, ``spaces``, ``projects``, ``webhooks`` and the generated client).
"""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from integrations.arize.rest import RestClient
from integrations.base.errors import PermanentError, TemporaryError

AuthType = Literal["HMAC_SHA256", "BEARER"]
Webhook = Mapping[str, Any]
"""A webhook object, as the API returns it."""


class Named(NamedTuple):
    """An organization, a space or a project."""

    id: str
    name: str
    parent: str = ""
    """The id of a space's organization, or of a project's space."""

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"


class Probe(NamedTuple):
    """One request to the API."""

    seconds: float
    clock_difference: float | None
    """Seconds that this machine's clock is ahead of Arize's; None without a Date header. Dates have whole seconds."""
    organizations: int


class TestResult(NamedTuple):
    """What the receiver of a test delivery answered."""

    status: int
    """502 if there was no response."""
    error: str


class TenantApi:
    """Reads a tenant, and manages its webhooks.

    Every method raises PermanentError or TemporaryError, without the API key.
    """

    def __init__(self, rest: RestClient) -> None:
        self._rest = rest

    async def close(self) -> None:
        await self._rest.close()

    async def probe(self) -> Probe:
        """The duration of a request, and the difference between the clocks."""
        before = time.time()
        answer = await self._rest.send("GET", "/v2/organizations", query={"limit": "1"})
        listed = answer.body.get("organizations")
        if not isinstance(listed, list):
            raise TemporaryError("Arize's REST API answered with JSON of another shape: it has no 'organizations'")
        difference = None
        if stated := answer.headers.get("date", ""):
            try:
                # Arize's whole second, in its middle; this machine's clock in the middle of the request.
                difference = before + answer.seconds / 2 - (parsedate_to_datetime(stated).timestamp() + 0.5)
            except (ValueError, TypeError):
                difference = None
        return Probe(answer.seconds, difference, len(listed))  # pyright: ignore[reportUnknownArgumentType]

    async def organizations(self) -> list[Named]:
        rows = await self._rest.pages("/v2/organizations", "organizations")
        return [Named(str(row.get("id")), str(row.get("name") or "")) for row in rows]

    async def spaces(self, organization: str) -> list[Named]:
        rows = await self._rest.pages("/v2/spaces", "spaces", {"org_id": organization})
        return [Named(str(row.get("id")), str(row.get("name") or ""), organization) for row in rows]

    async def projects(self, space: str) -> list[Named]:
        rows = await self._rest.pages("/v2/projects", "projects", {"space_id": space})
        return [Named(str(row.get("id")), str(row.get("name") or ""), space) for row in rows]

    async def monitors(self, space: str) -> list[dict[str, Any]]:
        """The monitor objects of a space."""
        return await self._rest.pages("/v2/monitors", "monitors", {"space_id": space})

    async def any_monitor(self) -> str:
        """The id of a monitor that the key may read; empty if there is none."""
        answer = await self._rest.get("/v2/monitors", {"limit": "1"})
        listed: list[Any] = answer.body.get("monitors") or []
        return str(listed[0].get("id") or "") if listed else ""

    # ── Webhooks ────────────────────────────────────────────────────────────────────────────────────────────

    async def webhooks(self, organization: str) -> list[dict[str, Any]]:
        return await self._rest.pages("/v2/webhooks", "webhooks", {"org_id": organization})

    async def create_webhook(
        self, organization: str, name: str, url: str, description: str, *, token: str = ""
    ) -> tuple[dict[str, Any], str]:
        """Create a webhook. It is sent once: after a TemporaryError the webhook may exist.

        Args:
            organization: the id of its organization.
            name: unique in the organization.
            url: a public HTTPS endpoint.
            description: a text for people, with Tocsin's mark.
            token: for BEARER, what Arize sends as ``Authorization``; empty for HMAC_SHA256.

        Returns:
            The webhook without its secret, and the signing secret, which Arize never shows again; empty for BEARER.
        """
        auth: dict[str, Any] = {"auth_type": "BEARER", "auth_token": token} if token else {"auth_type": "HMAC_SHA256"}
        body = {"organization_id": organization, "name": name, "url": url, "description": description, **auth}
        created = (await self._rest.send("POST", "/v2/webhooks", body=body)).body
        secret = str(created.pop("signing_secret", None) or "")
        if not created.get("id") or (not token and not secret):
            raise PermanentError("Arize created a webhook and did not answer with its id and signing secret")
        return created, secret

    async def move_webhook(self, webhook_id: str, url: str) -> None:
        """Let a webhook send to another address. It may be repeated."""
        await self._rest.send("PATCH", _webhook(webhook_id), body={"url": url})

    async def delete_webhook(self, webhook_id: str) -> None:
        """Delete a webhook, which detaches it from every monitor. It may be repeated."""
        await self._rest.send("DELETE", _webhook(webhook_id), accepted=(404,))

    async def test_webhook(self, webhook_id: str) -> TestResult:
        """Let Arize send a test event, which it does for BEARER only."""
        answer = (await self._rest.send("POST", f"{_webhook(webhook_id)}/test")).body
        status = answer.get("status_code")
        return TestResult(status if isinstance(status, int) else 0, str(answer.get("error_message") or ""))

    async def delivery_attempts(self, webhook_id: str, most: int = 20) -> list[dict[str, Any]]:
        """The latest attempts, newest first: ``event_id``, ``attempt_number``, ``payload``, ``status_code``, …"""
        answer = await self._rest.get(f"{_webhook(webhook_id)}/delivery-attempts", {"limit": str(most)})
        listed: list[dict[str, Any]] = answer.body.get("delivery_attempts") or []
        return sorted(listed, key=lambda one: str(one.get("created_at") or ""), reverse=True)


def _webhook(webhook_id: str) -> str:
    return f"/v2/webhooks/{quote(webhook_id, safe='')}"
