"""What an incident's run hands on, within Temporal's limits, whatever has gathered. See ``incident.limits``."""

from collections.abc import Sequence
from datetime import datetime

from temporalio import workflow

from alerts.bounded import bounded, json_size
from incident.events import GroupedAlert
from incident.limits import BARE_ALERT_BYTES, CLOSED_STATE_BYTES, INBOX_BYTES, STATE_BYTES
from incident.order import MONITOR_TIMES
from incident.state import IncidentState
from incident.text import counted
from workflows.contracts import HeldProblem, IncidentResult

MAX_EVENTS_WHILE_SENDING = 6_000
"""Even a notification in flight does not let a run grow longer than this: Temporal refuses the 10,001st signal."""
MAX_BYTES_WHILE_SENDING = 6 * 2**20
"""The same in bytes of history: a gateway sends no more alerts to a run of 8 MiB, and Temporal terminates one of 50."""
MAX_EVENTS_WHILE_SENDING_1_0 = 16_000
"""What runs that began with 1.0 have instead."""
_MIN_TIMELINE, _MIN_IDS, _MIN_RECEIPTS = 20, 100, 50


def bounded_group(group: GroupedAlert, limit: int) -> GroupedAlert:
    """The group with its alert in at most ``limit`` bytes."""
    return group.model_copy(update={"alert": bounded(group.alert, limit)})


def parts_of(groups: Sequence[GroupedAlert], limit: int, alert_limit: int) -> list[list[GroupedAlert]]:
    """The groups in their order, in parts of at most ``limit`` bytes: one part for each activity.

    Each alert is measured once: all of them are, before the workflow yields for the first time.
    """
    sizes = [json_size(one.alert) for one in groups]
    groups = [
        bounded_group(group, alert_limit) if size > alert_limit or group.alert.raw else group
        for group, size in zip(groups, sizes, strict=True)
    ]
    sizes = [min(size, alert_limit) for size in sizes]
    if not groups or (sum(sizes) > limit and not workflow.patched("bounded-classify")):
        return [list(groups)] if groups else []
    parts: list[list[GroupedAlert]] = []
    room = 0
    for group, size in zip(groups, sizes, strict=True):
        room -= size
        if room < 0:
            parts.append([])
            room = limit - size
        parts[-1].append(group)
    return parts


def is_full(events: int, size: int) -> bool:
    """Whether a run continues as new even with notifications in flight: by its history's length, and its bytes."""
    if events >= MAX_EVENTS_WHILE_SENDING_1_0:
        return True
    full = events >= MAX_EVENTS_WHILE_SENDING or size >= MAX_BYTES_WHILE_SENDING
    return full and workflow.patched("full-while-sending")


def incident_result(state: IncidentState) -> IncidentResult:
    """What the closed incident says of itself."""
    reopens = state.tracks_problems and state.decision is not None and state.decision.reopen_within is not None
    return IncidentResult(
        closed_by=state.resolved_by,
        alert_count=state.alert_count,
        **state.times.model_dump(include=set(MONITOR_TIMES)),
        problems={key: one.times.of_monitor() for key, one in state.problems.items()},
        state=_closed_state(state) if reopens else None,
    )


def held_problems(state: IncidentState) -> list[HeldProblem]:
    """The incident's problems, without what only messages need."""
    return [
        HeldProblem(
            problem=key,
            monitor_id=one.monitor_id,
            identity=one.identity,
            cleared=not one.is_open,
            since=one.fired_at,
        )
        for key, one in state.problems.items()
        if one.alert_count
    ]


def _closed_state(state: IncidentState) -> IncidentState | None:
    """What is needed to open the incident again; None if that is too much."""
    decision = state.decision and state.decision.model_copy(update={"trace": ()})
    latest = state.latest_alert and bounded(state.latest_alert, BARE_ALERT_BYTES)
    kept = state.model_copy(
        update={
            "decision": decision,
            "alert": None,
            "latest_alert": latest,
            "undescribed": [],
            "timeline": state.timeline[-_MIN_TIMELINE:],
            "processed_event_ids": state.processed_event_ids[-_MIN_IDS:],
            "problems": {key: one.model_copy(update={"alert": None}) for key, one in state.problems.items()},
        }
    )
    return kept if json_size(kept) <= CLOSED_STATE_BYTES else None


def bounded_state(state: IncidentState, now: datetime) -> IncidentState:
    """The state for the next run. If it is too large, what is kept only for reading or for redeliveries is shortened.

    The audit log has all of the timeline. Receipts of reminders are dropped last, the oldest first.
    """
    limit = STATE_BYTES - INBOX_BYTES
    state = state.model_copy(update={"bounded": True})
    if not state.fires and state.cycle:  # 1.0 began it, and counted none
        state.fires, state.known_fires = 1, 1 if state.receipts else 0
    if json_size(state) <= limit:
        return state
    dropped = {"timeline": 0, "processed_event_ids": 0, "receipts": 0}
    for name, least in (("timeline", _MIN_TIMELINE), ("processed_event_ids", _MIN_IDS), ("receipts", _MIN_RECEIPTS)):
        while json_size(state) > limit and len(kept := getattr(state, name)) > least:
            shorter = kept[-max(len(kept) // 2, least) :]
            if name == "receipts":
                first = [one for one in kept[: -len(shorter)] if ":remind-" not in one.key]
                if len(first) + len(shorter) == len(kept):
                    break
                shorter = [*first, *shorter]
            dropped[name] += len(kept) - len(shorter)
            state = state.model_copy(update={name: shorter})
    text = ", ".join(
        (
            counted(dropped["timeline"], "earlier timeline entry", "earlier timeline entries"),
            counted(dropped["processed_event_ids"], "id of an earlier alert", "ids of earlier alerts"),
            counted(dropped["receipts"], "receipt of an earlier reminder", "receipts of earlier reminders"),
        )
    )
    state.record(now, "state_shortened", f"the incident no longer keeps {text}")
    return state
