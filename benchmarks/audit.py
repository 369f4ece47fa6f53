"""Appends to the audit log, one after the other for all workers: rate and size."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from audit import AuditLog, NewRecord
from benchmarks.figures import Figure
from tests.postgres import postgres

BATCH_SIZE = 50
"""Incidents whose records share a transaction: those that arrive while the previous one is flushed."""
_numbers = count(1)


def figures(scale: float) -> list[Figure]:
    """Appends to SQLite, and to PostgreSQL if it is installed, each flushed to the disk."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        found = _of("SQLite", f"sqlite:///{folder}/audit.db", scale)
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    found.append(
        Figure("(l) audit log: size of one incident of seven records", f"{size / _incidents(scale) / 1024:.1f} KiB")
    )
    if shutil.which("initdb"):
        with postgres(durable=True) as address:
            found += _of("PostgreSQL", address, scale)
    return found


def _incidents(scale: float) -> int:
    return int(300 * scale) + int(3000 * scale)


def _of(name: str, address: str, scale: float) -> list[Figure]:
    log = AuditLog(address)
    try:
        alone = _rate(log, [[_records()] for _ in range(int(300 * scale))])
        together = _rate(log, [[_records() for _ in range(BATCH_SIZE)] for _ in range(int(3000 * scale) // BATCH_SIZE)])
    finally:
        log.close()
    return [
        Figure(f"(l) audit log, {name}: incidents, one at a time", f"{alone:.0f}/s"),
        Figure(f"(l) audit log, {name}: {BATCH_SIZE} in one transaction", f"{together:.0f}/s"),
    ]


def _rate(log: AuditLog, batches: Sequence[Sequence[Sequence[NewRecord]]]) -> float:
    began = time.monotonic()
    for batch in batches:
        assert not any(log.append(batch))
    return sum(map(len, batches)) / (time.monotonic() - began)


def _records() -> list[NewRecord]:
    """The records of a short incident."""
    number = next(_numbers)
    events = (
        "received",
        "classified",
        "notified",
        "acknowledged",
        "update_sent_acknowledge",
        "cleared",
        "update_sent_resolve",
    )
    return [
        NewRecord(
            f"incident-chatbot-{number:012x}",
            "run",
            str(index),
            datetime.now(UTC),
            event,
            "tocsin",
            "a line of words" * 4,
            {
                "alert": {
                    "monitor": "support-chatbot error rate",
                    "metric": "error_rate",
                    "value": 0.31,
                    "model": "chatbot",
                }
            },
        )
        for index, event in enumerate(events)
    ]
