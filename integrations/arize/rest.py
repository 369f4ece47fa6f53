"""Requests to Arize's REST API v2: the key, pages, retries of reads, and the mapping of errors."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

import httpx

from integrations.base.errors import IntegrationError, PermanentError, TemporaryError, from_http_status, json_object
from integrations.base.http import HttpClient

ROOT = "https://api.arize.com"
PAGE_SIZE = 100
MAX_PAGES = 500
"""A cursor that goes on for longer is a fault of the API."""
TIMEOUT = 20.0  # seconds for one request
ATTEMPTS = 4
"""Of a read. What changes something is sent once: nobody knows whether a request that failed was carried out."""
BACKOFF = 0.5
"""Seconds before the second attempt, doubled for each further one, unless Arize names a time."""
MAX_WAIT = 30.0
_REMEDY = "check ARIZE_API_KEY and its rights"
_T = TypeVar("_T")


class Answer(NamedTuple):
    """A response that is a success, or has an accepted status."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]
    seconds: float
    """From the request until the whole response."""


class RestClient:
    """Every method raises PermanentError or TemporaryError, without the API key."""

    def __init__(self, key: str, root: str = ROOT, *, attempts: int = ATTEMPTS) -> None:
        """
        Args:
            key: the API key. Without it every request fails.
            root: the API's base URL.
            attempts: of a read.
        """
        self._key, self._root, self._attempts = key, root.rstrip("/"), attempts
        self._client = HttpClient("Arize", TIMEOUT)

    async def close(self) -> None:
        await self._client.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """A response. It is retried if Arize is unavailable or limits the rate."""
        return await self.reading(lambda: self.send("GET", path, query=query))

    async def find(self, path: str) -> dict[str, Any] | None:
        """An object; None if Arize answers 404. It is retried as ``get`` is."""
        answer = await self.reading(lambda: self.send("GET", path, accepted=(404,)))
        return None if answer.status == 404 else answer.body

    async def pages(self, path: str, key: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """All objects of a list, read page by page."""
        found: list[dict[str, Any]] = []
        wanted = {**(query or {}), "limit": str(PAGE_SIZE)}
        for _ in range(MAX_PAGES):
            page = (await self.get(path, wanted)).body
            found += objects(page, key, path)
            pagination = cast("Mapping[str, Any]", page.get("pagination") or {})
            if not pagination.get("has_more"):
                return found
            wanted["cursor"] = str(pagination.get("next_cursor") or "")
        raise PermanentError(f"Arize lists more than {MAX_PAGES * PAGE_SIZE} {key}; choose a space")

    async def reading(self, read: Callable[[], Awaitable[_T]]) -> _T:
        """The result of a read, which is retried if Arize is unavailable or limits the rate."""
        for attempt in range(self._attempts - 1):
            try:
                return await read()
            except TemporaryError as error:
                await asyncio.sleep(min(error.retry_after or BACKOFF * 2**attempt, MAX_WAIT))
        return await read()

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        accepted: tuple[int, ...] = (),
    ) -> Answer:
        """One request, which is not retried.

        Args:
            accepted: statuses beside those of success that are no error; their body is not read.
        """
        if not self._key:
            raise PermanentError("Arize cannot be read: set ARIZE_API_KEY")
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        headers |= {"Content-Type": "application/json"} if body is not None else {}
        content = None if body is None else json.dumps(body).encode()
        self._client.open()
        began = time.perf_counter()
        response = await self._client.send(method, f"{self._root}{path}", headers=headers, query=query, content=content)
        seconds = time.perf_counter() - began
        if response.status_code in {204, *accepted}:
            return Answer(response.status_code, {}, response.headers, seconds)
        if not response.is_success:
            raise _error(response)
        parsed = json_object("Arize", response.status_code, response.text)
        return Answer(response.status_code, parsed, response.headers, seconds)


def objects(body: Mapping[str, Any], key: str, path: str) -> list[dict[str, Any]]:
    """The list of objects in a body. Raises TemporaryError if it has none: then something else than Arize answered."""
    value = body.get(key)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in cast("list[Any]", value)):
        raise TemporaryError(f"Arize answered {path} with JSON of another shape: it has no {key!r}")
    return cast("list[dict[str, Any]]", value)


def _error(response: httpx.Response) -> IntegrationError:
    return from_http_status("Arize", response.status_code, response.headers, response.text, _REMEDY)
