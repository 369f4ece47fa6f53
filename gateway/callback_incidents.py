"""Which incidents a callback is about: by its ticket, by its dedup key, or by the vendor's own id.

Tickets and ids are looked up in Temporal's visibility store, where each incident sets its own (``TocsinVendorIds``), so
that every gateway finds them. A label that holds a dedup key is only a hint: the incident itself checks the ticket.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Iterable
from datetime import timedelta
from typing import ClassVar

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from alerts import TocsinError
from gateway.ingest.dedup_store import DedupStore, DedupUnavailableError
from gateway.temporal_errors import describe_error
from incident.dedup_key import parse_dedup_key
from incident.tickets import Ticket
from integrations.base.callback import ParsedCallback
from workflows.contracts import INCIDENT_WORKFLOW
from workflows.search_attributes import VENDOR_IDS

LOOKUP_TIMEOUT = 0.8  # seconds; Slack, which waits for 3 s, needs no look-up
MISSES = (0.2, 0.5, 1.0)  # seconds until the next look-up: the visibility store lags behind its incidents
MERGES_REMEMBERED = 1_000
MAX_FOUND = 50  # incidents that are merged into one at the vendor
_SAFE = re.compile(r"[A-Za-z0-9_.:@/\[\]-]{1,300}")

_log = structlog.get_logger()


class IncidentLookupError(TocsinError):
    """Nothing can say now which incident a callback is about."""

    code: ClassVar[str] = "incident_lookup_failed"


class CallbackIncidents:
    """Finds the incidents of callbacks."""

    def __init__(self, client: Client, store: DedupStore) -> None:
        self._client, self._store = client, store
        self._merged: OrderedDict[str, set[str]] = OrderedDict()
        """Incidents that were merged a moment ago, which the visibility store may not show yet."""

    async def find(self, vendor: str, parsed: ParsedCallback) -> tuple[str, str] | None:
        """The incident and the beginning of its first run; None if it is not of this Tocsin.

        Raises:
            IncidentLookupError: the callback must be sent again.
        """
        ticket = parsed.action.ticket if parsed.action else None
        if ticket is not None and ticket.key:
            try:
                if found := await self._of_ticket(vendor, ticket, () if parsed.dedup_key else MISSES):
                    return found, await self._first_run(found)
            except IncidentLookupError:
                if not parsed.dedup_key:
                    raise
        if parsed.dedup_key and parsed.vendor_id:
            await self._store.map_key(vendor, parsed.vendor_id, parsed.dedup_key)
        key = parsed.dedup_key or await self._stored_key(vendor, parsed.vendor_id)
        if not key and parsed.vendor_id:
            running = await self._running(f"{vendor}:{parsed.vendor_id}")
            return (running[0], await self._first_run(running[0])) if running else None
        return parse_dedup_key(key)

    def note_merge(self, vendor: str, vendor_id: str, incidents: Iterable[str]) -> None:
        """These incidents' own ones at the vendor were merged into this one."""
        self._merged.setdefault(f"{vendor}:{vendor_id}", set()).update(incidents)
        while len(self._merged) > MERGES_REMEMBERED:
            self._merged.popitem(last=False)

    async def merged_into(self, vendor: str, vendor_id: str) -> list[str]:
        """The open incidents whose own incident at the vendor is part of this one, as far as anything can say so."""
        if not vendor_id:
            return []
        recent = self._merged.get(f"{vendor}:{vendor_id}", set[str]())
        try:
            return sorted({*recent, *await self._running(f"{vendor}-merged:{vendor_id}")})
        except IncidentLookupError as error:
            # They stay open and are escalated: louder than they need to be.
            _log.warning("merged_incidents_unknown", source=vendor, error=str(error))
            return sorted(recent)

    async def owner(self, vendor: str, vendor_id: str) -> tuple[str, str]:
        """The incident that a vendor's own id belongs to, and its first run as far as it is known. It never fails."""
        try:
            found = parse_dedup_key(await self._stored_key(vendor, vendor_id))
            running = [] if found else await self._running(f"{vendor}:{vendor_id}")
        except IncidentLookupError:
            return "", ""
        return found or (next(iter(running), ""), "")

    async def _of_ticket(self, vendor: str, ticket: Ticket, misses: Iterable[float]) -> str:
        name = f"{vendor}:{ticket.key}" + (f"@{ticket.site}" if ticket.site else "")
        running = await self._running(name)
        for wait in misses if not running else ():
            await asyncio.sleep(wait)
            if running := await self._running(name):
                break
        if len(running) > 1:
            _log.warning("ticket_ambiguous", source=vendor, ticket=ticket.key, incidents=len(running))
            return ""
        return next(iter(running), "")

    async def _stored_key(self, vendor: str, vendor_id: str) -> str:
        try:
            return await self._store.find_key(vendor, vendor_id)
        except DedupUnavailableError as error:
            raise IncidentLookupError(f"the dedup store does not answer: {error}") from None

    async def _first_run(self, incident: str) -> str:
        """The first run of an open incident; empty if Temporal does not answer in time."""
        handle = self._client.get_workflow_handle(incident)
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                described = await handle.describe(rpc_timeout=timedelta(seconds=LOOKUP_TIMEOUT))
        except (RPCError, TimeoutError, RuntimeError):
            return ""
        return described.raw_description.workflow_execution_info.first_run_id

    async def _running(self, vendor_id: str) -> list[str]:
        """The open incidents that set this id. Raises IncidentLookupError."""
        if not _SAFE.fullmatch(vendor_id):
            return []
        query = f'WorkflowType = "{INCIDENT_WORKFLOW}" AND ExecutionStatus = "Running"'
        query += f' AND {VENDOR_IDS.name} = "{vendor_id}"'
        timeout = timedelta(seconds=LOOKUP_TIMEOUT)
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                listed = self._client.list_workflows(query, limit=MAX_FOUND, rpc_timeout=timeout)
                found = [execution.id async for execution in listed]
        except (RPCError, TimeoutError, RuntimeError) as error:
            raise IncidentLookupError(f"Temporal does not find it: {describe_error(error)}") from None
        return list(dict.fromkeys(found))
