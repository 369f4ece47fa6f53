"""Whether the namespace has the search attribute of vendors' ids: a workflow that sets a missing one would be stuck."""

import asyncio
import time
from datetime import timedelta

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from workflows import search_attributes

TIMEOUT = 1.0  # seconds that the result of a notification waits for Temporal's answer
ASK_AGAIN_AFTER = 60.0  # seconds


class VendorIdIndex:
    """Asks Temporal until the attribute exists, and remembers that it does."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._exists, self._ask_at = False, 0.0

    async def exists(self) -> bool:
        """Whether incidents may set the attribute; False also if Temporal does not say."""
        if self._exists or time.monotonic() < self._ask_at:
            return self._exists
        self._ask_at = time.monotonic() + ASK_AGAIN_AFTER
        request = ListSearchAttributesRequest(namespace=self._client.namespace)
        try:
            async with asyncio.timeout(TIMEOUT):
                found = await self._client.operator_service.list_search_attributes(
                    request, timeout=timedelta(seconds=TIMEOUT)
                )
        except (RPCError, TimeoutError, RuntimeError):
            return False
        self._exists = search_attributes.VENDOR_IDS.name in found.custom_attributes
        return self._exists
