"""What suppresses the alerts that an incident starts with."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

from gateway.ingest.first_decision import FirstDecision
from incident.suppression import Suppression
from integrations.suppression.finder import SuppressionFinder

Suppress = Callable[[str, FirstDecision], Awaitable[FirstDecision]]
"""Adds to a decision what suppresses its alerts. It has the id of their incident."""


async def suppress_nothing(incident: str, first: FirstDecision) -> FirstDecision:
    """A ``Suppress`` without silences and inhibition."""
    del incident
    return first


def suppress_by(finder: SuppressionFinder) -> Suppress:
    """A ``Suppress`` by silences and inhibition."""

    async def suppress(incident: str, first: FirstDecision) -> FirstDecision:
        if not (each := first.each):
            return first  # a worker decides, and finds it
        found: dict[str, Suppression] = {}
        for one, suppression in zip(first.alerts, await finder.find(incident, each, datetime.now(UTC)), strict=True):
            if suppression is not None:
                found[one.problem_id] = suppression
        return replace(first, suppressions=found)

    return suppress
