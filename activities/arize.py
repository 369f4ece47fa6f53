"""Arize's REST API v2, as far as it tells of monitors and their projects.

Source: the generated client of the ``arize`` SDK 8.61.0 (``MonitorsApi``, ``ProjectsApi``), for ``api.arize.com``.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal
from urllib.parse import quote

import httpx

from activities.failures import by_status, json_object, permanent, temporary

ROOT = "https://api.arize.com"
PAGE = 100  # the most that a page holds
PAGES = 200  # so many are read before somebody has to look: an endless cursor is a fault
TIMEOUT = 20.0  # seconds
REMEDY = "check ARIZE_API_KEY and its rights"

Status = Literal["TRIGGERED", "CLEARED"]
Monitor = Mapping[str, Any]


class ArizeApi:
    """Reads only. Raises ApplicationError, permanent or temporary; Temporal retries."""

    def __init__(self, key: str, root: str = ROOT, space: str = "") -> None:
        """``space`` limits it to the monitors of one space, by its id."""
        self._key, self._root, self._space = key, root.rstrip("/"), space
        self._client: httpx.AsyncClient | None = None

    async def monitors(self, status: Status) -> AsyncIterator[Monitor]:
        """All with that status, page by page."""
        query = {"status": status, "limit": str(PAGE), **({"space_id": self._space} if self._space else {})}
        for _ in range(PAGES):
            page = await self._get("/v2/monitors", query)
            for one in page.get("monitors") or ():
                yield one
            pagination: Mapping[str, Any] = page.get("pagination") or {}
            if not pagination.get("has_more"):
                return
            query["cursor"] = str(pagination.get("next_cursor") or "")
        raise permanent(f"Arize lists more than {PAGES * PAGE} monitors that are {status}; name a space")

    async def monitor(self, monitor_id: str) -> Monitor | None:
        """One by its id; None where Arize knows none."""
        return await self._find(f"/v2/monitors/{quote(monitor_id, safe='')}")

    async def project(self, project_id: str) -> str:
        """A project's name, which is what Tocsin calls a model."""
        found = await self._find(f"/v2/projects/{quote(project_id, safe='')}") if project_id else None
        return str((found or {}).get("name") or "")

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _find(self, path: str) -> Mapping[str, Any] | None:
        return await self._get(path, {}, missing=True) or None

    async def _get(self, path: str, query: Mapping[str, str], *, missing: bool = False) -> Mapping[str, Any]:
        if not self._key:
            raise permanent("Arize cannot be asked: set ARIZE_API_KEY for every worker, or TOCSIN_CATCH_UP=off")
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False)
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        try:
            answer = await self._client.get(f"{self._root}{path}", params=query, headers=headers)
        except httpx.HTTPError as error:
            raise temporary(f"Arize could not be reached: {type(error).__name__}") from None
        if answer.status_code == 404 and missing:
            return {}
        if not answer.is_success:
            raise by_status("Arize", answer.status_code, answer.headers, answer.text, REMEDY)
        return json_object("Arize", answer.status_code, answer.text)
