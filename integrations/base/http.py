"""The HTTP client of integrations, and the base of destinations that send JSON without a library of the vendor."""

import json
import ssl
from abc import ABC
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

import httpx

from integrations.base.destination import TIMEOUT, USER_AGENT, ConfigT, Destination
from integrations.base.errors import IntegrationError, from_http_status, json_object, unreachable


@cache
def _certificates() -> ssl.SSLContext:
    """The authorities that are trusted. Reading them takes 40 ms, and every destination has a client."""
    return httpx.create_ssl_context()


class HttpClient:
    """A connection pool for one vendor. It follows no redirect, and it retries nothing: Temporal retries, durably.

    It opens with the first request, and again with the first one after ``close``.
    """

    def __init__(self, vendor: str, timeout: float = TIMEOUT) -> None:
        self._vendor, self._timeout = vendor, timeout
        self._client: httpx.AsyncClient | None = None

    def open(self) -> httpx.AsyncClient:
        """Open the pool now, which reads certificates: a caller that counts time does so before it starts to count."""
        if self._client is None:
            headers = {"User-Agent": USER_AGENT}
            self._client = httpx.AsyncClient(
                timeout=self._timeout, follow_redirects=False, headers=headers, verify=_certificates()
            )
        return self._client

    async def send(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The vendor's response, whatever its status. Raises TemporaryError if none arrives."""
        try:
            return await self.open().request(method, url, headers=headers, content=content, params=query)
        except httpx.HTTPError as error:
            raise unreachable(self._vendor, error) from None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


class HttpDestination(Destination[ConfigT], ABC):
    """A destination that sends JSON over HTTP."""

    vendor: str = "the receiver"
    """The vendor's name in error messages."""
    remedy: str = "check the destination's address and secrets"
    """What to do about a permanent error."""

    @cached_property
    def _client(self) -> HttpClient:
        return HttpClient(self.vendor)  # a destination may set its vendor's name when it is created

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
        """The vendor's response, if it is a success. Raises PermanentError or TemporaryError, never with the URL."""
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        all_headers = {"Content-Type": "application/json", **(headers or {})}
        response = await self._client.send(method, url, content=content, headers=all_headers, query=query)
        if not response.is_success:
            raise self.error_for(response)
        return response

    def error_for(self, response: httpx.Response) -> IntegrationError:
        """The error for a response that is no success. A vendor with more specific errors overrides it."""
        return from_http_status(self.vendor, response.status_code, response.headers, response.text, self.remedy)

    def json(self, response: httpx.Response) -> dict[str, Any]:
        """The parsed body. Raises TemporaryError if it is no JSON object."""
        return json_object(self.vendor, response.status_code, response.text)

    async def close(self) -> None:
        await self._client.close()
