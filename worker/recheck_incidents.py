"""The activity ``recheck_incidents``: open incidents check again whether something suppresses them."""

import asyncio
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from gateway.list_query import open_incidents_of
from incident.peers import PeerMessage
from incident.suppression import Silence
from workflows.contracts import PEER_SIGNAL

MAX_CONCURRENCY = 16
_RPC_TIMEOUT = timedelta(seconds=5)


class IncidentRechecker:
    """Asks the incidents of one task queue."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client, self._task_queue = client, task_queue

    @activity.defn(name="recheck_incidents")
    async def recheck_incidents(self, silence: Silence) -> int:
        """Ask all open incidents, and return how many. One that closes meanwhile needs nothing.

        Raises RPCError: Temporal is unavailable; it is tried again.
        """
        found = [one.id async for one in self._client.list_workflows(open_incidents_of(self._task_queue))]
        gate = asyncio.Semaphore(MAX_CONCURRENCY)
        await asyncio.gather(*(self._ask(incident, silence.id, gate) for incident in found))
        return len(found)

    async def _ask(self, incident: str, source: str, gate: asyncio.Semaphore) -> None:
        message = PeerMessage(to=incident, kind="recheck", incident=source)
        async with gate:
            try:
                handle = self._client.get_workflow_handle(incident)
                await handle.signal(PEER_SIGNAL, message, rpc_timeout=_RPC_TIMEOUT)
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
            activity.heartbeat()
