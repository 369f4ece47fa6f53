"""Which worker processes poll Temporal for work."""

from temporalio.client import Client
from temporalio.service import RPCError

from gateway.health_monitor import pollers


async def polling_processes(address: str) -> set[str]:
    """The ids of the processes that poll both task queues; empty while Temporal is unavailable."""
    try:
        client = await Client.connect(address)
        paging, background = await pollers(client, "tocsin"), await pollers(client, "tocsin", background=True)
    except (RPCError, RuntimeError):
        return set()
    return {one.partition("@")[0] for one in paging} & {one.partition("@")[0] for one in background}
