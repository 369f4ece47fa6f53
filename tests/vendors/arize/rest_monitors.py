"""REST v2: monitors with every filter, tags, and the tags of monitors and projects."""

from typing import Any

from tests.vendors.arize.ids import moment
from tests.vendors.arize.rest import Answer, Call, Handler, ProblemError, contains, found, in_space
from tests.vendors.arize.state import Row, TenantState, now

_ENUMERATIONS = {
    "type": {"DATA_QUALITY", "PERFORMANCE", "DRIFT", "CUSTOM_METRIC", "TRACING"},
    "status": {"TRIGGERED", "CLEARED", "NO_DATA"},
    "notifications_enabled": {"true", "false"},
}


class MonitorRoutes:
    def __init__(self, state: TenantState) -> None:
        self.state = state

    def routes(self) -> dict[tuple[str, str], Handler]:
        return {
            ("GET", "/v2/monitors"): self.list_monitors,
            ("GET", "/v2/monitors/{}"): lambda call, id_: (200, found(self.state.monitors, id_)),
            ("GET", "/v2/monitors/{}/tags"): lambda call, id_: self._tags(self._of_monitor(id_)),
            ("POST", "/v2/monitors/{}/tags"): lambda call, id_: self._add(call, self._of_monitor(id_)),
            ("DELETE", "/v2/monitors/{}/tags"): lambda call, id_: self._remove(call, self._of_monitor(id_)),
            ("GET", "/v2/projects/{}/tags"): lambda call, id_: self._tags(self._of_project(id_)),
            ("POST", "/v2/projects/{}/tags"): lambda call, id_: self._add(call, self._of_project(id_)),
            ("DELETE", "/v2/projects/{}/tags"): lambda call, id_: self._remove(call, self._of_project(id_)),
            ("POST", "/v2/tags"): self.create_tag,
            ("PATCH", "/v2/tags/{}"): self.update_tag,
            ("DELETE", "/v2/tags/{}"): self.delete_tag,
        }

    def list_monitors(self, call: Call) -> Answer:
        query = call.query
        for name, values in _ENUMERATIONS.items():
            if name in query and query[name] not in values:
                raise ProblemError(400, f"{name} must be one of {', '.join(sorted(values))}")
        for name, table in (
            ("space_id", self.state.spaces),
            ("project_id", self.state.projects),
            ("custom_metric_id", self.state.custom_metrics),
        ):
            if name in query:
                found(table, query[name])
        rows = [row for row in self.state.monitors.newest() if self._matches(row, query)]
        return call.page(self.state.monitors, rows, "monitors")

    def _matches(self, monitor: Row, query: dict[str, str]) -> bool:
        project = self.state.projects.get(monitor["project_id"]) or {"space_id": self.state.space["id"], "name": ""}
        dimension = monitor.get("dimension") or {}
        kind, metric = monitor["type"], monitor.get("metric")
        notifies = "true" if monitor.get("notifications_enabled") else "false"
        exact: dict[str, Any] = {
            "project_id": monitor["project_id"],
            "project_name": project["name"],
            "type": kind,
            "status": monitor.get("status"),
            "notifications_enabled": notifies,
            "dimension_category": dimension.get("category"),
            "dimension_name": dimension.get("name"),
            "data_quality_metric": metric if kind in {"DATA_QUALITY", "TRACING"} else None,
            "performance_metric": metric if kind == "PERFORMANCE" else None,
            "drift_metric": metric if kind == "DRIFT" else None,
            "custom_metric_id": monitor.get("custom_metric_id"),
        }
        return (
            in_space(self.state, project, query)
            and contains(monitor, "name", query.get("name"))
            and all(query.get(name, value) == value for name, value in exact.items())
        )

    # Tags

    def _of_monitor(self, monitor_id: str) -> tuple[list[str], Row]:
        """The list of a monitor's tag ids, and its space."""
        monitor = found(self.state.monitors, monitor_id)
        return self.state.extras[monitor["id"]].tags, self.state.space_of(monitor)

    def _of_project(self, project_id: str) -> tuple[list[str], Row]:
        project = found(self.state.projects, project_id)
        space = found(self.state.spaces, project["space_id"])
        return self.state.project_tags.setdefault(project["id"], []), space

    def _tags(self, place: tuple[list[str], Row]) -> Answer:
        rows = [self.state.tags.get(one) for one in place[0]]
        attached = sorted((row for row in rows if row), key=lambda row: moment(row["updated_at"]), reverse=True)
        return 200, {"tags": attached, "pagination": {"has_more": False}}

    def _add(self, call: Call, place: tuple[list[str], Row]) -> Answer:
        attached, space = place
        for tag_id in call.body["tag_ids"]:
            tag = found(self.state.tags, tag_id)
            if tag["space_id"] != space["id"]:
                raise ProblemError(422, f"tag {tag_id} belongs to another space")
        attached += [one for one in dict.fromkeys(call.body["tag_ids"]) if one not in attached]
        return self._tags(place)

    def _remove(self, call: Call, place: tuple[list[str], Row]) -> Answer:
        attached, _ = place
        deleted = [one for one in dict.fromkeys(call.body["tag_ids"]) if one in attached]
        absent = [one for one in dict.fromkeys(call.body["tag_ids"]) if one not in attached]
        attached[:] = [one for one in attached if one not in deleted]
        return 200, {"completed": not absent, "deleted": deleted, "not_deleted": absent}

    def create_tag(self, call: Call) -> Answer:
        space = found(self.state.spaces, call.body["space_id"])
        name = self._free_name(call.body["name"], space["id"])
        added = now()
        fields: Row = {"description": None, "color": None, "created_at": added, "updated_at": added}
        return 201, self.state.tags.add({**fields, **call.body, "name": name})

    def update_tag(self, call: Call, tag_id: str) -> Answer:
        tag = found(self.state.tags, tag_id)
        if not call.body:
            raise ProblemError(400, "At least one field (name, description, color) must be provided")
        if "name" in call.body:
            self._free_name(call.body["name"], tag["space_id"], tag_id)
        return 200, self.state.tags.add({**tag, **call.body, "updated_at": now()})

    def delete_tag(self, call: Call, tag_id: str) -> Answer:
        found(self.state.tags, tag_id)
        self.state.tags.remove(tag_id)
        attachments = [extras.tags for extras in self.state.extras.values()]
        for attached in (*attachments, *self.state.project_tags.values()):
            attached[:] = [one for one in attached if one != tag_id]
        return 204, None

    def _free_name(self, name: str, space_id: str, except_id: str | None = None) -> str:
        stripped = name.strip()
        if not stripped:
            raise ProblemError(422, "name must not be empty")
        for row in self.state.tags.newest():
            same = row["space_id"] == space_id and row["name"].casefold() == stripped.casefold()
            if same and row["id"] != except_id:
                raise ProblemError(409, "A tag with this name already exists in the space")
        return stripped
