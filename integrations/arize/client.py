"""Arize's REST API v2: monitors, projects and their tags.

Source: the generated client of the ``arize`` SDK 8.61.0 (``MonitorsApi``, ``ProjectsApi``), for ``api.arize.com``.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, cast
from urllib.parse import quote

from integrations.arize.health import ArizeHealth
from integrations.base.errors import PermanentError, TemporaryError, from_http_status, json_object
from integrations.base.http import HttpClient

ROOT = "https://api.arize.com"
PAGE_SIZE = 100
"""The API's own limit."""
MAX_PAGES = 200
"""A cursor that goes on for longer is a fault of the API."""
TIMEOUT = 20.0  # seconds for one request
_REMEDY = "check ARIZE_API_KEY and its rights"

Status = Literal["TRIGGERED", "CLEARED"]
Monitor = Mapping[str, Any]
"""A monitor object, as the API returns it."""


class ArizeApi:
    """Reads monitors, projects and tags, and changes nothing.

    Every method raises PermanentError or TemporaryError, without the API key; Temporal retries.
    """

    def __init__(self, key: str, root: str = ROOT, space: str = "", health: ArizeHealth | None = None) -> None:
        """
        Args:
            key: the API key. Without it every request fails.
            root: the API's base URL.
            space: the id of a space; only its monitors and projects are listed. Empty means all spaces.
            health: counts the requests, and pauses them after failures.
        """
        self._key, self._root, self._space = key, root.rstrip("/"), space
        self._health = health or ArizeHealth()
        self._client = HttpClient("Arize", TIMEOUT)

    async def monitors(self, status: Status | None = None) -> AsyncIterator[Monitor]:
        """All monitors, or those with that status, read page by page."""
        query = {"status": status} if status else {}
        async for monitor in self._list("/v2/monitors", "monitors", query):
            yield monitor

    async def monitor(self, monitor_id: str) -> Monitor | None:
        """A monitor by its id; None if Arize has none with it."""
        return await self._find(f"/v2/monitors/{quote(monitor_id, safe='')}")

    async def monitor_tags(self, monitor_id: str) -> tuple[str, ...]:
        """The names of a monitor's tags."""
        return await self._tags(f"/v2/monitors/{quote(monitor_id, safe='')}/tags")

    async def projects(self) -> AsyncIterator[tuple[str, str]]:
        """The id and the name of every project."""
        async for project in self._list("/v2/projects", "projects", {}):
            yield str(project.get("id") or ""), str(project.get("name") or "")

    async def project(self, project_id: str) -> str:
        """A project's name, which Tocsin calls a model; empty if Arize has no such project."""
        project = await self._find(f"/v2/projects/{quote(project_id, safe='')}") if project_id else None
        return str((project or {}).get("name") or "")

    async def project_tags(self, project_id: str) -> tuple[str, ...]:
        """The names of a project's tags."""
        return await self._tags(f"/v2/projects/{quote(project_id, safe='')}/tags")

    async def close(self) -> None:
        await self._client.close()

    async def _tags(self, path: str) -> tuple[str, ...]:
        found = await self._get(path, {}, "tags", none_on_404=True)
        return tuple(str(tag.get("name") or "") for tag in found.get("tags") or ())

    async def _list(self, path: str, key: str, query: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
        query = {**query, "limit": str(PAGE_SIZE), **({"space_id": self._space} if self._space else {})}
        for _ in range(MAX_PAGES):
            page = await self._get(path, query, key)
            for one in page.get(key) or ():
                yield one
            pagination: Mapping[str, Any] = page.get("pagination") or {}
            if not pagination.get("has_more"):
                return
            query["cursor"] = str(pagination.get("next_cursor") or "")
        raise PermanentError(f"Arize lists more than {MAX_PAGES * PAGE_SIZE} {key}; set ARIZE_SPACE_ID")

    async def _find(self, path: str) -> Mapping[str, Any] | None:
        return await self._get(path, {}, "id", none_on_404=True) or None

    async def _get(
        self, path: str, query: Mapping[str, str], key: str, *, none_on_404: bool = False
    ) -> Mapping[str, Any]:
        """The body of a response, which has the key; a list of objects if the key is a plural."""
        if not self._key:
            raise PermanentError(
                "Arize cannot be read: set ARIZE_API_KEY for every worker, or TOCSIN_RECONCILE_INTERVAL=off"
            )
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        async with self._health.request("rest") as attempt:
            attempt.of_one = none_on_404
            response = await self._client.send("GET", f"{self._root}{path}", headers=headers, query=query)
            attempt.status = response.status_code
            if response.status_code == 404 and none_on_404:
                return {}
            if not response.is_success:
                raise from_http_status("Arize", response.status_code, response.headers, response.text, _REMEDY)
            return _with_key(json_object("Arize", response.status_code, response.text), key, path)


def _with_key(body: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    """The body. Raises TemporaryError if it has another shape: then something else than Arize answered."""
    value = body.get(key)
    if key == "id":
        expected = isinstance(value, str) and bool(value)
    else:
        expected = isinstance(value, list) and all(isinstance(one, Mapping) for one in cast("list[Any]", value))
    if not expected:
        raise TemporaryError(f"Arize answered {path} with JSON of another shape: it has no {key!r}")
    return body
