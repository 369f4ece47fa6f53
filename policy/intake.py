"""Reads a parsed body as an alert: by the policy's mappings, otherwise by the built-in reader of Arize's bodies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from alerts import Alert, AlertError, normalise
from alerts.body import name_of_type
from policy.cel.mapping import KEY_OF, REQUIRED, AlertMapping, MappingError, Payload, check_expression, check_field
from policy.cel.type_check import Issue
from policy.schema import IntakeConfig, MappingConfig

_Path = tuple[str | int, ...]


class _Report(Protocol):
    def __call__(self, path: _Path, message: str, offset: int | None = None, *, warning: bool = False) -> None: ...


@dataclass(frozen=True)
class Reading:
    """An alert, and how it was read."""

    alert: Alert
    mapping: str = ""
    """The mapping that read it; empty if the built-in reader did."""
    failures: tuple[str, ...] = ()
    """Why mappings that match the body did not read it."""


def read_payload(mappings: Sequence[AlertMapping], payload: Any, event_id: str = "", event: str = "") -> Reading:
    """Read a parsed body. A mapping that fails on it does not lose it: the next reader tries.

    Args:
        mappings: those of the policy in force.
        payload: JSON of any type.
        event_id: the event's id from the request's headers; it takes precedence over the body.
        event: the event's dotted name from the request's headers.

    Raises:
        AlertError: nothing reads it. The reasons name the mappings that failed.
    """
    failures, reading = _by_mappings(mappings, payload, event_id, event)
    if reading is not None:
        return reading
    if not isinstance(payload, dict):
        raise AlertError(*failures, f"the body is {name_of_type(payload)}, and only mappings read what is no object")
    try:
        return Reading(normalise(cast("dict[str, Any]", payload), event_id, event), "", failures)
    except AlertError as error:
        raise AlertError(*failures, *error.reasons) from None


def read_by_mappings(
    mappings: Sequence[AlertMapping], payload: Any, event_id: str = "", event: str = ""
) -> Reading | None:
    """Like ``read_payload``, without the built-in reader: None if no mapping reads the body."""
    return _by_mappings(mappings, payload, event_id, event)[1]


def _by_mappings(
    mappings: Sequence[AlertMapping], payload: Any, event_id: str, event: str
) -> tuple[tuple[str, ...], Reading | None]:
    if not mappings:
        return (), None
    failures: list[str] = []
    try:
        facts = Payload(payload)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:  # a value that CEL's library does not take
        return (f"no mapping can evaluate this body: {type(error).__name__}: {error}",), None
    for mapping in mappings:
        outcome = mapping.matches(facts)
        if outcome.failed:
            failures.append(f"mapping {mapping.name}: when: {outcome.reason}")
        if not outcome.matched:
            continue
        try:
            alert = mapping.read(facts, event_id, event)
        except MappingError as error:
            failures.append(str(error))
            continue
        raw = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {"payload": payload}
        return tuple(failures), Reading(alert.model_copy(update={"raw": raw}), mapping.name, tuple(failures))
    return tuple(failures), None


def compile_mappings(intake: IntakeConfig, report: _Report) -> tuple[AlertMapping, ...]:
    """The mappings of a policy. Problems go to ``report`` with their path; the result is usable without errors."""
    compiled: list[AlertMapping] = []
    names: set[str] = set()
    for index, config in enumerate(intake.mappings):
        path = ("intake", "mappings", index)
        if config.name in names:
            report((*path, "name"), f"another mapping has the name {config.name!r}")
        names.add(config.name)
        issues = list(check_mapping(config))
        for key, issue in issues:
            report((*path, *key), issue.message, issue.offset if issue.offset >= 0 else None, warning=issue.warning)
        if all(issue.warning for _, issue in issues):
            compiled.append(AlertMapping(config.name, config.when, config.alert))
    return tuple(compiled)


def check_mapping(config: MappingConfig) -> Iterator[tuple[_Path, Issue]]:
    """The problems of a mapping, each with its key. An offset of -1 stands for the key itself."""
    for issue in check_expression(config.when):
        yield ("when",), issue
    for field, source in config.alert.items():
        if fault := check_field(field):
            yield ("alert", field), Issue(-1, fault)
            continue
        if not source.strip():
            yield ("alert", field), Issue(-1, 'is empty: write a CEL expression, such as payload.name or "production"')
            continue
        for issue in check_expression(source, field):
            yield ("alert", field), issue
    if not any(field in config.alert for field in REQUIRED if field in KEY_OF):
        yield (
            ("alert",),
            Issue(-1, f"needs {', '.join(REQUIRED[:-1])} or {REQUIRED[-1]}: an alert is about one of them"),
        )
