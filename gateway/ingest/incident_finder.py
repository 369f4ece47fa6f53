"""Finds the incident that an alert belongs to: an open one that holds its problem, or the one that the policy names."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.grouping import Grouping
from gateway.ingest.submission import Submission

CACHE_SIZE = 50_000


class IncidentFinder:
    """Remembers where each problem is: in memory, and in the database for other gateways."""

    def __init__(self, store: DedupStore, grouping: Grouping) -> None:
        self._store, self._grouping = store, grouping
        self._held: OrderedDict[str, str] = OrderedDict()

    def holds(self, incident: str, part: Sequence[Submission]) -> bool:
        """Whether this gateway sent all of these problems to the incident before."""
        return all(self._held.get(each.problem) == incident for each in part)

    async def known(self, problems: Collection[str]) -> Mapping[str, str]:
        """In which incident each problem was last, as far as that is known."""
        missing = [problem for problem in problems if problem not in self._held]
        self._held.update(await self._store.find_incidents(missing))
        return {problem: self._held[problem] for problem in problems if problem in self._held}

    async def find(
        self, problem: str, alerts: Sequence[Submission], last: str, is_open: Callable[[str], Awaitable[bool]]
    ) -> str:
        """The incident for alerts of one problem.

        Args:
            problem: the problem; an incident that is not grouped has its id.
            alerts: of that problem, in their order.
            last: the incident in which the problem was last; empty if that is not known.
            is_open: asks Temporal whether an incident is open.

        Raises:
            RPCError: Temporal is unavailable.
        """
        triggered = next((each for each in alerts if each.alert.status != "cleared"), alerts[0])
        named = self._grouping.incident_of(triggered.alert)
        before = last or (problem if self._grouping.groups else "")
        return before if before and before != named and await is_open(before) else named

    async def remember(self, incident: str, problems: Collection[str]) -> None:
        """These problems are in that incident now. One in an incident of its own needs no entry."""
        changed = {problem: incident for problem in problems if self._held.get(problem, problem) != incident}
        for problem in problems:
            self._held[problem] = incident
            self._held.move_to_end(problem)
        while len(self._held) > CACHE_SIZE:
            self._held.popitem(last=False)
        await self._store.add_incidents(changed)
