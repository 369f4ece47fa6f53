"""What planning needs to know of a tenant: its projects, monitors, integrations and custom metrics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from monitors.ownership import Mark, read_notes
from monitors.state import MonitorState, read_rest, webhooks_of


@dataclass(frozen=True)
class Project:
    id: str
    name: str
    space_id: str = ""


@dataclass(frozen=True)
class Integration:
    """A key of an alerting integration: Slack, PagerDuty or Opsgenie."""

    id: str
    name: str
    provider: str


@dataclass(frozen=True)
class Observed:
    """A monitor of the tenant. ``tags`` are read only of monitors that Tocsin manages or may take over."""

    id: str
    state: MonitorState
    mark: Mark | None = None
    tags: tuple[str, ...] = ()
    webhooks: tuple[str, ...] = ()
    """URLs."""
    url: str = ""
    notifications_enabled: bool = True


@dataclass(frozen=True)
class Unreadable:
    """A monitor that this version cannot read. Its mark may be Tocsin's all the same."""

    reason: str
    mark: Mark | None = None


def observe(monitor: Mapping[str, Any], tags: Iterable[str] = ()) -> Observed:
    """A monitor object of the REST API. Raises ValueError if this version does not know such a monitor."""
    mark, described = read_notes(str(monitor.get("notes") or ""))
    return Observed(
        id=str(monitor["id"]),
        state=read_rest(monitor, described),
        mark=mark,
        tags=tuple(tags),
        webhooks=webhooks_of(monitor),
        url=str(monitor.get("uri") or ""),
        notifications_enabled=monitor.get("notifications_enabled") is not False,
    )


@dataclass(frozen=True)
class Tenant:
    """A snapshot. ``custom_metrics`` maps a project's id to its custom metrics' ids and names."""

    projects: tuple[Project, ...] = ()
    monitors: tuple[Observed, ...] = ()
    integrations: tuple[Integration, ...] = ()
    custom_metrics: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    unreadable: Mapping[str, Unreadable] = field(default_factory=dict[str, Unreadable])
    """By id."""

    @cached_property
    def by_id(self) -> Mapping[str, Observed]:
        return {monitor.id: monitor for monitor in self.monitors}

    def managed(self, namespace: str) -> dict[str, list[Observed]]:
        """The monitors with a mark of this namespace, by key. More than one has the same key if somebody copied it."""
        found: dict[str, list[Observed]] = {}
        for monitor in self.monitors:
            if monitor.mark and monitor.mark.namespace == namespace:
                found.setdefault(monitor.mark.key, []).append(monitor)
        return found

    def find_projects(self, wanted: Iterable[str]) -> set[str]:
        """The ids of the projects that are named, by id or by name in any case."""
        wanted = set(wanted)
        names = {one.casefold() for one in wanted}
        return {one.id for one in self.projects if one.id in wanted or one.name.casefold() in names}

    def project_name(self, project_id: str) -> str:
        return next((project.name for project in self.projects if project.id == project_id), project_id)

    def integration_name(self, integration_id: str) -> str:
        return next((one.name for one in self.integrations if one.id == integration_id), integration_id)

    def custom_metric_name(self, project_id: str, metric_id: str) -> str:
        return self.custom_metrics.get(project_id, {}).get(metric_id, metric_id)
