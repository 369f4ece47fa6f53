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
"""The audit events that hold an alert which is triggered."""
_CLEAR_EVENTS = frozenset({"cleared", "problem_cleared"})
"""Those of a clear. Earlier versions did not record its alert: then it is about the monitor of the last one."""
Advance = Callable[[int], object]


class AlertHistory:
    """Reads one history once. ``skipped`` holds the lines that are no alert, each with the reason."""

    def __init__(self, *, clears: bool = False) -> None:
        """``clears``: also those of the audit log. Other histories always have them."""
        self.skipped: list[str] = []
        self._events = _ALERT_EVENTS | _CLEAR_EVENTS if clears else _ALERT_EVENTS
        self._last: dict[tuple[str, str], Alert] = {}
        """The last alert of each incident of the audit log."""

    @property
    def events(self) -> frozenset[str]:
        """The audit events that are read."""
        return self._events

    def of_file(self, path: Path, advance: Advance = lambda _: None) -> Iterator[RecordedAlert]:
        """Read a file with a webhook's body, or a record as ``tocsin audit export`` writes it, on each line.

        Args:
            path: the file.
            advance: is called with the number of bytes of each line.

        Raises:
            OSError: the file cannot be read.
        """
        with path.open("rb") as lines:
            yield from self.of_lines(lines, path.name, 1, advance)

    def of_lines(
        self, lines: Iterable[bytes], name: str, first: int, advance: Advance = lambda _: None
    ) -> Iterator[RecordedAlert]:
        """Read lines of a file. ``first`` is the number of the first one."""
        grouper = IncidentGrouper()
        for number, line in enumerate(lines, first):
            advance(len(line))
            if line.strip():
                yield from self._of_line(line, f"{name}:{number}", grouper)

    def of_log(self, log: AuditLog, advance: Advance = lambda _: None) -> Iterator[RecordedAlert]:
        """Read the audit log. ``advance`` is called with 1 for each record."""
        for record in log.read(events=self._events):
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
        if record.event not in self._events:
            return
        opening = (record.incident, record.first_run_id)
        try:
            alert = Alert.model_validate(record.data["alert"]) if "alert" in record.data else None
        except ValidationError as error:
            self.skipped.append(f"{place}: {error.errors()[0]['msg']}")
            return
        if record.event in _CLEAR_EVENTS and (last := alert or self._last.get(opening)) is not None:
            alert = last.model_copy(update={"status": "cleared"})
        if alert is None or alert.drill:
            return  # a drill is no alert of Arize's
        self._last[opening] = alert
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
        task = bar.add_task("Deciding, alerts", total=log.count(events=past.events))
        yield past.of_log(log, lambda size: bar.advance(task, size))
        log.close()
