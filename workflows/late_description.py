"""Asks Arize again for descriptions that were missing when alerts were decided, until the incident is over."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.contracts import ClassifyRequest
from alerts.bounded import bounded
from incident.limits import KEPT_ALERT_BYTES
from incident.state_machine import IncidentStateMachine
from workflows import activity_calls


class LateDescription:
    """A part of the incident workflow. One activity at a time: Temporal repeats it, which adds nothing to the history.

    ``spawn`` starts a task beside the main loop, ``wake`` runs the main loop again.
    """

    def __init__(
        self,
        machine: IncidentStateMachine,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        wake: Callable[[], None],
    ) -> None:
        self._machine, self._spawn, self._wake = machine, spawn, wake
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Ask, if something is missing and nothing is being asked for."""
        if self._task is None and self._is_needed():
            self._task = self._spawn(self._ask())

    def _is_needed(self) -> bool:
        return bool(self._machine.state.undescribed) and not self._machine.state.is_over

    async def _ask(self) -> None:
        while self._is_needed():
            asked, now = tuple(self._machine.state.undescribed), workflow.now()
            request = ClassifyRequest(alerts=asked, now=now, incident=self._machine.facts((), now), describe=True)
            try:
                result = await activity_calls.describe(request)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                self._machine.state.undescribed = []
                break
            described = [bounded(one, KEPT_ALERT_BYTES) for one in result.alerts]
            each = result.each_decision(len(described))
            self._machine.reconsider(asked, described, result.decision, workflow.now(), each)
            self._wake()
        self._task = None
