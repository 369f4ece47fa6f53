"""The activity ``refresh_descriptions``: keeps the cache of descriptions as Arize has them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from random import SystemRandom
from typing import Any

import structlog
from temporalio import activity

from activities.contracts import Refresh
from activities.errors import integration_errors
from activities.heartbeats import heartbeats
from alerts import Description
from integrations.arize.client import ArizeApi, Monitor
from integrations.arize.describer import ArizeDescriber, is_fresh, same_settings
from integrations.arize.description_cache import DescriptionCache
from integrations.arize.health import ArizeHealth
from integrations.base.errors import PermanentError

BUDGET = 90.0  # seconds of one refresh; the next one continues
MAX_CONCURRENCY = 8
BATCH_SIZE = 100
MAX_CHECKED = 50
"""Descriptions of monitors that were not listed, which one refresh checks by their ids."""

_log = structlog.get_logger()


class DescriptionRefresher:
    """Lists all monitors page by page, and describes those that are new or have changed."""

    def __init__(
        self, rest: ArizeApi, describer: ArizeDescriber, descriptions: DescriptionCache, health: ArizeHealth
    ) -> None:
        self._rest, self._describer, self._descriptions, self._health = rest, describer, descriptions, health

    @activity.defn(name="refresh_descriptions")
    async def refresh_descriptions(self) -> Refresh:
        """Refresh as much as the budget allows; idempotent.

        Raises:
            ApplicationError: Arize does not list its monitors.
        """
        async with heartbeats():
            with integration_errors():
                refresh = await self._refresh()
        _log.info(
            "descriptions_refreshed",
            monitors=refresh.monitors,
            described=refresh.described,
            removed=refresh.removed,
            complete=refresh.complete,
        )
        return refresh

    async def _refresh(self) -> Refresh:
        await self._descriptions.load()
        await self._describer.warm()
        now, listed = datetime.now(UTC), set[str]()
        new: dict[str, Monitor] = {}
        changed: dict[str, Monitor] = {}
        async for monitor in self._rest.monitors():
            monitor_id = str(monitor.get("id") or "")
            listed.add(monitor_id)
            known = self._descriptions.get(monitor_id)
            if known is None:
                new[monitor_id] = monitor
            elif not (is_fresh(known, now) and same_settings(monitor, known.monitor)):
                changed[monitor_id] = monitor
        described, complete = await self._describe({**new, **changed})
        removed = await self._remove_unlisted(listed)
        await self._descriptions.save()
        return Refresh(monitors=len(listed), described=described, removed=removed, complete=complete)

    async def _describe(self, monitors: Mapping[str, Monitor]) -> tuple[int, bool]:
        """How many were described, and whether all were. A rate limit, or the budget, leaves the rest."""
        end = asyncio.get_running_loop().time() + BUDGET
        gate, described = asyncio.Semaphore(MAX_CONCURRENCY), 0

        async def describe(monitor_id: str, monitor: Mapping[str, Any]) -> None:
            nonlocal described
            async with gate:
                if self._health.must_wait or asyncio.get_running_loop().time() > end:
                    return
                found = await self._describer.describe(monitor_id, listed=monitor)
            if found is not None:
                self._descriptions.add([_better(self._descriptions.get(monitor_id), found)])
                described += 1

        items = list(monitors.items())
        for begin in range(0, len(items), BATCH_SIZE):
            await asyncio.gather(*(describe(*one) for one in items[begin : begin + BATCH_SIZE]))
            await self._descriptions.save()
        return described, described == len(items)

    async def _remove_unlisted(self, listed: set[str]) -> int:
        """Forget monitors that Arize does not have any more. One of another space is not listed, and stays."""
        unlisted = sorted(self._descriptions.ids - listed)
        checked = SystemRandom().sample(unlisted, min(len(unlisted), MAX_CHECKED))
        gone = [monitor_id for monitor_id in checked if await self._is_gone(monitor_id)]
        self._descriptions.remove(gone)
        return len(gone)

    async def _is_gone(self, monitor_id: str) -> bool:
        """A monitor that the key may not read any more is kept, and costs the others nothing."""
        try:
            return await self._rest.monitor(monitor_id) is None
        except PermanentError:
            return False


def _better(known: Description | None, found: Description) -> Description:
    """What was read now, completed by what was known of an unchanged monitor where Arize did not answer."""
    if known is None or not found.missing or not same_settings(found.monitor, known.monitor):
        return found
    kept = ("project", "tags", "project_tags", "custom_metric", "formula", "dimension_type", "threshold", "baseline")
    return found.model_copy(update={name: getattr(found, name) or getattr(known, name) for name in kept})
