"""Sends responder actions to incidents."""

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from alerts import TocsinError
from alerts.bounded import cut_text
from gateway.ingest.starter import RPC_TIMEOUT
from gateway.ingest.submission import MAX_ID_BYTES, short_id
from incident.events import ResponderAction
from incident.limits import ACTION_NAME_BYTES, ACTION_TEXT_BYTES
from workflows.contracts import RESPONDER_ACTION_SIGNAL


class IncidentClosedError(TocsinError):
    """The incident is closed, or never existed."""

    code = "incident_closed"


def bounded_action(action: ResponderAction) -> ResponderAction:
    """The action with texts that Temporal accepts: those of a callback are as long as its vendor allows."""
    names = {name: cut_text(getattr(action, name), ACTION_NAME_BYTES) for name in ("by", "source", "token")}
    note = cut_text(action.note, ACTION_TEXT_BYTES)
    run = action.first_run_id[:MAX_ID_BYTES]
    return action.model_copy(update={**names, "note": note, "id": short_id(action.id), "first_run_id": run})


async def send_action(client: Client, incident: str, action: ResponderAction) -> None:
    """Signal the incident. Temporal has the action durably when this returns.

    Raises:
        IncidentClosedError: there is no open incident of that id.
        RPCError: Temporal refuses, or is unavailable. So does the client's RuntimeError before its first connection.
    """
    handle = client.get_workflow_handle(incident)
    try:
        await handle.signal(RESPONDER_ACTION_SIGNAL, action, rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise IncidentClosedError(f"{incident} is not open") from None
        raise
