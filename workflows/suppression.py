"""A part of the incident workflow: checks what suppresses an incident, and says to others what it suppresses."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

from activities.contracts import InhibitorsUpdate, ProblemCheck, SuppressionCheck
from alerts.bounded import bounded
from incident.limits import BARE_ALERT_BYTES
from incident.state_machine import IncidentStateMachine
from workflows import activity_calls
from workflows.contracts import PEER_SIGNAL

MAX_CHECKED = 50
"""Problems that one activity checks."""


class SuppressionTasks:
    """One task of each kind at a time. ``spawn`` starts one beside the main loop, ``wake`` runs that loop again."""

    def __init__(
        self,
        machine: IncidentStateMachine,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        wake: Callable[[], None],
    ) -> None:
        self._machine, self._spawn, self._wake = machine, spawn, wake
        self._running: set[str] = set()

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be said to others: the incident must not end before."""
        state = self._machine.state
        return bool(self._running or state.outgoing or self._registered() != set(state.registered_inhibitors))

    def start(self) -> None:
        """Do what has to be done."""
        state = self._machine.state
        if not state.tracks_problems:
            return
        self._machine.settle()
        if self._machine.suppressions.to_check():
            self._run("check", self._check)
        if state.outgoing:
            self._run("send", self._send)
        if self._registered() != set(state.registered_inhibitors):
            self._run("register", self._register)

    def _run(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if name not in self._running:
            self._running.add(name)
            self._spawn(self._guarded(name, work))

    async def _guarded(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await work()
        self._running.discard(name)
        self._wake()

    def _registered(self) -> set[str]:
        return {one.problem for one in self._machine.suppressions.inhibitors()}

    async def _check(self) -> None:
        state, suppressions = self._machine.state, self._machine.suppressions
        while keys := suppressions.to_check():
            checks: list[ProblemCheck] = []
            for key in keys[:MAX_CHECKED]:
                problem, hold = state.problems[key], state.unchecked.get(key)
                decision = (hold and hold.decision) or state.decision_of(problem) or state.decision
                alert = problem.alert or state.alert
                if decision is not None and alert is not None:
                    checks.append(
                        ProblemCheck(
                            problem=key,
                            alert=bounded(alert, BARE_ALERT_BYTES),
                            decision=decision.model_copy(update={"trace": ()}),
                            suppression=problem.suppression,
                        )
                    )
            found = dict.fromkeys(keys[:MAX_CHECKED])
            try:
                request = SuppressionCheck(incident=state.incident, now=workflow.now(), problems=tuple(checks))
                found |= (await activity_calls.check_suppressions(request)).problems
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise  # otherwise in doubt nothing suppresses them
            suppressions.apply(found, workflow.now())

    async def _send(self) -> None:
        state = self._machine.state
        while state.outgoing:
            message = state.outgoing[0]
            try:
                await workflow.get_external_workflow_handle(message.to).signal(PEER_SIGNAL, message)
            except FailureError as error:
                if is_cancelled_exception(error):
                    raise
                if message.kind == "list":  # that incident is over
                    state.must_check = True
            state.outgoing = state.outgoing[1:]

    async def _register(self) -> None:
        state = self._machine.state
        inhibitors = self._machine.suppressions.inhibitors()
        await activity_calls.set_inhibitors(InhibitorsUpdate(incident=state.incident, inhibitors=tuple(inhibitors)))
        state.registered_inhibitors = [one.problem for one in inhibitors]
