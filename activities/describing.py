"""Describes alerts: by the cache, and by a request to Arize for what the cache does not know."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from alerts import Alert, Description, described, needs_description
from integrations.arize.client import Monitor
from integrations.base.errors import IntegrationError, PermanentError, TemporaryError, VendorTimeoutError

NO_KEY = "ARIZE_API_KEY is not set"


class _NoKeyError(PermanentError):
    """There is nothing to ask with."""


class Descriptions(Protocol):
    """The descriptions that are known; a ``DescriptionCache``."""

    def get(self, monitor_id: str, /) -> Description | None: ...
    def add(self, descriptions: "list[Description]", /) -> None: ...
    async def save(self) -> bool: ...


class Describer(Protocol):
    """Reads descriptions; an ``ArizeDescriber``."""

    async def describe(
        self,
        monitor_id: str,
        *,
        within: float = ...,
        known: Description | None = None,
        listed: Monitor | None = None,
        project_id: str = "",
    ) -> Description | None: ...


@dataclass(frozen=True)
class DescribedAlert:
    """``retry``: a later attempt may describe it. ``reason`` is a word for metrics; empty if nothing is missing."""

    alert: Alert
    retry: bool = False
    reason: str = ""
    error: IntegrationError | None = None


class AlertDescriber:
    """Completes alerts with descriptions, within the time that the caller has."""

    def __init__(self, descriptions: Descriptions, arize: Describer | None) -> None:
        """
        Args:
            descriptions: what is known.
            arize: None without an API key.
        """
        self._descriptions, self._arize = descriptions, arize
        self._saving: set[asyncio.Task[bool]] = set()

    async def describe(self, alerts: Sequence[Alert], within: float) -> list[DescribedAlert]:
        """The alerts as described, in their order; each monitor is read once. Never raises an IntegrationError.

        Args:
            alerts: interpreted or not; the results are not interpreted.
            within: seconds; without any, Arize is not asked.
        """
        alerts = [one.as_read().model_copy(update={"undescribed": ""}) for one in alerts]
        cached = [self._by_cache(one) for one in alerts]
        lacks = [needs_description(one) for one in cached]
        lacking = {one.monitor_id: one for one, lack in zip(alerts, lacks, strict=True) if lack}
        reads = await asyncio.gather(*(self._read(one, within) for one in lacking.values()))
        found = dict(zip(lacking, reads, strict=True))
        return [
            _completed(alert, known, lack, found[alert.monitor_id]) if lack else DescribedAlert(known)
            for alert, known, lack in zip(alerts, cached, lacks, strict=True)
        ]

    def _by_cache(self, alert: Alert) -> Alert:
        known = self._descriptions.get(alert.monitor_id) if alert.monitor_id and not alert.drill else None
        return described(alert, known) if known else alert

    async def _read(self, alert: Alert, within: float) -> "Description | IntegrationError | None":
        if self._arize is None:
            return _NoKeyError(NO_KEY)
        if within <= 0:
            return VendorTimeoutError("Arize was not asked, since no time was left")
        known = self._descriptions.get(alert.monitor_id)
        try:
            found = await self._arize.describe(
                alert.monitor_id, within=within, known=known, project_id=alert.project_id
            )
        except IntegrationError as error:
            return error
        if found is not None:
            self.keep(found)
        return found

    def keep(self, found: Description) -> None:
        """Add a description to the cache; it is written beside what the caller does next."""
        self._descriptions.add([found])
        task = asyncio.create_task(self._descriptions.save())
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)


def _completed(alert: Alert, cached: Alert, lack: str, found: Description | IntegrationError | None) -> DescribedAlert:
    """The alert with what was read, or as the cache knows it and with the reason why nothing was read."""
    if isinstance(found, Description):
        live = described(alert, found, live=True)
        if not found.missing:
            return DescribedAlert(live)
        text = "; ".join(found.missing)
        return DescribedAlert(_undescribed(live, text), True, "incomplete", TemporaryError(text))
    if found is None:
        text = f"{lack}: Arize has no monitor with the id {alert.monitor_id}"
        return DescribedAlert(_undescribed(cached, text), reason="unknown_monitor")
    undescribed = _undescribed(cached, f"{lack}: {found.message}")
    if isinstance(found, _NoKeyError):
        return DescribedAlert(undescribed, reason="no_key")
    reason = "timeout" if isinstance(found, VendorTimeoutError) else "refused" if found.permanent else "unavailable"
    return DescribedAlert(undescribed, True, reason, found)


def _undescribed(alert: Alert, why: str) -> Alert:
    return alert.model_copy(update={"undescribed": why})
