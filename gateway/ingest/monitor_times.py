"""When the monitors of a batch of alerts last triggered and cleared."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import structlog

from gateway.ingest.submission import Submission
from incident.events import GroupedAlert
from incident.order import EventTimes

_log = structlog.get_logger()


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


def may_any_start(part: Sequence[Submission], times: Times) -> bool:
    """Whether one of them opens an incident: it is none from before its monitor last cleared."""
    return any(each.may_start and not times.is_older(each) for each in part)


def log_older(incident: str, part: Sequence[Submission], times: Times) -> None:
    """Log those that are older than the last clear of their monitor."""
    for each in part:
        if each.alert.status != "cleared" and times.is_older(each):
            _log.info(
                "older_alert_recorded",
                incident=incident,
                happened_at=str(each.alert.occurred_at),
                cleared_at=str(times.of(each.problem).last_clear(each.alert.ordering_time)),
            )
