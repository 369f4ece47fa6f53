"""Which alerts of a batch are new, and which came before: by the sender's id, the signed bytes, or the evaluation.

An event's key has its problem, its status, its evaluation (time and value) and the sender's id: an id that two monitors
share, a trigger and its clear, or all alerts of an episode, swallows nothing, because a redelivery says the same again.
What a trigger and its clear share is no identity at all: the next alert with it is a new one.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple, get_args

from alerts import Alert, Status, clean, fingerprint, plausible_time
from alerts.times import LARGEST_OFFSET, MAX_AHEAD
from gateway.ingest.dedup_store import DedupEntry

_READABLE = 60
_STATUSES: Sequence[Status] = get_args(Status)


class EventKeys(NamedTuple):
    """The dedup store's keys of one alert."""

    id: str
    """Identifies the event; empty if nothing does."""
    by_evaluation: bool
    """The sender gave no id: the key is that of the monitor's evaluation. A repeat of it may join an open incident."""
    shared: tuple[str, ...]
    """Keys of other events. If one of them is known, what identifies this event does not: it is not its alone."""
    marks: tuple[str, ...]
    """Stored with it: its id alone; with a clear, the time that it states, or that it states none. The last of equal
    ones counts."""
    signature: str = ""
    """Digest of the signed bytes; empty if they were not signed."""
    event: str = ""
    """Key of the signed bytes together with the event header, which is not signed, under which they came."""
    clears: bool = False


def signature_digest(signed: bytes, event: str) -> str:
    """Identifies signed bytes, and after a dot the event header under which they came."""
    digest = hashlib.sha256(signed).hexdigest()
    return f"{digest}.{hashlib.sha256(event.encode()).hexdigest()[:16]}"


def event_keys(alert: Alert, event_id: str, signed: str, received_at: datetime) -> EventKeys:
    """The keys of an alert.

    Args:
        alert: the alert.
        event_id: the sender's id; may be empty.
        signed: ``signature_digest`` of the request; empty if it was not signed.
        received_at: when the gateway received it, in UTC.
    """
    keys = _keys(alert, event_id, signed, received_at)
    digest, _, event = signed.partition(".")
    return keys._replace(
        signature=digest, event=f"event-{signed}"[:200] if event else "", clears=alert.status == "cleared"
    )


def _keys(alert: Alert, event_id: str, signed: str, received_at: datetime) -> EventKeys:
    problem = fingerprint(alert)
    stated = _stated_time(alert, received_at)
    timed = bool(stated)
    cleared_then, cleared_some_time = _key("cleared", problem, stated), _key("cleared", problem)
    marks = () if alert.status != "cleared" else (cleared_then,) if timed else (cleared_some_time,)
    if event_id:
        others = tuple(_key("id", problem, status, event_id) for status in _STATUSES if status != alert.status)
        if alert.status == "cleared" or not timed:  # what has a time is ordered by it
            marks += (_key("id", problem, alert.status, event_id),)
        # As it was stated, plausible or not: the same bytes have the same key, whenever they come.
        at = "" if alert.occurred_at is None or alert.quarantined else alert.occurred_at.isoformat()
        key = _key("", problem, alert.status, event_id, at, str(alert.value))
        return EventKeys(f"{clean(event_id, _READABLE)}-{key}".lstrip("-"), False, others, marks)
    if timed:
        shared = () if alert.status == "cleared" else (cleared_then, cleared_some_time)
        return EventKeys(_key("evaluation", problem, alert.status, stated, str(alert.value)), True, shared, marks)
    return EventKeys(f"signed-{signed.partition('.')[0]}" if signed else "", False, (), marks)


class Seen(NamedTuple):
    """The entry of an alert that came before. It is not sent again."""

    entry: DedupEntry
    replayed: bool = False
    """Its signed bytes came before under another event header, or are a clear that came under another event id."""


@dataclass
class SeenEvents:
    """What the dedup store knows of a batch, and what the batch itself has had so far."""

    entries: Sequence[DedupEntry]

    def __post_init__(self) -> None:
        self._known = {entry.id: entry for entry in self.entries}
        self._signed = {entry.signature_digest: entry for entry in self.entries if entry.signature_digest}

    def find(self, keys: EventKeys) -> Seen | None:
        """The earlier arrival of an alert that must not be sent again, or None."""
        if keys.signature and (first := self._signed.get(keys.signature)):
            if first.id == keys.id:
                return Seen(first)
            other_event = bool(keys.event) and keys.event not in self._known
            if other_event or keys.clears:
                return Seen(first, replayed=True)
        entry = self._known.get(keys.id) if keys.id and not keys.by_evaluation else None
        return None if entry is None or self.is_shared(keys) else Seen(entry)

    def is_signed(self, keys: EventKeys) -> bool:
        """Whether its signed bytes came before."""
        return bool(keys.signature) and keys.signature in self._signed

    def is_repeated(self, keys: EventKeys) -> bool:
        """Whether its evaluation came before: then it opens nothing, unless a clear has the same time, or none."""
        return keys.by_evaluation and keys.id in self._known and not self.is_shared(keys)

    def is_shared(self, keys: EventKeys) -> bool:
        """Whether the alert's id came before, and is that of another event as well: then it identifies neither.

        The time of an evaluation is shared if a clear that came later has the same, or none that is plausible. The id
        of a clear is shared if a trigger had it later: a second delivery of a clear must not close what fires by now.
        """
        first = self._known.get(keys.id)
        others = [self._known[key] for key in keys.shared if key in self._known]
        by_order = keys.by_evaluation or keys.clears
        return first is not None and any(not by_order or _later(other, first) for other in others)

    def add(self, keys: EventKeys) -> None:
        """Remember a new alert of this batch, so that the next one with the same id is a redelivery of it."""
        for entry in entries_of(keys, "", ""):
            entry = replace(entry, at=datetime.now(UTC))
            if entry.signature_digest:
                self._signed.setdefault(entry.signature_digest, entry)
            if not keys.by_evaluation or entry.id != keys.id:
                self._known[entry.id] = entry


def entries_of(keys: EventKeys, incident: str, state: str) -> list[DedupEntry]:
    """What the dedup store keeps of an accepted alert."""
    latest = not keys.by_evaluation and bool(keys.id)  # the last of equal ids counts, if it was no redelivery
    entries = [DedupEntry(keys.id, keys.signature, incident, state, latest=latest)] if keys.id else []
    entries += [DedupEntry(keys.event, "", incident, state)] if keys.event else []
    return entries + [DedupEntry(mark, "", incident, state, latest=True) for mark in keys.marks]


def all_keys(many: Iterable[EventKeys]) -> set[str]:
    """The keys to look up for a batch."""
    return {key for keys in many for key in (keys.id, keys.event, *keys.shared) if key}


def _stated_time(alert: Alert, received_at: datetime) -> str:
    """The time of its evaluation, as text; empty without a plausible one. One without a zone may be of any zone."""
    ahead = LARGEST_OFFSET if alert.local_time else MAX_AHEAD
    if alert.occurred_at is None or not plausible_time(alert.occurred_at, received_at, max_ahead=ahead):
        return ""
    return alert.occurred_at.astimezone(UTC).isoformat()


def _later(one: DedupEntry, other: DedupEntry) -> bool:
    return one.at is None or other.at is None or one.at >= other.at


def _key(kind: str, *parts: str) -> str:
    """A key of one kind; the sender's id is hashed whole, whatever its length."""
    digest = hashlib.sha256(json.dumps([kind, *parts]).encode()).hexdigest()[:40]
    return f"{kind}-{digest}" if kind else digest
