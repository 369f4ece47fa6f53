"""Sends responder actions of the API and of links to incidents durably, and reads the result.

An action travels as a signal, which needs no worker; if Temporal is unavailable too, the spool takes the action, so
that its responder is not paged again. A Temporal update would need both at the same time. Impossible actions are
refused before anything is sent, as far as that can be checked; the incident itself checks every action again.
"""

import asyncio
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from gateway.ingest.actions import IncidentClosedError
from gateway.ingest.ingester import AlertIngester, UnavailableError
from gateway.known_runs import KnownRuns
from gateway.problems import RETRY_LATER, Problem
from gateway.query_client import IncidentQueryClient
from gateway.temporal_errors import is_temporal_unavailable, temporal_refused
from incident.actions import closure_denied_text, may_close
from incident.dedup_key import is_run
from incident.events import EventIds, ResponderAction
from incident.view import IncidentView
from workflows.contracts import INCIDENT_QUERY, PROCESSED_EVENT_IDS_QUERY

DESCRIBE_TIMEOUT = 2.0  # seconds, for an answer of Temporal's server
QUERY_TIMEOUT = timedelta(seconds=3)  # for an answer of a worker, which may have to replay the history
PROCESSING_TIMEOUT = 10.0  # seconds
MIN_POLL_INTERVAL, MAX_POLL_INTERVAL = 0.02, 0.5  # seconds
_DENIED = "closure_denied"


class AcceptedAction(BaseModel):
    """An action that is durable, but not processed yet."""

    incident: str
    state: Literal["accepted", "spooled"] = Field(description="accepted: Temporal has it; spooled: the spool has it.")
    detail: str


class ActionService:
    """Applies actions to incidents and reads incidents."""

    def __init__(
        self,
        client: Client,
        ingester: AlertIngester,
        queries: IncidentQueryClient | None = None,
        runs: KnownRuns | None = None,
    ) -> None:
        """
        Args:
            client: of Temporal.
            ingester: makes the actions durable.
            queries: shared with others that query incidents.
            runs: what this gateway read of incidents, for actions while Temporal is unavailable.
        """
        self._client, self._ingester, self._queries = client, ingester, queries or IncidentQueryClient(client)
        self._runs = runs or KnownRuns()

    async def apply(self, incident: str, action: ResponderAction) -> IncidentView | AcceptedAction:
        """Send the action, and wait some seconds until a worker has processed it.

        An action that names no run of the incident is for the one that is open now, or was when it was read last.

        Returns:
            The incident after the action; or that the action is durable, if nobody processed it in time.

        Raises:
            Problem: 404 if there is no such incident, 409 if it is closed, 403 if the role does not allow the action,
                503 if neither Temporal nor the spool accepted it.
        """
        action = action.model_copy(
            update={
                "id": action.id or f"{action.source}-{uuid.uuid4().hex}",
                "occurred_at": action.occurred_at or datetime.now(UTC),
            }
        )
        open_run = await self._refuse_impossible(incident, action)
        first_run_id = action.first_run_id or open_run
        seen = "" if first_run_id else self._runs.find(incident)
        action = action.model_copy(update={"first_run_id": first_run_id, "seen_run_id": seen})
        try:
            in_temporal = await self._ingester.accept_action(incident, action)
        except IncidentClosedError:
            raise _closed(incident) from None
        except UnavailableError as error:
            detail = f"neither Temporal nor the spool accepted the action: {error}"
            raise Problem(503, detail, code=error.code, headers=RETRY_LATER) from None
        if not in_temporal:
            detail = "Temporal is unavailable: the action is spooled, and sent as soon as Temporal has recovered"
            return AcceptedAction(incident=incident, state="spooled", detail=detail)
        try:
            async with asyncio.timeout(PROCESSING_TIMEOUT):
                return await self._until_processed(incident, action)
        except TimeoutError:
            detail = "Temporal has the action, and a worker processes it as soon as one is running"
            return AcceptedAction(incident=incident, state="accepted", detail=detail)

    async def read(self, incident: str) -> IncidentView | None:
        """The incident, or None if Temporal or every worker is unavailable.

        Raises:
            Problem: 404 if there is no such incident.
        """
        try:
            async with asyncio.timeout(QUERY_TIMEOUT.total_seconds()):
                return await self._queries.ask(incident, INCIDENT_QUERY, result=IncidentView, within=QUERY_TIMEOUT)
        except RPCError as error:
            _raise_refusal(error, incident)
            return None
        except (WorkflowQueryFailedError, TimeoutError):
            return None
        except RuntimeError as error:
            if not is_temporal_unavailable(error):
                raise
            return None

    async def _refuse_impossible(self, incident: str, action: ResponderAction) -> str:
        """The incident's first run; empty without an answer of Temporal: then the action is sent unchecked.

        Raises:
            Problem: the action cannot succeed.
        """
        handle = self._client.get_workflow_handle(incident)
        try:
            async with asyncio.timeout(DESCRIBE_TIMEOUT):
                execution = await handle.describe(rpc_timeout=timedelta(seconds=DESCRIBE_TIMEOUT))
        except RPCError as error:
            _raise_refusal(error, incident)
            return ""
        except (TimeoutError, RuntimeError) as error:
            if not is_temporal_unavailable(error):
                raise
            return ""
        first_run_id = execution.raw_description.workflow_execution_info.first_run_id
        is_open = execution.status == WorkflowExecutionStatus.RUNNING
        self._runs.note(incident, first_run_id, is_open=is_open)
        if not is_open:
            raise _closed(incident)
        if not is_run(first_run_id, action.first_run_id):
            reopened = await self.read(incident)
            if reopened is None or not reopened.is_run(action.first_run_id):
                raise _another_run()
        if action.type != "resolve":
            return first_run_id  # the other actions do not depend on the incident's state
        view = await self.read(incident)
        if view is None:
            return first_run_id
        try:
            _raise_if_impossible(view, action)
        except Problem as problem:
            if problem.error_code == _DENIED:
                await self._record_refusal(incident, action)
            raise
        return first_run_id

    async def _record_refusal(self, incident: str, action: ResponderAction) -> None:
        """The attempt to close a regulated incident without the role is an audit event of the incident."""
        with suppress(IncidentClosedError, UnavailableError):  # the refusal is the answer, whatever becomes of it
            await self._ingester.accept_action(incident, action.model_copy(update={"refused": True}))

    async def _until_processed(self, incident: str, action: ResponderAction) -> IncidentView:
        interval = MIN_POLL_INTERVAL
        ids = EventIds(ids=(action.id,))
        while True:
            processed: list[str] | None = None
            with suppress(RPCError, WorkflowQueryFailedError, RuntimeError):  # the action is durable: keep polling
                processed = await self._queries.ask(
                    incident, PROCESSED_EVENT_IDS_QUERY, ids, result=list[str], within=QUERY_TIMEOUT
                )
            view = None if processed is None else await self.read(incident)
            if view is not None and processed:
                if action.type == "resolve" and view.regulated and not may_close(action, view.closed_by):
                    raise _closure_denied(view)
                return view
            if view is not None:
                _raise_if_impossible(view, action)
            await asyncio.sleep(interval)
            interval = min(interval * 2, MAX_POLL_INTERVAL)


def _raise_if_impossible(view: IncidentView, action: ResponderAction) -> None:
    if not view.is_run(action.first_run_id):
        raise _another_run()
    if view.state == "closed":
        raise _closed(view.id)
    if view.state == "resolved":
        raise Problem(409, f"it was resolved by {view.resolved_by} already", code="incident_resolved")
    if action.type == "resolve" and view.regulated and not may_close(action, view.closed_by):
        raise _closure_denied(view)


def _raise_refusal(error: RPCError, incident: str) -> None:
    """Raises Problem if Temporal answered that it refuses the request."""
    if error.status == RPCStatusCode.NOT_FOUND:
        raise Problem(404, f"there is no incident {incident}", code="incident_not_found") from None
    if error.status == RPCStatusCode.INVALID_ARGUMENT:
        raise temporal_refused(error) from None


def _closed(incident: str) -> Problem:
    return Problem(409, f"{incident} is closed already", code=IncidentClosedError.code)


def _another_run() -> Problem:
    detail = "it is closed already; the incident that is open now is another one, with its own messages"
    return Problem(409, detail, code=IncidentClosedError.code)


def _closure_denied(view: IncidentView) -> Problem:
    return Problem(403, closure_denied_text(view.closed_by), code=_DENIED)
