"""Records reported changes: the gateway's database holds them, or the spool while it is unavailable."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog

from gateway.ingest.ingester import AlertIngester
from gateway.ingest.spool import Item
from incident.change import Change
from integrations.base.sql_store import StoreUnavailableError
from integrations.changes.model import ReportedChange, change_id
from integrations.changes.store import ChangeStore

TIMEOUT = 2.0  # seconds that a request waits for the database, before the spool takes the change
_QUEUE = "reported-changes"

_log = structlog.get_logger()


@dataclass(frozen=True)
class ChangeRecorder:
    """The gateway's way to the changes."""

    store: ChangeStore
    ingester: AlertIngester

    async def record(self, change: ReportedChange) -> Literal["recorded", "known", "spooled"]:
        """Keep a change; durable on return. ``known`` if a change of this id was recorded before.

        Raises:
            UnavailableError: neither the database nor the spool accepted it.
        """
        try:
            async with asyncio.timeout(TIMEOUT):
                return "recorded" if await asyncio.to_thread(self.store.add, change) else "known"
        except (StoreUnavailableError, TimeoutError) as error:
            _log.warning("change_store_unavailable", change=change.id, error=str(error) or "no answer in time")
        await self.ingester.spool(Item(_QUEUE, "reported_change", change.model_dump_json().encode()))
        return "spooled"

    async def recent(
        self, model: str, environment: str, since: datetime | None, until: datetime | None, limit: int
    ) -> list[ReportedChange]:
        """See ``ChangeStore.recent``. Raises StoreUnavailableError."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return await asyncio.to_thread(self.store.recent, model, environment, since, until, limit)
        except TimeoutError:
            raise StoreUnavailableError(f"no answer within {TIMEOUT:g} s") from None

    async def deliver_spooled(self, content: bytes) -> None:
        """Store what the spool held. Raises StoreUnavailableError."""
        await asyncio.to_thread(self.store.add, ReportedChange.model_validate_json(content))


def change_of_arize(change: Change) -> ReportedChange:
    """A change that Arize reported, such as a new version of a prompt, as the context of a page shows it."""
    facts = {fact.label.casefold(): fact.value for fact in change.facts}
    project = facts.get("project", "")
    return ReportedChange(
        id=change_id("arize", change.key),
        kind=change.kind.partition(".")[0] or "change",
        title=change.text,
        at=change.at,
        models=(project,) if project else (),
        version=facts.get("version", "") or facts.get("label", ""),
        link=change.url,
        by=facts.get("author", "") or facts.get("created by", ""),
        source="arize",
    )
