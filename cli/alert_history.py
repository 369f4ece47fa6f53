"""Alerts that were really received: from the audit log, from an export of it, or from a file of webhook bodies."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path

from pydantic import ValidationError

from alerts import Alert, AlertError, incident_id, is_change, normalise, read_body
from audit import AuditLog, AuditRecord
from cli.database import database_url
from simulation.comparison import IncidentGrouper, RecordedAlert

_ALERT_EVENTS = frozenset({"received", "alert_added"})
"""The audit events that hold an alert."""
Advance = Callable[[int], object]


class AlertHistory:
    """Reads one history once. ``skipped`` holds the lines that are no alert, each with the reason."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def of_file(self, path: Path, advance: Advance = lambda _: None) -> Iterator[RecordedAlert]:
        """Read a file with a webhook's body, or a record as ``tocsin audit export`` writes it, on each line.

        Args:
            path: the file.
            advance: is called with the number of bytes of each line.

        Raises:
            OSError: the file cannot be read.
        """
        grouper = IncidentGrouper()
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                advance(len(line))
                if line.strip():
                    yield from self._of_line(line, f"{path.name}:{number}", grouper)

    def of_log(self, log: AuditLog, advance: Advance = lambda _: None) -> Iterator[RecordedAlert]:
        """Read the audit log. ``advance`` is called with 1 for each record."""
        for record in log.read(events=_ALERT_EVENTS):
            advance(1)
            yield from self._of_record(record, f"{record.incident} record {record.number}")

    def _of_line(self, line: bytes, place: str, grouper: IncidentGrouper) -> Iterator[RecordedAlert]:
        try:
            body = read_body(line)
            if "anchor" in body:
                yield from self._of_record(AuditRecord.model_validate(body), place)
                return
            if is_change(str(body.get("event", ""))):
                return
            alert = normalise(body)
        except AlertError as error:
            self.skipped.append(f"{place}: {error}")
            return
        except ValidationError:
            self.skipped.append(f"{place}: not a record of the audit log")
            return
        at = alert.occurred_at
        yield RecordedAlert(alert, at, grouper.incident_of(incident_id(alert), alert, at), place)

    def _of_record(self, record: AuditRecord, place: str) -> Iterator[RecordedAlert]:
        if record.event not in _ALERT_EVENTS or "alert" not in record.data:
            return
        try:
            alert = Alert.model_validate(record.data["alert"])
        except ValidationError as error:
            self.skipped.append(f"{place}: {error.errors()[0]['msg']}")
            return
        if alert.drill:
            return  # a drill is no alert of Arize's
        yield RecordedAlert(alert, record.at.astimezone(UTC), f"{record.incident}/{record.first_run_id}", place)


@contextmanager
def progress(past: AlertHistory, file: Path | None) -> Generator[Iterable[RecordedAlert]]:
    """The alerts of a file or of the audit log, with a progress bar on standard error if that is a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        if file is not None:
            task = bar.add_task("Deciding, bytes", total=file.stat().st_size)
            yield past.of_file(file, lambda size: bar.advance(task, size))
            return
        log = AuditLog(database_url())
        task = bar.add_task("Deciding, alerts", total=log.count(events=_ALERT_EVENTS))
        yield past.of_log(log, lambda size: bar.advance(task, size))
        log.close()
