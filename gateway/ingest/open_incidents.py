"""Asks Temporal whether an incident is open."""

from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

_RPC_TIMEOUT = timedelta(seconds=2)


class OpenIncidents:
    """Of one namespace."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def is_open(self, incident: str) -> bool:
        """Raises RPCError: Temporal is unavailable. So does the client's RuntimeError before its first connection."""
        try:
            described = await self._client.get_workflow_handle(incident).describe(rpc_timeout=_RPC_TIMEOUT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return False
        return described.status is WorkflowExecutionStatus.RUNNING
