"""Describes a monitor by Arize's REST and GraphQL APIs, in one round trip where that is possible."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from alerts import Description
from alerts.values import moment
from integrations.arize import graphql_monitor, metric_history
from integrations.arize.client import ArizeApi, Monitor
from integrations.arize.graphql import ArizeGraphQL
from integrations.arize.graphql_monitor import GraphQLMonitor, read_monitor
from integrations.arize.metric_history import Numbers, failing_window, read_numbers
from integrations.base.errors import IntegrationError, TemporaryError, VendorTimeoutError

T = TypeVar("T")

TIMEOUT = 20.0  # seconds for a whole description
FRESH = timedelta(hours=24)
"""For so long a description of an unchanged monitor holds: Arize reports no change of tags."""
FRESH_NUMBERS = timedelta(hours=1)
"""The same for a monitor with a dynamic threshold, whose numbers change."""
MAX_WARMED_PROJECTS = 200
_LIVE = frozenset({"status", "latest_computed_value", "evaluated_at"})
_CUSTOM_METRIC, _DIMENSION_TYPE = "its custom metric", "its dimension's data type"
_NUMBERS = "the numbers of its dynamic threshold"


@dataclass(frozen=True)
class _Project:
    name: str
    tags: tuple[str, ...]
    read_at: datetime


class ArizeDescriber:
    """Reads descriptions, and keeps projects in memory."""

    def __init__(self, rest: ArizeApi, graphql: ArizeGraphQL) -> None:
        self._rest, self._graphql = rest, graphql
        self._projects: dict[str, _Project] = {}

    async def describe(
        self,
        monitor_id: str,
        *,
        within: float = TIMEOUT,
        known: Description | None = None,
        listed: Monitor | None = None,
        project_id: str = "",
    ) -> Description | None:
        """The description of a monitor, read now. Parts that Arize does not answer are named in ``missing``.

        Args:
            monitor_id: Arize's id.
            within: seconds. What has not been answered by then is missing.
            known: an earlier description. If the monitor has not changed since, only its value and status are read.
            listed: the monitor object, if it was read a moment ago.
            project_id: the monitor's project, if it is known: it is then read in parallel.

        Returns:
            None if Arize has no such monitor.

        Raises:
            PermanentError, TemporaryError: neither API describes the monitor.
        """
        end = asyncio.get_running_loop().time() + within
        if known is not None and is_fresh(known, datetime.now(UTC)):
            monitor = listed or await self._monitor_within(monitor_id, within)
            if monitor is None:
                return None
            if same_settings(monitor, known.monitor):
                return known.model_copy(update={"monitor": dict(monitor)})
            listed = monitor
        left = end - asyncio.get_running_loop().time()
        return await _Reading(self, monitor_id, listed, project_id).description(left)

    async def warm(self) -> None:
        """Read all projects, so that the first sight of a monitor takes one round trip; the tags of each once a day.

        Raises:
            PermanentError, TemporaryError: Arize did not answer. What was read by then is kept.
        """
        self._graphql.open()
        found = [one async for one in self._rest.projects()][:MAX_WARMED_PROJECTS]
        now = datetime.now(UTC)
        for project_id, name in found:
            known = self._projects.get(project_id)
            if known is not None and known.name == name and now - known.read_at < FRESH:
                continue
            self._projects[project_id] = _Project(name, await self._rest.project_tags(project_id), now)

    async def _monitor_within(self, monitor_id: str, seconds: float) -> Monitor | None:
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                return await self._rest.monitor(monitor_id)
        except TimeoutError:
            raise VendorTimeoutError(f"Arize's REST API did not answer within {seconds:.1f} s") from None

    async def read_monitor(self, monitor_id: str) -> Monitor | None:
        return await self._rest.monitor(monitor_id)

    async def read_tags(self, monitor_id: str) -> tuple[str, ...]:
        return await self._rest.monitor_tags(monitor_id)

    async def read_project(self, project_id: str) -> _Project:
        """From memory, if it was read within a day."""
        known = self._projects.get(project_id)
        if known is not None and datetime.now(UTC) - known.read_at < FRESH:
            return known
        name, tags = await asyncio.gather(self._rest.project(project_id), self._rest.project_tags(project_id))
        project = self._projects[project_id] = _Project(name, tags, datetime.now(UTC))
        return project

    async def read_details(self, monitor_id: str) -> GraphQLMonitor:
        data = await self._graphql.execute(graphql_monitor.QUERY, {"id": monitor_id})
        return read_monitor(data.get("node"), monitor_id)

    async def read_history(self, monitor_id: str, start: datetime, end: datetime) -> Any:
        times = {"start": start.isoformat(), "end": end.isoformat()}
        data = await self._graphql.execute(metric_history.QUERY, {"id": monitor_id, **times})
        return data.get("node")


class _Reading:
    """The requests for one description, all at once."""

    def __init__(self, describer: ArizeDescriber, monitor_id: str, listed: Monitor | None, project_id: str) -> None:
        self._describer, self._id, self._now = describer, monitor_id, datetime.now(UTC)
        times = (self._now - metric_history.HISTORY, self._now)
        if listed is not None:
            times = failing_window(listed, self._now).history
        self._monitor = self._start(_return(listed) if listed else describer.read_monitor(monitor_id))
        self._tags = self._start(describer.read_tags(monitor_id))
        self._details = self._start(describer.read_details(monitor_id))
        # When the monitor was evaluated is known later: the last two weeks are read meanwhile.
        self._history = self._start(describer.read_history(monitor_id, *times))
        self._times = times
        self._project = self._start(self._project_of_monitor(project_id))
        self._missing: dict[str, str] = {}
        self._within = 0.0

    async def description(self, within: float) -> Description | None:
        self._within = within
        tasks: list[asyncio.Task[Any]] = [self._monitor, self._tags, self._details, self._history, self._project]
        end = asyncio.get_running_loop().time() + within
        try:
            await asyncio.wait(tasks, timeout=max(within, 0.0))
            monitor = self._essential()
            if monitor is None:
                return None
            if is_dynamic(monitor):
                numbers = await self._numbers(monitor, end - asyncio.get_running_loop().time())
            else:
                numbers = self._usual(monitor)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._assembled(monitor, numbers)

    def _essential(self) -> dict[str, Any] | None:
        """The monitor, by REST or else by GraphQL; None if REST says that there is none. Raises IntegrationError."""
        monitor, error = self._outcome(self._monitor)
        if error is None:
            return None if monitor is None else dict(monitor)
        details, _ = self._outcome(self._details)
        if details is None or details.monitor is None:
            raise error
        return details.monitor

    async def _numbers(self, monitor: Mapping[str, Any], left: float) -> Numbers:
        """The numbers of a dynamic threshold. Those of a monitor that was evaluated long ago need another request."""
        window = failing_window(monitor, self._now)
        node, error = self._outcome(self._history)
        numbers, other_times = read_numbers(node, window), window.history != self._times
        if error is None and numbers == Numbers() and other_times and left > 0:
            task = self._start(self._describer.read_history(self._id, *window.history))
            try:
                await asyncio.wait([task], timeout=left)
                node, error = self._outcome(task)
                numbers = read_numbers(node, window)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if error is not None:
            self._missing[_NUMBERS] = error.message
        return numbers

    def _usual(self, monitor: Mapping[str, Any]) -> Numbers:
        """The baseline of a monitor whose threshold is stated: nothing is missing without it."""
        node, _ = self._outcome(self._history)
        return Numbers(baseline=read_numbers(node, failing_window(monitor, self._now)).baseline)

    def _assembled(self, monitor: Mapping[str, Any], numbers: Numbers) -> Description:
        details, details_error = self._outcome(self._details)
        tags, tags_error = self._outcome(self._tags)
        project, project_error = self._outcome(self._project)
        if details_error is not None and _has_custom_metric(monitor):
            self._missing[_CUSTOM_METRIC] = details_error.message
        if details_error is not None and _needs_dimension_type(monitor):
            self._missing[_DIMENSION_TYPE] = details_error.message
        if tags_error is not None:
            self._missing["its tags"] = tags_error.message
        if project_error is not None:
            self._missing["its project"] = project_error.message
        return Description(
            monitor_id=self._id,
            monitor=dict(monitor),
            project=project.name if project else "",
            tags=tags or (),
            project_tags=project.tags if project else (),
            custom_metric=details.custom_metric if details else "",
            formula=details.formula if details else "",
            dimension_type=details.dimension_type if details else "",
            threshold=numbers.threshold,
            baseline=numbers.baseline,
            described_at=self._now,
            missing=tuple(f"{part}: {reason}" for part, reason in self._missing.items()),
        )

    async def _project_of_monitor(self, project_id: str) -> _Project:
        if not project_id:
            # A failure of the monitor's own request is reported there.
            await asyncio.wait([self._monitor])
            monitor, error = self._outcome(self._monitor)
            if error is not None:
                raise error
            project_id = str((monitor or {}).get("project_id") or "")
        return await self._describer.read_project(project_id) if project_id else _Project("", (), self._now)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return asyncio.create_task(work)

    def _outcome(self, task: asyncio.Task[T]) -> tuple[T | None, IntegrationError | None]:
        """The result of a request, or why there is none."""
        if not task.done() or task.cancelled():
            return None, VendorTimeoutError(f"Arize did not answer within {self._within:.1f} s")
        error = task.exception()
        if error is None:
            return task.result(), None
        if isinstance(error, IntegrationError):
            return None, error
        raise TemporaryError("Arize's answer could not be read") from error


async def _return(value: T) -> T:
    return value


def is_dynamic(monitor: Mapping[str, Any]) -> bool:
    """Whether the monitor's threshold is computed by Arize, so that REST shows no number."""
    threshold = monitor.get("threshold")
    kind = cast("Mapping[str, Any]", threshold).get("type") if isinstance(threshold, Mapping) else ""
    return str(kind).upper().startswith("DYNAMIC")


def is_fresh(description: Description, now: datetime) -> bool:
    """Whether a description still holds if the monitor's settings are the same."""
    limit = FRESH_NUMBERS if is_dynamic(description.monitor) else FRESH
    return not description.missing and now - description.described_at < limit


def same_settings(monitor: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two monitor objects differ only in what every evaluation changes."""
    return _settings(monitor) == _settings(other)


def evaluated_at(monitor: Mapping[str, Any]) -> datetime | None:
    """When the monitor was evaluated last, in UTC."""
    return moment(monitor.get("evaluated_at"))


def _settings(monitor: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in monitor.items() if name not in _LIVE}


def _has_custom_metric(monitor: Mapping[str, Any]) -> bool:
    return bool(monitor.get("custom_metric_id")) or str(monitor.get("type")).upper() == "CUSTOM_METRIC"


def _needs_dimension_type(monitor: Mapping[str, Any]) -> bool:
    return str(monitor.get("type")).upper() == "DRIFT" and bool(monitor.get("dimension"))
