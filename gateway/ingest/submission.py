"""An alert between its HTTP request and Temporal."""

import asyncio
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts import Alert, incident_id
from alerts.bounded import json_size, without_raw
from gateway.ingest.seen_events import EventKeys, SeenEvents, event_keys
from gateway.request_id import current_request_id
from incident.events import GroupedAlert
from incident.order import believable
from policy.decision import REFIRE_AFTER

Outcome = Literal["started", "joined", "recorded"]
MAX_ID_BYTES = 800  # of the 200 characters that the reader of webhooks accepts
_ID_BYTES = 8  # quotes, a comma, and what else surrounds an id
_NOT_COMPARED = frozenset({"event_id", "occurred_at", "raw"})


def short_id(identifier: str) -> str:
    """The id of an event as Temporal and the dedup store get it: a long one as its digest."""
    if len(identifier.encode()) <= MAX_ID_BYTES:
        return identifier
    return f"sha256-{hashlib.sha256(identifier.encode()).hexdigest()}"


@dataclass(frozen=True)
class AcceptedAlert:
    """The incident that has an alert durably, and how: it started or joined it, or there was nothing to clear."""

    incident: str
    state: Outcome | Literal["spooled", "quarantined"]
    replayed: bool = False
    """The same signed bytes came before under another event id."""


class SpooledAlert(BaseModel):
    """A submission as it is stored in the spool."""

    model_config = ConfigDict(frozen=True)

    alert: Alert
    event_id: str
    signature_digest: str
    fallback_id: str
    request_id: str = ""
    received_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Submission:
    """An alert to be sent to its incident, and the future that its HTTP request waits for."""

    alert: Alert
    event_id: str = ""
    """The sender's id of the event; may be empty."""
    signature_digest: str = ""
    """``seen_events.signature_digest`` of the request; empty if it was not signed."""
    fallback_id: str = field(default_factory=lambda: f"arrival-{uuid.uuid4().hex[:20]}")
    """Identifies an alert without an event id, so that a second attempt to send it adds no second alert."""
    request_id: str = field(default_factory=current_request_id)
    done: asyncio.Future[AcceptedAlert] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    replayed: bool = False
    """The same signed bytes came before under another event id: it may join an open incident, and starts none."""
    resent: bool = False
    """An earlier attempt may have reached Temporal."""
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    shares_id: bool = False
    """Another event has, or may have, the same id, so that it does not identify this one."""
    repeated: bool = False
    """Its evaluation came before: it may join an open incident, and starts none."""
    of_problem: str = ""
    """The problem that it is about, if the alert itself may say so in other words."""

    def __post_init__(self) -> None:
        self.alert = without_raw(self.alert)

    @classmethod
    def from_spool(cls, content: bytes) -> "Submission":
        stored = SpooledAlert.model_validate_json(content)
        restored = cls(stored.alert, stored.event_id, stored.signature_digest, stored.fallback_id, stored.request_id)
        restored.received_at = stored.received_at
        return restored

    def to_spool(self) -> bytes:
        stored = SpooledAlert(
            alert=self.alert,
            event_id=self.event_id,
            signature_digest=self.signature_digest,
            fallback_id=self.fallback_id,
            request_id=self.request_id,
            received_at=self.received_at,
        )
        return stored.model_dump_json().encode()

    @cached_property
    def size(self) -> int:
        """The alert as JSON, in bytes."""
        return json_size(self.alert)

    @property
    def id_size(self) -> int:
        """What a repeat adds to a group, in bytes."""
        return json_size(self.id) + _ID_BYTES

    @cached_property
    def problem(self) -> str:
        """The problem that it is about."""
        return self.of_problem or incident_id(self.alert)

    @cached_property
    def dedup_fields(self) -> Mapping[str, object]:
        """The alert without its id and time: equal for repeats that can be grouped."""
        return {name: value for name, value in self.alert.__dict__.items() if name not in _NOT_COMPARED}

    @cached_property
    def keys(self) -> EventKeys:
        """The keys under which the dedup store knows it."""
        return event_keys(self.alert, self.event_id, self.signature_digest, self.received_at)

    @property
    def id(self) -> str:
        """Identifies the event in its incident."""
        return self.keys.id if self.event_id and not self.shares_id else self.fallback_id

    @property
    def may_start(self) -> bool:
        """Whether it may start an incident."""
        return self.alert.status != "cleared" and not self.is_repeat

    @property
    def is_repeat(self) -> bool:
        """Whether it came before, so that it may only join an open incident."""
        return self.replayed or self.repeated

    def recall(self, seen: SeenEvents) -> None:
        """Note what is known of a submission that will be sent."""
        self.replayed = seen.is_signed(self.keys)
        self.shares_id = self.replayed or seen.is_shared(self.keys)
        self.repeated = seen.is_repeated(self.keys)

    def settle(self, incident: str, state: Outcome | Literal["spooled", "quarantined"]) -> None:
        """Answer the HTTP request, unless that has been done."""
        if not self.done.done():
            self.done.set_result(AcceptedAlert(incident, state, self.replayed and state == "recorded"))


def group_repeats(submissions: Sequence[Submission]) -> list[GroupedAlert]:
    """Alerts in their order, with adjacent repeats grouped into one."""
    groups: list[list[Submission]] = []
    for submission in submissions:
        if groups and _is_same_group(groups[-1][-1], submission):
            groups[-1].append(submission)
        else:
            groups.append([submission])
    return [_grouped(group) for group in groups]


def _is_same_group(last: Submission, later: Submission) -> bool:
    """Whether two adjacent alerts are repeats, and so near that the incident takes the later one as no other fire."""
    if later.is_repeat != last.is_repeat or later.dedup_fields != last.dedup_fields:
        return False
    pairs = ((last.received_at, later.received_at), (last.alert.occurred_at, later.alert.occurred_at))
    return not any(one and other and (other - one).total_seconds() > REFIRE_AFTER for one, other in pairs)


def _grouped(group: list[Submission]) -> GroupedAlert:
    """With the time of the newest: it decides whether something else is older than they are."""
    now, first = datetime.now(UTC), group[0].alert
    times = [at for each in group if (at := believable(each.alert.ordering_time, now)) is not None]
    newest = max(times, default=None)
    return GroupedAlert(
        alert=first,
        count=len(group),
        event_ids=tuple(each.id for each in group),
        last_at=newest if newest != first.ordering_time else None,
        received_at=group[0].received_at,
        last_received_at=group[-1].received_at if len(group) > 1 else None,
        repeated=group[0].is_repeat,
        problem=group[0].problem,
    )


def split_batch(
    submissions: list[Submission], max_groups: int, max_bytes: int
) -> tuple[list[Submission], list[Submission]]:
    """The submissions that form at most ``max_groups`` groups and ``max_bytes`` of JSON, at least one, and the rest."""
    groups = size = 0
    previous: Submission | None = None
    for index, submission in enumerate(submissions):
        is_repeat = previous is not None and _is_same_group(previous, submission)
        groups += not is_repeat
        size += submission.id_size + (0 if is_repeat else submission.size)
        previous = submission
        if index and (groups > max_groups or size > max_bytes):
            return submissions[:index], submissions[index:]
    return submissions, []
