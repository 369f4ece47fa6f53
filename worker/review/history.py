"""Alerts that were really sent: from the audit log, from an export of it, or from a file of bodies, one a line."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from alerts import Alert, AlertError, BodyError, incident_id, is_change, normalise, read_body
from audit import AuditLog
from policy.compare import Openings, Recorded

_HELD = frozenset({"received", "joined"})
"""The records that hold an alert."""


class History:
    """Goes through a history once. ``refused`` holds the lines that are no alert, with the reason."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def of_file(self, path: Path, read: Callable[[int], object] = lambda _: None) -> Iterator[Recorded]:
        """From a file, a line each: an alert's body as it was sent, or a record as ``tocsin audit export`` writes it.

        ``read`` is told the number of bytes of each line. Raises OSError.
        """
        openings = Openings()
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                read(len(line))
                if line.strip():
                    yield from self._of_line(line, f"{path.name}:{number}", openings)

    def of_log(self, log: AuditLog, read: Callable[[int], object] = lambda _: None) -> Iterator[Recorded]:
        """From the audit log. ``read`` is told of each record."""
        for record in log.read(kinds=_HELD):
            read(1)
            yield from self._of_record(record.model_dump(), f"{record.incident} record {record.number}")

    def _of_line(self, line: bytes, place: str, openings: Openings) -> Iterator[Recorded]:
        try:
            body = read_body(line)
            if "anchor" in body and "what" in body:
                yield from self._of_record(body, place)
                return
            if is_change(str(body.get("event", ""))):
                return
            alert = normalise(body)
        except (AlertError, BodyError) as error:
            self.refused.append(f"{place}: {error}")
            return
        at = alert.occurred_at
        yield Recorded(alert, at, openings.of(incident_id(alert), alert, at), place)

    def _of_record(self, record: dict[str, Any], place: str) -> Iterator[Recorded]:
        data = record.get("data")
        data = json.loads(data) if isinstance(data, str) else data
        kept = cast("dict[str, Any]", data).get("alert") if isinstance(data, dict) else None
        if record.get("what") not in _HELD or kept is None:
            return
        try:
            alert = Alert.model_validate(kept)
        except ValidationError as error:
            self.refused.append(f"{place}: {error.errors()[0]['msg']}")
            return
        if alert.drill:
            return  # nothing was on fire
        at = record["at"] if isinstance(record["at"], datetime) else datetime.fromisoformat(str(record["at"]))
        yield Recorded(alert, at.astimezone(UTC), f"{record['incident']}/{record['opening']}", place)
