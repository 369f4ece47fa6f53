"""Whether a body says that its monitor is triggered, has cleared, or has no data."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from alerts import values
from alerts.lookup import FIELD_NAMES
from alerts.model import Status

_STATUS: dict[str, Status] = {
    **dict.fromkeys(("triggered", "firing", "alerting", "trigger", "fired", "open", "alarm"), "triggered"),
    **dict.fromkeys(("cleared", "healthy", "resolved", "ok", "clear", "recovered", "closed", "normal"), "cleared"),
    **dict.fromkeys(("nottriggered", "notfiring", "untriggered", "inactive"), "cleared"),
    **dict.fromkeys(("nodata", "unknown", "insufficientdata"), "no_data"),
}
_ENVELOPES = frozenset({"ok", "closed", "open", "clear", "resolved", "recovered", "normal", "inactive"})
"""Words for the state of whatever sends a message, too: such a word around a monitor's status may not be its own."""
_LOUDEST: Sequence[Status] = ("triggered", "no_data", "cleared")
_FLAGS = {True: True, False: False, "true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


_FLAG_NAMES = frozenset((*FIELD_NAMES["is_triggered"], *FIELD_NAMES["is_cleared"]))


def read_status(levels: Sequence[Mapping[str, Any]], events: Sequence[str]) -> tuple[Status, bool]:
    """The status, and whether the body states it. An unknown one counts as triggered: in doubt, someone is notified.

    Args:
        levels: of the body, from the top inwards; an outer one takes precedence, unless its word may be that of the
            envelope, such as ``ok``. Then the louder one counts, as for two that contradict each other on one level.
        events: the event's dotted name, for a body without a status; the first that says one counts.
    """
    words = [_first_word(level) for level in levels]
    of_levels: list[Status | None] = [_of_level(level, word) for level, word in zip(levels, words, strict=True)]
    for word, status in zip(words, of_levels, strict=True):
        if status:
            return (_loudest(of_levels) or status) if word in _ENVELOPES else status, True
    for event in events:
        if stated := _of_event(event):
            return stated, True
    return "triggered", False


def _of_event(event: str) -> Status | None:
    """The status of ``monitor.cleared``, ``monitor.no_data``, ``monitor_cleared``."""
    name = values.snake(event.rpartition(".")[2])
    negated = "not" in name.split("_")
    return _STATUS.get(name.replace("_", "")) or (None if negated else _STATUS.get(name.rpartition("_")[2]))


def _of_level(level: Mapping[str, Any], first: str) -> Status | None:
    """The loudest of what one object of the body says; ``isTriggered`` is GraphQL's."""
    return _loudest([_STATUS.get(first), *_stated(level)])


def _stated(level: Mapping[str, Any]) -> Iterator[Status | None]:
    for name in FIELD_NAMES["status"]:
        yield _STATUS.get(_word(level.get(name)))
    if _FLAG_NAMES.isdisjoint(level):
        return
    for field, triggered in (("is_triggered", True), ("is_cleared", False)):
        for name in FIELD_NAMES[field]:
            if (flag := _flag(level, name)) is not None:
                yield "triggered" if flag is triggered else "cleared"


def _loudest(statuses: Sequence[Status | None]) -> Status | None:
    return next((one for one in _LOUDEST if one in statuses), None)


def _first_word(level: Mapping[str, Any]) -> str:
    return next((word for name in FIELD_NAMES["status"] if (word := _word(level.get(name)))), "")


def _word(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        entry = cast("Mapping[str, Any]", value)
        value = next((entry[name] for name in ("name", "state", "status", "value") if name in entry), None)
    return values.snake(values.text(value)).replace("_", "")


def _flag(level: Mapping[str, Any], name: str) -> bool | None:
    value = level.get(name)
    if isinstance(value, bool):
        return value
    return _FLAGS.get(str(value).strip().casefold()) if isinstance(value, str | int) else None
