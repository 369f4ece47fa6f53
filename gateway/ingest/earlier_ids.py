"""The open incidents of version 1.0, whose ids depend on the monitor's name, model and environment.

An incident that 1.0 opened keeps its id until it closes, so the alerts of its monitor must reach it there: otherwise
its clear is lost, and its next alert pages a second time. 1.0 stored in an incident's memo the monitor's id and what
its own id was made of: the monitor's name and id, the model, the environment, and the segment.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

import structlog
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from alerts import Alert
from alerts.identity import MONITOR
from gateway.monitor_memo import monitor_memo
from workflows.contracts import INCIDENT_WORKFLOW

RETRY_INTERVAL = 5.0  # seconds until Temporal is asked again
FIRST_WAIT = 2.0
"""Seconds that a gateway's start, and an alert that comes before the list, wait for it."""
_TIMEOUT = timedelta(seconds=FIRST_WAIT)
_PARTS = 4
"""In an identity of 1.0, the segment follows the monitor's name and id, the model and the environment. Today's
identities have fewer parts."""

_log = structlog.get_logger()


class _Earlier(NamedTuple):
    """An open incident of 1.0, and what its id was made of."""

    incident: str
    monitor: str
    monitor_id: str
    model: str
    environment: str
    segment: tuple[str, ...]


class EarlierIds:
    """Finds the open incidents of 1.0 that an alert belongs to."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._found: list[_Earlier] = []
        self._loaded = False

    async def load(self) -> None:
        """List the open incidents of 1.0 once; asks again until Temporal answers."""
        while True:
            if await self._try_list():
                return
            await asyncio.sleep(RETRY_INTERVAL)

    async def current(self, incident: str, alert: Alert) -> tuple[str, ...]:
        """The ids of the incidents to send an alert to.

        Args:
            incident: the id that the alert's incident has by now.
            alert: the alert, as it was read.

        Returns:
            The incident of 1.0 for as long as it is open, otherwise ``incident``. 1.0 may have opened several for one
            monitor, under different names: a clear goes to each of them, and any other alert to the one that fits.
        """
        if not self._loaded:
            await self._try_list(FIRST_WAIT)
        fitting = [one for one in _by_fit(self._found, alert) if await self._is_open(one)]
        if not fitting:
            return (incident,)
        return tuple(one.incident for one in (fitting if alert.status == "cleared" else fitting[:1]))

    async def _is_open(self, earlier: _Earlier) -> bool:
        try:
            description = await self._client.get_workflow_handle(earlier.incident).describe(rpc_timeout=_TIMEOUT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                return True  # Temporal is unavailable: the alert is spooled
        else:
            if description.status is WorkflowExecutionStatus.RUNNING:
                return True
        self._found = [one for one in self._found if one != earlier]
        return False

    async def _try_list(self, within: float | None = None) -> bool:
        """False if Temporal does not answer."""
        try:
            async with asyncio.timeout(within):
                found = await self._list()
        except (RPCError, RuntimeError, TimeoutError):  # RuntimeError: the client's, before its first connection
            return False
        if not self._loaded:
            self._found, self._loaded = found, True
            if found:
                _log.info("earlier_incidents_found", incidents=len(found))
        return True

    async def _list(self) -> list[_Earlier]:
        query = f"WorkflowType = '{INCIDENT_WORKFLOW}' AND ExecutionStatus = 'Running'"
        found: list[_Earlier] = []
        async for execution in self._client.list_workflows(query, page_size=1000):
            memo = await monitor_memo(execution)
            if memo is not None and len(memo.identity) >= _PARTS:
                monitor, monitor_id, model, environment = memo.identity[:_PARTS]
                segment = memo.identity[_PARTS:]
                found.append(_Earlier(execution.id, monitor, memo.id or monitor_id, model, environment, segment))
        return found


def _by_fit(found: Sequence[_Earlier], alert: Alert) -> Iterator[_Earlier]:
    """Those of the alert's problem, the best first."""
    segment = tuple(f"{key}={item}" for key, item in sorted(alert.segment.items()))
    # An id implies the filters; only a segment that the body states is part of the identity.
    stated = segment if alert.identity[:1] != (MONITOR,) or len(alert.identity) > 2 else ()

    def fit(one: _Earlier) -> int:
        """How much the names are alike; 0 if it is another problem."""
        same_name = one.monitor in {alert.monitor, alert.model}
        if one.monitor_id:
            ours = one.monitor_id == alert.monitor_id and one.segment == stated
        else:  # 1.0 found no id in the body
            same_model = one.model in {alert.model, ""}
            same_environment = one.environment in {alert.environment, ""}
            ours = same_name and same_model and same_environment and one.segment in {stated, segment}
        alike = (one.environment == alert.environment, one.model == alert.model, same_name)
        return 1 + sum(weight for weight, same in zip((4, 2, 1), alike, strict=True) if same) if ours else 0

    return iter(sorted((one for one in found if fit(one)), key=fit, reverse=True))
