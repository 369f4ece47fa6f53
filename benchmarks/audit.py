"""The audit log's append, which is one after the other for all workers: what it takes, and what it costs in room."""

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

TOGETHER = 50
"""So many incidents' records in one transaction: what has gathered while the one before was flushed."""
_numbers = count(1)


def figures(scale: float) -> list[Figure]:
    """Appending to SQLite, and to PostgreSQL where it is installed, each flushed to the disk."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        found = _of("SQLite", f"sqlite:///{folder}/audit.db", scale)
        room = sum(file.stat().st_size for file in Path(folder).iterdir())
    found.append(
        Figure("(l) audit log: room for one incident of seven records", f"{room / _incidents(scale) / 1024:.1f} KiB")
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
        alone = _rate(log, [[_life()] for _ in range(int(300 * scale))])
        together = _rate(log, [[_life() for _ in range(TOGETHER)] for _ in range(int(3000 * scale) // TOGETHER)])
    finally:
        log.close()
    return [
        Figure(f"(l) audit log, {name}: incidents' whole records, one at a time", f"{alone:.0f}/s"),
        Figure(f"(l) audit log, {name}: {TOGETHER} in one transaction", f"{together:.0f}/s"),
    ]


def _rate(log: AuditLog, batches: Sequence[Sequence[Sequence[NewRecord]]]) -> float:
    began = time.monotonic()
    for batch in batches:
        assert not any(log.append(batch))
    return sum(map(len, batches)) / (time.monotonic() - began)


def _life() -> list[NewRecord]:
    """What a short incident leaves: received, classified, notified, acknowledged, cleared, told, told."""
    number = next(_numbers)
    words = ("received", "classified", "notified", "acknowledged", "told_acknowledge", "cleared", "told_resolve")
    return [
        NewRecord(
            f"incident-chatbot-{number:012x}",
            "run",
            str(index),
            datetime.now(UTC),
            what,
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
        for index, what in enumerate(words)
    ]
