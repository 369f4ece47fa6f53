"""What destinations share that speak JSON over HTTP without a library of the vendor's own: one pool, one sorting."""

import json
from abc import ABC
from collections.abc import Mapping
from typing import Any

import httpx
from temporalio.exceptions import ApplicationError

from activities.destinations.base import TIMEOUT, USER_AGENT, Destination, Secrets
from activities.failures import by_status, json_object, temporary


class HttpDestination(Destination, ABC):
    """One pool of connections a destination; nothing is retried here: Temporal retries, durably."""

    vendor = "the receiver"
    """How messages call it."""
    remedy = "check the destination's address and secrets"
    """What to do about an answer that trying again cannot mend."""

    def __init__(self, name: str, secrets: Secrets, public_url: str) -> None:
        super().__init__(name, secrets, public_url)
        self._client: httpx.AsyncClient | None = None

    async def post(
        self, url: str, body: Mapping[str, Any] | bytes, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return await self.send("POST", url, body, headers)

    async def send(
        self,
        method: str,
        url: str,
        body: Mapping[str, Any] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send; a success is given back. Raises ``permanent`` or ``temporary``, whose texts never hold the address.

        An address may hold a secret, and so may whatever a library says of it.
        """
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False)
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"User-Agent": USER_AGENT, "Content-Type": "application/json", **(headers or {})}
        try:
            answer = await self._client.request(method, url, headers=sent, content=content, params=query)
        except httpx.HTTPError as error:
            raise temporary(f"{self.vendor} could not be reached: {type(error).__name__}") from None
        if not answer.is_success:
            raise self.refused(answer)
        return answer

    def refused(self, answer: httpx.Response) -> ApplicationError:
        """How this vendor's answer is sorted; one that says more than its status does is read here."""
        return by_status(self.vendor, answer.status_code, answer.headers, answer.text, self.remedy)

    def json(self, answer: httpx.Response) -> dict[str, Any]:
        """Raises ``temporary`` where the body is no JSON object."""
        return json_object(self.vendor, answer.status_code, answer.text)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None
