"""An alert between its HTTP request and Temporal."""

import asyncio
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict

from alerts import Alert
from gateway.request_id import current_request_id
from incident.events import GroupedAlert

Outcome = Literal["started", "joined", "recorded"]
_NOT_COMPARED = frozenset({"event_id", "occurred_at", "raw"})


@dataclass(frozen=True)
class AcceptedAlert:
    """The incident that has an alert durably, and how: it started or joined it, or there was nothing to clear."""

    incident: str
    state: Outcome | Literal["spooled"]
    replayed: bool = False
    """The same signed bytes came before under another event id, and no open incident could take them."""


class SpooledAlert(BaseModel):
    """A submission as it is stored in the spool."""

    model_config = ConfigDict(frozen=True)

    alert: Alert
    event_id: str
    signature_digest: str
    fallback_id: str
    request_id: str = ""


@dataclass
class Submission:
    """An alert to be sent to its incident, and the future that its HTTP request waits for."""

    alert: Alert
    event_id: str = ""
    """The sender's id of the event; may be empty."""
    signature_digest: str = ""
    """SHA-256 of the signed bytes, in hex; empty if the request was not signed."""
    fallback_id: str = field(default_factory=lambda: f"arrival-{uuid.uuid4().hex[:20]}")
    """Identifies an alert without an event id, so that a second attempt to send it adds no second alert."""
    request_id: str = field(default_factory=current_request_id)
    done: asyncio.Future[AcceptedAlert] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    replayed: bool = False
    """The same signed bytes came before under another event id: it may join an open incident, and starts none."""

    @classmethod
    def from_spool(cls, content: bytes) -> "Submission":
        stored = SpooledAlert.model_validate_json(content)
        return cls(stored.alert, stored.event_id, stored.signature_digest, stored.fallback_id, stored.request_id)

    def to_spool(self) -> bytes:
        stored = SpooledAlert(
            alert=self.alert,
            event_id=self.event_id,
            signature_digest=self.signature_digest,
            fallback_id=self.fallback_id,
            request_id=self.request_id,
        )
        return stored.model_dump_json().encode()

    @cached_property
    def dedup_fields(self) -> Mapping[str, object]:
        """The alert without its id and time: equal for repeats that can be grouped."""
        return {name: value for name, value in self.alert.__dict__.items() if name not in _NOT_COMPARED}

    @property
    def id(self) -> str:
        return self.event_id or self.fallback_id

    @property
    def dedup_id(self) -> str:
        """The sender's id, otherwise a digest of monitor and time of evaluation; empty if there is neither."""
        if self.event_id or not self.alert.occurred_at:
            return self.event_id
        parts = (
            *self.alert.identity,
            self.alert.status,
            self.alert.occurred_at.isoformat(),
            str(self.alert.value),
        )
        return f"evaluation-{hashlib.sha256(repr(parts).encode()).hexdigest()[:40]}"

    def settle(self, incident: str, state: Outcome | Literal["spooled"]) -> None:
        """Answer the HTTP request, unless that has been done."""
        if not self.done.done():
            self.done.set_result(AcceptedAlert(incident, state, self.replayed and state == "recorded"))


def group_repeats(submissions: Sequence[Submission]) -> list[GroupedAlert]:
    """Alerts in their order, with adjacent repeats grouped into one."""
    groups: list[list[Submission]] = []
    for submission in submissions:
        if groups and submission.dedup_fields == groups[-1][0].dedup_fields:
            groups[-1].append(submission)
        else:
            groups.append([submission])
    return [
        GroupedAlert(alert=group[0].alert, count=len(group), event_ids=tuple(each.id for each in group))
        for group in groups
    ]


def split_batch(submissions: list[Submission], max_groups: int) -> tuple[list[Submission], list[Submission]]:
    """The submissions that form at most ``max_groups`` groups, and the rest."""
    groups = 0
    previous: Mapping[str, object] | None = None
    for index, submission in enumerate(submissions):
        groups += submission.dedup_fields != previous
        previous = submission.dedup_fields
        if groups > max_groups:
            return submissions[:index], submissions[index:]
    return submissions, []
