"""The chain's arithmetic: what is hashed, and how an export is checked. Needs nothing but the records.

A record's hash is SHA-256 over its other fields as JSON with sorted keys, no spaces and ASCII only. Two
hashes of earlier records are among those fields: ``previous``, of the record before it in the same incident,
and ``anchor``, of the record that was the newest in the whole log. So an edit, a deletion or a reordering
inside an incident breaks its own chain, and the removal of a whole incident or of its end breaks an anchor.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

GENESIS = "0" * 64


class Record(BaseModel):
    """One entry of the log.

    ``opening`` tells apart the incidents that one workflow id had one after another; ``number`` counts from 1
    within it, without a gap; ``key`` is what the writer knows the entry by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    incident: str
    opening: str
    number: int
    key: str
    at: datetime
    what: str
    by: str
    text: str
    data: dict[str, Any]
    previous: str
    anchor: str
    hash: str


class Finding(BaseModel):
    """Something that a true log cannot contain."""

    model_config = ConfigDict(frozen=True)

    incident: str
    number: int
    fault: str


def record_hash(record: Record) -> str:
    """Sixty-four hexadecimal digits over everything in the record but its own hash."""
    content = record.model_dump(mode="json", exclude={"hash"})
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check(records: Iterable[Record], *, whole: bool = True) -> list[Finding]:
    """Find what is wrong with an export, in its own order.

    ``whole`` says that the export claims to be the whole log: then every anchor must be in it too.
    """
    findings: list[Finding] = []
    last: dict[tuple[str, str], Record] = {}
    known = {GENESIS}

    def fault(record: Record, text: str) -> None:
        findings.append(Finding(incident=record.incident, number=record.number, fault=text))

    for record in records:
        before = last.get((record.incident, record.opening))
        if record_hash(record) != record.hash:
            fault(record, "the record does not match its hash: it was edited")
        if record.number != (before.number if before else 0) + 1:
            fault(
                record,
                f"number {record.number} follows {before.number if before else 0}: deleted or reordered",
            )
        if record.previous != (before.hash if before else GENESIS):
            fault(record, "it does not follow the record before it: edited, deleted or reordered")
        if whole and record.anchor not in known:
            fault(record, "the record that was the newest when this one was written is missing before it")
        known.add(record.hash)
        last[(record.incident, record.opening)] = record
    return findings
