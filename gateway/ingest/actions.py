"""Sends responder actions to incidents."""

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from alerts import TocsinError
from gateway.ingest.starter import RPC_TIMEOUT
from incident.events import ResponderAction
from workflows.contracts import RESPONDER_ACTION_SIGNAL


class IncidentClosedError(TocsinError):
    """The incident is closed, or never existed."""

    code = "incident_closed"


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
