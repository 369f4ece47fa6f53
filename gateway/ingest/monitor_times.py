"""When the monitors of a batch of alerts last triggered and cleared."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gateway.ingest.submission import Submission
from incident.events import GroupedAlert
from incident.order import EventTimes


class Times:
    """By problem."""

    def __init__(self, known: Mapping[str, EventTimes] | None = None) -> None:
        self._known = dict(known or {})

    def of(self, problem: str) -> EventTimes:
        """The times that are known; None for those that are not."""
        return self._known.get(problem, EventTimes())

    def add(self, problem: str, others: EventTimes, now: datetime) -> None:
        """Add what another source knows: the newest clear counts, and the first known trigger."""
        times = self._known.setdefault(problem, EventTimes())
        for cleared_at in (others.cleared_at, others.local_cleared_at):
            times.add_clear(cleared_at, now)
        times.triggered_at = times.triggered_at or others.triggered_at
        times.local_triggered_at = times.local_triggered_at or others.local_triggered_at

    def is_older(self, submission: Submission) -> bool:
        """Whether the monitor has cleared since: an incident that this alert opened would never close."""
        return self.of(submission.problem).is_older_trigger(submission.alert.ordering_time, datetime.now(UTC))

    def on(self, groups: Sequence[GroupedAlert]) -> list[GroupedAlert]:
        """The alerts, each with the times of its monitor if that is known to have cleared."""
        return [
            one.model_copy(update={"times": times.of_monitor()})
            if one.alert.status != "cleared" and (times := self.of(one.problem_id)).has_clear
            else one
            for one in groups
        ]
