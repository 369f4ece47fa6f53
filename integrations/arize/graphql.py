"""Arize's GraphQL API: what its REST API does not have, such as metric histories, custom metrics and mutations.

Source: Arize's public GraphQL reference and the client ``arize-toolkit`` 1.0.20: ``POST /graphql`` of the application,
with the API key in ``x-api-key``.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

import httpx

from integrations.arize.health import ArizeHealth
from integrations.base.errors import IntegrationError, PermanentError, TemporaryError, from_http_status, json_object
from integrations.base.http import HttpClient

ROOT = "https://app.arize.com"
TIMEOUT = 20.0  # seconds for one request
_REMEDY = "check ARIZE_API_KEY, and that its user may use GraphQL"
_MAX_MESSAGE_CHARS = 300
_TRANSIENT = ("timeout", "timed out", "temporar", "unavailable", "rate limit", "too many", "try again", "internal")
"""Words of GraphQL errors that a retry may cure. Arize documents no error codes."""


class ArizeGraphQL:
    """Executes queries and mutations. Retries nothing; Temporal retries."""

    def __init__(self, key: str, root: str = ROOT, health: ArizeHealth | None = None) -> None:
        """
        Args:
            key: the API key. Without it every request fails.
            root: the application's base URL.
            health: counts the requests, and pauses them after failures.
        """
        self._key, self._root = key, root.rstrip("/")
        self._health = health or ArizeHealth()
        self._client = HttpClient("Arize", TIMEOUT)

    def open(self) -> None:
        """Prepare the client: its first use would take a tenth of a second more."""
        self._client.open()

    async def execute(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The ``data`` of the response.

        Raises:
            PermanentError: Arize refuses the key or the query.
            TemporaryError: Arize did not answer, limits the rate, or failed. Neither contains the key.
        """
        if not self._key:
            raise PermanentError("Arize cannot be read: set ARIZE_API_KEY")
        content = json.dumps({"query": query, "variables": dict(variables)}).encode()
        headers = {"x-api-key": self._key, "Content-Type": "application/json", "Accept": "application/json"}
        async with self._health.request("graphql") as attempt:
            response = await self._client.send("POST", f"{self._root}/graphql", content=content, headers=headers)
            attempt.status = response.status_code
            return _data(response)

    async def close(self) -> None:
        await self._client.close()


def _data(response: httpx.Response) -> dict[str, Any]:
    """The ``data`` of a response. Raises PermanentError or TemporaryError."""
    if not response.is_success:
        raise from_http_status("Arize", response.status_code, response.headers, response.text, _REMEDY)
    body = json_object("Arize", response.status_code, response.text)
    if errors := body.get("errors"):
        raise _error(errors)
    data = body.get("data")
    if not isinstance(data, dict):
        raise TemporaryError("Arize answered a GraphQL request without data")
    return cast("dict[str, Any]", data)


def _error(errors: Any) -> IntegrationError:
    """The error for the errors of a GraphQL response."""
    listed = cast("list[Any]", errors) if isinstance(errors, list) else [errors]
    texts = [
        str(cast("Mapping[str, Any]", one).get("message", one)) if isinstance(one, Mapping) else str(one)
        for one in listed
    ]
    text = "; ".join(texts)[:_MAX_MESSAGE_CHARS]
    if any(word in text.casefold() for word in _TRANSIENT):
        return TemporaryError(f"Arize's GraphQL failed: {text}")
    return PermanentError(f"Arize's GraphQL refused: {text}; {_REMEDY}")
