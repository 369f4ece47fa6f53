"""The hash chain: how a record's hash is computed, and how a log or an export is verified. Needs only the records.

A record's hash is SHA-256 over its other fields as JSON with sorted keys, no spaces and ASCII only. Two of these
fields are hashes of earlier records: ``previous``, of the record before it in the same incident, and ``anchor``, of
the record before it in the whole log. An edit, a deletion or a reordering inside an incident breaks the incident's own
chain. The removal of a whole incident, or of its end, breaks an anchor.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

GENESIS = "0" * 64
"""The hash that the first record refers to."""


_GAP = "the record that was the newest when this one was written is missing before it"


class AuditRecord(BaseModel):
    """One record of the log.

    ``first_run_id`` distinguishes the incidents that one workflow id had one after another. ``number`` counts from 1
    within such an incident, without a gap. ``key`` is the writer's idempotency key. The hashes are 64 hexadecimal
    digits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    incident: str
    first_run_id: str
    number: int
    key: str
    at: datetime
    event: str
    by: str
    text: str
    data: dict[str, Any]
    previous: str
    anchor: str
    hash: str


class ChainFault(BaseModel):
    """Evidence that a log was changed: the record where it shows, and a sentence.

    ``position`` is the record's place among those that were verified, from 1. ``gap`` says that only the record before
    it in the whole log is missing, as in an export of one incident.
    """

    model_config = ConfigDict(frozen=True)

    incident: str
    number: int
    fault: str
    position: int = Field(default=0, exclude=True)
    gap: bool = Field(default=False, exclude=True)


def record_hash(record: AuditRecord) -> str:
    """Sixty-four hexadecimal digits over every field of the record except its own hash."""
    content = record.model_dump(mode="json", exclude={"hash"})
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class ChainChecker:
    """Verifies records one at a time, in the log's order. Keeps one number and one hash for each incident."""

    def __init__(self, *, whole: bool = True) -> None:
        """``whole`` states that the records are the whole log: then each one must be anchored in the one before it."""
        self.records = 0
        self.last_hash = GENESIS
        self._whole = whole
        self._ends: dict[tuple[str, str], tuple[int, str]] = {}

    @property
    def incidents(self) -> int:
        """How many incidents had records so far."""
        return len(self._ends)

    def add(self, record: AuditRecord) -> list[ChainFault]:
        """Verify the next record. Returns its faults; a record of an unchanged log has none."""
        number, previous = self._ends.get((record.incident, record.first_run_id), (0, GENESIS))
        faults: list[str] = []
        if record_hash(record) != record.hash:
            faults.append("the record does not match its hash: it was edited")
        if record.number != number + 1:
            faults.append(f"number {record.number} follows {number}: deleted or reordered")
        if record.previous != previous:
            faults.append("it does not follow the record before it: edited, deleted or reordered")
        gap = self._whole and record.anchor != self.last_hash
        self._ends[(record.incident, record.first_run_id)] = (record.number, record.hash)
        self.last_hash = record.hash
        self.records += 1
        found = [self._fault(record, fault) for fault in faults]
        return [*found, self._fault(record, _GAP).model_copy(update={"gap": True})] if gap else found

    def _fault(self, record: AuditRecord, fault: str) -> ChainFault:
        return ChainFault(incident=record.incident, number=record.number, fault=fault, position=self.records)


def check(records: Iterable[AuditRecord], *, whole: bool = True) -> list[ChainFault]:
    """Verify a log or an export, in its own order. The records are read as a stream and not kept.

    Args:
        records: in the order in which they were written.
        whole: whether they are the whole log, and not one incident's part of it.

    Returns:
        Every fault; empty for an unchanged log.
    """
    checker = ChainChecker(whole=whole)
    return [fault for record in records for fault in checker.add(record)]
