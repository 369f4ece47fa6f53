"""Arize's REST API v2: monitors and their projects.

Source: the generated client of the ``arize`` SDK 8.61.0 (``MonitorsApi``, ``ProjectsApi``), for ``api.arize.com``.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal
from urllib.parse import quote

from integrations.base.errors import PermanentError, from_http_status, json_object
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
    """Reads monitors and projects, and changes nothing.

    Every method raises PermanentError or TemporaryError, without the API key; Temporal retries.
    """

    def __init__(self, key: str, root: str = ROOT, space: str = "") -> None:
        """
        Args:
            key: the API key. Without it every request fails.
            root: the API's base URL.
            space: the id of a space; only its monitors are listed. Empty means all spaces.
        """
        self._key, self._root, self._space = key, root.rstrip("/"), space
        self._client: HttpClient | None = None

    async def monitors(self, status: Status) -> AsyncIterator[Monitor]:
        """All monitors with that status, read page by page."""
        query = {"status": status, "limit": str(PAGE_SIZE), **({"space_id": self._space} if self._space else {})}
        for _ in range(MAX_PAGES):
            page = await self._get("/v2/monitors", query)
            for monitor in page.get("monitors") or ():
                yield monitor
            pagination: Mapping[str, Any] = page.get("pagination") or {}
            if not pagination.get("has_more"):
                return
            query["cursor"] = str(pagination.get("next_cursor") or "")
        limit = MAX_PAGES * PAGE_SIZE
        raise PermanentError(f"Arize lists more than {limit} monitors with status {status}; set ARIZE_SPACE_ID")

    async def monitor(self, monitor_id: str) -> Monitor | None:
        """A monitor by its id; None if Arize has none with it."""
        return await self._find(f"/v2/monitors/{quote(monitor_id, safe='')}")

    async def project(self, project_id: str) -> str:
        """A project's name, which Tocsin calls a model; empty if Arize has no such project."""
        project = await self._find(f"/v2/projects/{quote(project_id, safe='')}") if project_id else None
        return str((project or {}).get("name") or "")

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _find(self, path: str) -> Mapping[str, Any] | None:
        return await self._get(path, {}, none_on_404=True) or None

    async def _get(self, path: str, query: Mapping[str, str], *, none_on_404: bool = False) -> Mapping[str, Any]:
        if not self._key:
            raise PermanentError(
                "Arize cannot be read: set ARIZE_API_KEY for every worker, or TOCSIN_RECONCILE_INTERVAL=off"
            )
        if self._client is None:
            self._client = HttpClient("Arize", TIMEOUT)
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        response = await self._client.send("GET", f"{self._root}{path}", headers=headers, query=query)
        if response.status_code == 404 and none_on_404:
            return {}
        if not response.is_success:
            raise from_http_status("Arize", response.status_code, response.headers, response.text, _REMEDY)
        return json_object("Arize", response.status_code, response.text)
