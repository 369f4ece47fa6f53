"""Structured logs on standard error: JSON for machines, coloured text on a terminal."""

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog
from temporalio.exceptions import ApplicationError

from worker.standard_error import LenientStderr
from workflows.contracts import INCIDENT_WORKFLOW

MAX_FIELD_CHARS = 2000
MAX_EXCEPTION_CHARS = 8_000
MAX_LINE_CHARS = 16_000
"""Of all texts in a line together. A line may quote a request, and anyone can send many of them."""
MAX_ITEMS = 50
"""In a list or an object of a line."""
MIN_SECRET_CHARS = 6
"""Shorter secrets are not redacted: they would also match parts of ordinary words."""

_secrets: set[str] = set()
_secret_pattern: re.Pattern[str] | None = None
_CREDENTIALS = re.compile(r"((?i:\bbearer |\bbasic )|://[^/\s:@\"']{0,100}:(?=[^/\s@\"']{1,200}@))[^\s\"'@,;]+")
"""Credentials by their form, whether or not Tocsin knows them."""


def configure(level: str, role: str) -> None:
    """Start logging.

    Args:
        level: the lowest level that is logged, such as ``info``. Other libraries log warnings and errors only.
        role: the process (``gateway``, ``worker``, ...), in every line.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _no_exception,
        structlog.processors.format_exc_info,
        _truncate,
    ]
    # A line may hold text of an alert. Both renderers escape it: a line stays one line, and a terminal receives no
    # control sequence from outside.
    console = structlog.dev.ConsoleRenderer(repr_native_str=True, exception_formatter=structlog.dev.plain_traceback)
    renderer = console if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer, _redact_line],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", LenientStderr())),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_add_workflow, _shorten_failure, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _redact_line],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger("temporalio").setLevel(max(number, logging.WARNING))


def redact(secrets: Iterable[str]) -> None:
    """Replace these secrets in every log line from now on, of any library."""
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARS:
            _secrets.update({secret, json.dumps(secret)[1:-1]})
    global _secret_pattern  # one pattern for the process, compiled when a secret is added
    longest_first = sorted(_secrets, key=len, reverse=True)
    _secret_pattern = re.compile("|".join(map(re.escape, longest_first))) if _secrets else None


def environment_secrets(environment: Mapping[str, str]) -> Iterator[str]:
    """The values of variables whose names suggest a secret, and passwords in URLs. A variable may hold several."""
    for name, value in environment.items():
        if re.search(r"SECRET|TOKEN|PASSWORD|_KEY$|_KEY_|PWD$", name) and not value.startswith(("/", "./")):
            yield from filter(None, (part.strip() for part in value.split(",")))
        yield from re.findall(r"://[^/\s:@]*:([^/\s@]+)@", value)


def workflow_field(workflow_type: str | None, workflow_id: str | None) -> dict[str, str]:
    """The log field that names a workflow: ``incident`` if it is one, otherwise ``workflow``."""
    if not workflow_id:
        return {}
    return {"incident" if workflow_type == INCIDENT_WORKFLOW else "workflow": workflow_id}


def _redact_line(logger: Any, method: str, line: Any) -> Any:
    del logger, method
    if not isinstance(line, str):
        return line
    if _secret_pattern is not None:
        line = _secret_pattern.sub("…", line)
    return _CREDENTIALS.sub(r"\1…", line)


def _truncate(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Bound the line: each text, each list, and all of it together. Values of other types become text first."""
    del logger, method
    left = MAX_LINE_CHARS
    for key in sorted(event, key=lambda name: name == "exception"):  # the longest text comes last
        if key.startswith("_"):
            continue  # structlog's own, which no line shows
        limit = MAX_EXCEPTION_CHARS if key == "exception" else MAX_FIELD_CHARS
        event[key], used = _bounded(event[key], min(limit, max(left, 0)))
        left -= used
    return event


def _bounded(value: Any, limit: int) -> tuple[Any, int]:
    """The value with at most ``limit`` characters of text in it, and how many it has."""
    if value is None or isinstance(value, bool | int | float):
        return value, 0
    if isinstance(value, Mapping):
        pairs: dict[str, Any] = {}
        used = 0
        for key, item in list(cast("Mapping[Any, Any]", value).items())[:MAX_ITEMS]:
            name = str(key)[:100]
            pairs[name], more = _bounded(item, max(limit - used, 0))
            used += len(name) + more
        return pairs, used
    if isinstance(value, list | tuple | set | frozenset):
        items: list[Any] = []
        used = 0
        for item in list(cast("Iterable[Any]", value))[:MAX_ITEMS]:
            kept, more = _bounded(item, max(limit - used, 0))
            items.append(kept)
            used += more
        return items, used
    text = value if isinstance(value, str) else repr(value)
    if len(text) > limit:
        # The end of a traceback names the error, and its beginning the place where it began.
        half = limit // 2
        text = text[:limit] + "…" if limit < MAX_EXCEPTION_CHARS else f"{text[:half]}\n…\n{text[-half:]}"
    return text, len(text)


def _no_exception(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop an ``exc_info`` without an exception: a library logged outside of an ``except``."""
    del logger, method
    raised = event.get("exc_info")
    if isinstance(raised, tuple | list):
        parts = tuple(cast("Iterable[Any]", raised))
        error = next((one for one in parts if isinstance(one, BaseException)), None)
        event["exc_info"] = error
        if error is None:
            event.pop("exc_info")
    return event


def _shorten_failure(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the traceback of an activity that failed as it may, such as while a vendor is down, by its message."""
    del logger, method
    raised = event.get("exc_info")
    error = cast("tuple[Any, ...]", raised)[1] if isinstance(raised, tuple) else raised
    if isinstance(error, ApplicationError):
        event.pop("exc_info")
        event["error"] = error.message
    return event


def _add_workflow(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the incident to a line of Temporal's SDK, which attaches the workflow to its log records."""
    del logger, method
    record = event.get("_record")
    for attribute in ("temporal_activity", "temporal_workflow"):
        details = getattr(record, attribute, None)
        if isinstance(details, Mapping):
            known = cast("Mapping[str, Any]", details)
            for name, value in workflow_field(known.get("workflow_type"), known.get("workflow_id")).items():
                event.setdefault(name, value)
    return event
