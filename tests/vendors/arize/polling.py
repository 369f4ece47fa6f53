"""A stand-in for Arize's REST API v2, as the generated client of the ``arize`` SDK 8.61.0 describes it."""

import base64
from datetime import UTC, datetime
from typing import Any

from tests.vendors.server import Request, Vendor

_QUERY = {"space_id", "status", "limit", "cursor"}


class Arize(Vendor):
    def __init__(self, key: str = "arize-key", page: int = 100) -> None:
        super().__init__()
        self.key = key
        self.page = page
        """The most monitors in one page, whatever limit is requested."""
        self.monitors: dict[str, dict[str, Any]] = {}
        self.projects = {"proj-1": "chatbot"}

    def put(self, monitor_id: str, status: str = "TRIGGERED", **changes: Any) -> None:
        """Add or replace a monitor with that status, evaluated now."""
        monitor = {
            "id": monitor_id,
            "name": f"error_rate monitor {monitor_id}",
            "type": "CUSTOM_METRIC",
            "metric": "error_rate",
            "project_id": "proj-1",
            "uri": f"https://app.arize.com/organizations/o/spaces/s/monitors/{monitor_id}",
            "status": status,
            "threshold": {"type": "SINGLE", "value": 0.05, "operator": "GREATER_THAN"},
            "latest_computed_value": 0.31 if status == "TRIGGERED" else 0.01,
            "notifications_enabled": True,
            "notification_configs": [{"type": "WEBHOOK", "id": "w", "url": "https://tocsin/webhooks/arize"}],
            "evaluated_at": datetime.now(UTC).isoformat(),
        }
        self.monitors[monitor_id] = {**monitor, **changes}

    def answer(self, request: Request) -> tuple[int, Any]:
        if request.path == "/graphql":
            return 200, {"data": {"node": None}}  # it shows no monitor: the tenant's stand-in has a real GraphQL
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return 401, {"title": "Unauthorized", "status": 401}
        if request.method != "GET":
            self.violations.append(f"Tocsin must only read, but sent a {request.method}")
        match request.path.strip("/").split("/"):
            case ["v2", "monitors"]:
                return 200, self._list(request.query)
            case ["v2", "monitors", name] if name in self.monitors:
                return 200, self.monitors[name]
            case ["v2", "projects", name] if name in self.projects:
                return 200, {"id": name, "name": self.projects[name]}
            case ["v2", "projects"]:
                projects = [{"id": name, "name": title} for name, title in self.projects.items()]
                return 200, {"projects": projects, "pagination": {"has_more": False}}
            case ["v2", "monitors", name, "tags"] if name in self.monitors:
                return 200, {"tags": [], "pagination": {"has_more": False}}
            case ["v2", "projects", name, "tags"] if name in self.projects:
                return 200, {"tags": [], "pagination": {"has_more": False}}
            case ["v2", "monitors" | "projects", _] | ["v2", "monitors" | "projects", _, "tags"]:
                return 404, {"title": "Not Found", "status": 404}
            case _:
                self.violations.append(f"Arize has no {request.path}")
                return 404, {}

    def _list(self, query: dict[str, str]) -> dict[str, Any]:
        self.violations += [f"unknown parameter {name}" for name in set(query) - _QUERY]
        limit = int(query.get("limit", "50"))
        if not 1 <= limit <= 100:
            self.violations.append(f"limit is {limit}; it may be 1 to 100")
        found = [one for one in self.monitors.values() if query.get("status", one["status"]) == one["status"]]
        begin = int(base64.b64decode(query["cursor"])) if "cursor" in query else 0
        end = begin + min(limit, self.page)
        pagination: dict[str, Any] = {"has_more": end < len(found)}
        if pagination["has_more"]:
            pagination["next_cursor"] = base64.b64encode(str(end).encode()).decode()
        return {"monitors": found[begin:end], "pagination": pagination}
