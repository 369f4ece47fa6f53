"""Hands an incident what a person did, durably, and shows what came of it.

The answer travels as a signal. That needs nobody at that moment: no worker has to be there, and where Temporal itself
is away the spool takes it, so that whoever is on it is not paged again. An update needs both at once. And a worker that
has to do an incident's history over may hear an update before what stood in the history when it came, and the next time
after it: the SDK (Python 1.35) takes the empty task before it for a heartbeat. What cannot be done is refused before
anything is sent, and the incident's own rules have the last word.
"""

import asyncio
import uuid
from contextlib import suppress
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from gateway.asking import Asker
from gateway.intake import IncidentOverError, Intake, UnavailableError, is_away
from gateway.problems import Problem
from workflows.answers import may_close, only_by
from workflows.messages import INCIDENT_QUERY, TAKEN_QUERY, Answer, EventIds, IncidentView

_REACHED_WITHIN = 2.0  # seconds, for what the server itself knows
_READ_WITHIN = timedelta(seconds=3)  # by a worker that has to do the history over first
_DONE_WITHIN = 10.0
_LOOK_FIRST, _LOOK_RARELY = 0.02, 0.5


class Kept(BaseModel):
    """It will be carried out; nobody can show yet what comes of it."""

    incident: str
    state: Literal["accepted", "spooled"]
    detail: str


class Answering:
    def __init__(self, client: Client, intake: Intake, asker: Asker | None = None) -> None:
        """``asker`` is shared with whoever else asks; one of its own where it is left out."""
        self._client, self._intake, self._asker = client, intake, asker or Asker(client)

    async def tell(self, incident: str, answer: Answer) -> IncidentView | Kept:
        """The incident with the answer carried out, or that it is kept.

        Raises Problem: 404 for an incident that nobody knows, 409 where it is over, 403 where the role may not do it,
        503 where neither Temporal nor the spool took it.
        """
        answer = answer.model_copy(update={"id": answer.id or f"{answer.via}-{uuid.uuid4().hex}"})
        await self._refuse(incident, answer)
        try:
            there = await self._intake.take_answer(incident, answer)
        except IncidentOverError:
            raise _closed() from None
        except UnavailableError as error:
            detail = f"neither Temporal nor the spool took the answer: {error}"
            raise Problem(503, detail, headers={"Retry-After": "5"}) from None
        if not there:
            told = "Temporal cannot be reached: it is kept, and passed on as soon as Temporal is back"
            return Kept(incident=incident, state="spooled", detail=told)
        try:
            async with asyncio.timeout(_DONE_WITHIN):
                return await self._carried_out(incident, answer)
        except TimeoutError:
            told = "Temporal has it, and no worker has carried it out yet: it is as soon as one works"
            return Kept(incident=incident, state="accepted", detail=told)

    async def read(self, incident: str) -> IncidentView | None:
        """The incident as it is; None where nobody can say. Raises Problem 404 where nobody knows it."""
        try:
            async with asyncio.timeout(_READ_WITHIN.total_seconds()):
                return await self._asker.ask(incident, INCIDENT_QUERY, result=IncidentView, within=_READ_WITHIN)
        except RPCError as error:
            _refused(error, incident)
            return None
        except (WorkflowQueryFailedError, TimeoutError):
            return None
        except RuntimeError as error:
            if not is_away(error):
                raise
            return None

    async def _refuse(self, incident: str, answer: Answer) -> None:
        """Raises Problem for what is known to be impossible. What nobody can tell now goes through."""
        handle = self._client.get_workflow_handle(incident)
        try:
            async with asyncio.timeout(_REACHED_WITHIN):
                there = await handle.describe(rpc_timeout=timedelta(seconds=_REACHED_WITHIN))
        except RPCError as error:
            _refused(error, incident)
            return
        except (TimeoutError, RuntimeError) as error:
            if not is_away(error):
                raise
            return
        if there.status != WorkflowExecutionStatus.RUNNING:
            raise _closed()
        if answer.act != "resolve":
            return  # whether it may be done does not hang on the incident
        view = await self.read(incident)
        if view is not None:
            _check(view, answer)

    async def _carried_out(self, incident: str, answer: Answer) -> IncidentView:
        pause = _LOOK_FIRST
        asked = EventIds(ids=(answer.id,))
        while True:
            taken: list[str] | None = None
            with suppress(RPCError, WorkflowQueryFailedError, RuntimeError):  # it is durable; the rest may come yet
                taken = await self._asker.ask(incident, TAKEN_QUERY, asked, result=list[str], within=_READ_WITHIN)
            view = None if taken is None else await self.read(incident)
            if view is not None and taken:
                if answer.act == "resolve" and view.regulated and not may_close(answer, view.closed_by):
                    raise Problem(403, only_by(view.closed_by))
                return view
            if view is not None:
                _check(view, answer)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LOOK_RARELY)


def _check(view: IncidentView, answer: Answer) -> None:
    """Raises Problem where the incident does not take the answer."""
    if answer.opening and not view.opening.startswith(answer.opening):
        raise Problem(409, "it is closed already; what burns now is another incident, with messages of its own")
    if view.state == "closed":
        raise _closed()
    if view.state == "resolved":
        raise Problem(409, f"it was resolved by {view.resolved_by} already")
    if answer.act == "resolve" and view.regulated and not may_close(answer, view.closed_by):
        raise Problem(403, only_by(view.closed_by))


def _refused(error: RPCError, incident: str) -> None:
    """Raises Problem where Temporal did answer, and with a no."""
    if error.status == RPCStatusCode.NOT_FOUND:
        raise Problem(404, f"there is no incident {incident}") from None
    if error.status == RPCStatusCode.INVALID_ARGUMENT:
        raise Problem(400, f"Temporal does not take this: {error.message[:200]}") from None


def _closed() -> Problem:
    return Problem(409, "it is closed already")
