"""Who manages a monitor. Its notes end with a mark; a monitor without Tocsin's mark is never changed.

The end of the notes of a managed monitor::

    Slow answers lose customers.

    owner:product-support runbook:https://runbooks.example.com/latency phase:warn
    managed-by: tocsin/support-chatbot-p95 applied:3f9a1c02b7de

The line above the mark has the form that Tocsin also reads from any other monitor's notes. ``applied`` identifies
the configuration that was applied last: a monitor that has another one was changed by hand.
"""

import re
from typing import Any, NamedTuple

from monitors.state import MonitorState

_MARK = re.compile(
    r"^managed-by: tocsin/(?:(?P<namespace>[a-z0-9][a-z0-9_-]*)/)?(?P<key>[a-z0-9][a-z0-9_-]*)"
    r"(?: applied:(?P<digest>[0-9a-f]+))?$"
)
WORDS = ("owner", "runbook", "phase", "model_environment", "prediction_class", "top_k_percentile")
"""The fields of ``MonitorState`` that are kept in the notes, beside the free text."""
_PHASES = ("observe", "warn", "page")
_ENVIRONMENTS = ("production", "validation", "training", "tracing")


class Mark(NamedTuple):
    """The owner of a monitor: the repository's namespace, which may be empty, and the declaration's key."""

    namespace: str
    key: str
    digest: str = ""

    def __str__(self) -> str:
        return f"tocsin/{self.namespace}/{self.key}" if self.namespace else f"tocsin/{self.key}"


def read_notes(notes: str) -> tuple[Mark | None, dict[str, Any]]:
    """The mark in a monitor's notes, and what the notes say, by the names of the fields of ``MonitorState``."""
    lines = _stripped(notes.replace("\r\n", "\n").strip().split("\n"))
    mark = _read_mark(lines[-1]) if lines else None
    if mark:
        lines = _stripped(lines[:-1])
    words: dict[str, Any] = {}
    while lines and not words and (stated := _read_words(lines[-1])):
        words = {name: value for name, value in stated.items() if not is_default(name, value)}
        lines = _stripped(lines[:-1])  # a line of defaults only is not written, and is not read
    return mark, {"notes": "\n".join(lines).strip(), **words}


def write_notes(state: MonitorState, mark: Mark) -> str:
    """The notes of a managed monitor."""
    stated = {name: getattr(state, name) for name in WORDS}
    words = [f"{name}:{value}" for name, value in stated.items() if not is_default(name, value)]
    end = [" ".join(words)] if words else []
    end.append(f"managed-by: {mark}" + (f" applied:{mark.digest}" if mark.digest else ""))
    return "\n\n".join(part for part in (state.notes, "\n".join(end)) if part)


def is_default(name: str, value: Any) -> bool:
    """Whether a word has the value that it has without being written."""
    return value in {None, ""} or (name, value) in {("phase", "page"), ("model_environment", "production")}


def _read_mark(line: str) -> Mark | None:
    found = _MARK.match(line.strip())
    return Mark(found["namespace"] or "", found["key"], found["digest"] or "") if found else None


def _read_words(line: str) -> dict[str, Any]:
    """The words of a line that has nothing else."""
    pairs = [part.partition(":") for part in line.split()]
    names = [name for name, _, _ in pairs]
    if not all(name in WORDS and value for name, _, value in pairs) or len(set(names)) != len(names):
        return {}
    words: dict[str, Any] = {name: value for name, _, value in pairs}
    if words.get("phase", "page") not in _PHASES or words.get("model_environment", "tracing") not in _ENVIRONMENTS:
        return {}
    if "top_k_percentile" in words:
        try:
            words["top_k_percentile"] = float(words["top_k_percentile"])
        except ValueError:
            return {}
    return words


def _stripped(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines
