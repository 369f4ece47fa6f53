"""What a verification of the log, or of an export, shows: the faults, and the limits of what it can show.

The hash chain needs no key, so anyone who can write the log can compute it again. A hash that was kept elsewhere, such
as the last one of an earlier verification, closes that gap: the record with this hash vouches for all before it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from audit.chain import AuditRecord, ChainChecker, ChainFault

Scope = Literal["log", "incident"]

NOT_SHOWN = (
    "an edit after which every later hash was computed again",
    "the removal of a whole incident after which every later hash was computed again",
    "the removal of the newest records",
)
"""Changes that no chain without a key can show."""


@dataclass(frozen=True)
class Verification:
    """The result. ``scope`` is ``incident`` for an export of one incident, whose records refer to others of the log."""

    faults: tuple[ChainFault, ...]
    records: int
    incidents: int
    last_hash: str
    """Empty without a record."""
    scope: Scope
    missing: tuple[str, ...]
    """The expected hashes that no record has."""

    @property
    def intact(self) -> bool:
        return not (self.faults or self.missing)


def verify(records: Iterable[AuditRecord], *, export: bool = False, expected: Collection[str] = ()) -> Verification:
    """Verify records in their own order. They are read as a stream and not kept.

    Args:
        records: in the order in which they were written.
        export: they may be one incident's part of the log: then none is expected to follow the one before it in the
            whole log.
        expected: whole hashes of records that must be among them.
    """
    checker = ChainChecker()
    faults: list[ChainFault] = []
    gaps: list[ChainFault] = []
    ids: set[str] = set()
    missing = set(expected)
    for record in records:
        ids.add(record.incident)
        missing.discard(record.hash)
        for fault in checker.add(record):
            (gaps if fault.gap else faults).append(fault)
    part = export and len(ids) == 1 and bool(gaps)
    return Verification(
        faults=tuple(faults if part else sorted([*faults, *gaps], key=lambda fault: fault.position)),
        records=checker.records,
        incidents=checker.incidents,
        last_hash=checker.last_hash if checker.records else "",
        scope="incident" if part else "log",
        missing=tuple(sorted(missing)),
    )
