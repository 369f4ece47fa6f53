"""What suppresses alerts now. What cannot be read in time suppresses nothing: in doubt somebody is notified."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from alerts import Alert, incident_id
from incident.suppression import Inhibitor, Silence, Suppression, expected, inhibited, judged_at, silenced
from integrations.base.sql_store import StoreUnavailableError
from integrations.base.threads import OwnThreads
from integrations.suppression.store import SuppressionStore
from policy import Decision, Policy
from policy.decision import Budget

TIMEOUT = 0.5
"""Seconds that a page waits for the database."""
TIMEOUT_OF_ALL = 4 * TIMEOUT
"""Seconds that the pages of one batch of alerts wait for everything that is asked about them."""
_THREADS = 4

T = TypeVar("T")

_log = structlog.get_logger()


class SuppressionFinder:
    """One for a process. Its database is that of the gateways, which all workers share."""

    def __init__(
        self,
        store: SuppressionStore,
        policy: Callable[[], Policy | None],
        is_open: Callable[[str], Awaitable[bool]],
    ) -> None:
        """
        Args:
            store: the silences, inhibitors and budgets.
            policy: returns the policy in force, whose failures count a database that does not answer.
            is_open: asks Temporal whether an incident is open.
        """
        self.store, self._policy, self._is_open = store, policy, is_open
        self._threads = OwnThreads("suppression", _THREADS)

    async def find(
        self, incident: str, decided: Sequence[tuple[Alert, Decision]], now: datetime
    ) -> list[Suppression | None]:
        """What suppresses each of these alerts.

        Args:
            incident: which they belong to: its own problems do not count.
            decided: interpreted alerts, and the decisions about them.
            now: the time.
        """
        try:
            async with asyncio.timeout(TIMEOUT_OF_ALL):
                return await self._find(incident, decided, now)
        except Exception as error:  # noqa: BLE001  # whatever it is, somebody is notified
            _log.error("suppressions_failed", incident=incident, error=f"{type(error).__name__}: {error}")
            return [None] * len(decided)

    async def _find(
        self, incident: str, decided: Sequence[tuple[Alert, Decision]], now: datetime
    ) -> list[Suppression | None]:
        policy = self._policy()
        if policy is None:
            return [None] * len(decided)
        active = await self._read(lambda: self.store.active(now), "suppressions")
        found: list[Suppression | None] = [None] * len(decided)
        if active is not None and any(active):
            found = await self._matching(policy, incident, decided, now, active)
        return [
            suppression or await self._expected(alert, decision, now)
            for suppression, (alert, decision) in zip(found, decided, strict=True)
        ]

    async def _expected(self, alert: Alert, decision: Decision, now: datetime) -> Suppression | None:
        """Whether the value is usual at this hour. Each value is kept, and counts later."""
        value, at = alert.value, judged_at(alert, now)
        if decision.seasonal is None or value is None:
            return None
        earlier = await self._read(lambda: self.store.note_value(incident_id(alert), at, value), "seasonal")
        return expected(alert, decision, now, earlier) if earlier else None

    async def is_over(self, suppression: Suppression) -> bool:
        """Whether the incident that lists another one is closed. In doubt it is."""
        try:
            async with asyncio.timeout(TIMEOUT_OF_ALL):
                return not await self._is_open(suppression.source)
        except Exception as error:  # noqa: BLE001  # whatever it is, somebody is notified
            _log.warning("suppression_unknown", incident=suppression.source, error=f"{type(error).__name__}: {error}")
            return True

    async def claim(self, budget: Budget, key: str, incident: str, now: datetime) -> str:
        """The incident that lists what goes beyond a page budget; empty if there is room, or if nobody knows.

        ``incident`` itself, if it is the first to go beyond.
        """
        within = timedelta(seconds=budget.within)
        carrier = await self._read(
            lambda: self.store.claim(budget.scope, key, incident, budget.pages, within, now), "page_budget"
        )
        if not carrier or carrier == incident:
            return carrier or ""
        if not await self.is_over(Suppression(kind="budget", reason=budget.scope, source=carrier)):
            return carrier
        replaced = await self._read(
            lambda: self.store.replace_carrier(budget.scope, key, incident, carrier), "page_budget"
        )
        return replaced or ""

    async def put(self, silence: Silence) -> None:
        """Store a silence, or its end. Raises StoreUnavailableError."""
        await self._threads.run(self.store.put, silence)

    async def set_inhibitors(self, incident: str, inhibitors: Iterable[Inhibitor]) -> None:
        """These problems of the incident inhibit others now, and no others of it. Raises StoreUnavailableError."""
        await self._threads.run(self.store.set_inhibitors, incident, list(inhibitors))

    def close(self) -> None:
        self._threads.close()
        self.store.close()

    async def _matching(
        self,
        policy: Policy,
        incident: str,
        decided: Sequence[tuple[Alert, Decision]],
        now: datetime,
        active: tuple[list[Silence], list[Inhibitor]],
    ) -> list[Suppression | None]:
        silences, inhibitors = active
        found: list[Suppression | None] = []
        is_open: dict[str, bool] = {}
        for alert, decision in decided:
            suppression = None if alert.drill else silenced(policy, alert, now, silences)
            left = inhibitors if suppression is None and not alert.drill else []
            while left and (suppression := inhibited(decision, incident, left)) is not None:
                source = suppression.source
                if source not in is_open:
                    is_open[source] = not await self.is_over(suppression)
                if is_open[source]:
                    break
                left = [one for one in left if one.incident != source]
                suppression = None
            found.append(suppression)
        return found

    async def _read(self, work: Callable[[], T], what: str) -> T | None:
        """None if the database does not answer in time."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._threads.run(work)
        except (StoreUnavailableError, TimeoutError) as error:
            reason = str(error) or f"no answer within {TIMEOUT:g} s"
            if (policy := self._policy()) is not None:
                policy.failures.record(what, reason)
            _log.warning("suppression_store_unavailable", what=what, error=reason)
            return None
