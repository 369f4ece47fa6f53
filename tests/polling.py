"""Who asks Temporal for work."""

from temporalio.client import Client
from temporalio.service import RPCError

from gateway.vitals import pollers


async def asking(address: str) -> set[str]:
    """The numbers of the processes that ask for both kinds of work."""
    try:
        client = await Client.connect(address)
        urgent, aside = await pollers(client, "tocsin"), await pollers(client, "tocsin", aside=True)
    except (RPCError, RuntimeError):
        return set()
    return {one.partition("@")[0] for one in urgent} & {one.partition("@")[0] for one in aside}
