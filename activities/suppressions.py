"""The activities ``check_suppressions`` and ``set_inhibitors``."""

from collections.abc import Callable

from temporalio import activity

from activities.contracts import InhibitorsUpdate, SuppressionCheck, SuppressionsFound
from incident.suppression import Silence, Suppression
from integrations.suppression.finder import SuppressionFinder
from policy import Policy


class SuppressionActivities:
    """What suppresses an incident's problems, and what these suppress."""

    def __init__(self, finder: SuppressionFinder | None, policy: Callable[[], Policy]) -> None:
        """Without ``finder``, nothing is suppressed."""
        self._finder, self._policy = finder, policy

    @activity.defn(name="check_suppressions")
    async def check_suppressions(self, request: SuppressionCheck) -> SuppressionsFound:
        """What suppresses problems that were suppressed, or may be by now."""
        if self._finder is None:
            return SuppressionsFound(problems={one.problem: None for one in request.problems})
        policy = self._policy()
        decided = [(policy.interpret(one.alert), one.decision) for one in request.problems]
        found = await self._finder.find(request.incident, decided, request.now)
        return SuppressionsFound(
            problems={
                one.problem: suppression or await _still(self._finder, one.suppression)
                for one, suppression in zip(request.problems, found, strict=True)
            }
        )

    @activity.defn(name="store_silence")
    async def store_silence(self, silence: Silence) -> None:
        """Raises StoreUnavailableError; Temporal retries."""
        if self._finder is not None:
            await self._finder.put(silence)

    @activity.defn(name="set_inhibitors")
    async def set_inhibitors(self, update: InhibitorsUpdate) -> None:
        """Raises StoreUnavailableError; Temporal retries."""
        if self._finder is not None:
            await self._finder.set_inhibitors(update.incident, update.inhibitors)


async def _still(finder: SuppressionFinder, suppression: Suppression | None) -> Suppression | None:
    """A page budget lasts as long as the incident that lists this one is open."""
    if suppression is None or suppression.kind != "budget":
        return None
    return None if await finder.is_over(suppression) else suppression
