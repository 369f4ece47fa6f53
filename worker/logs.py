"""Structured logs on standard error: JSON for machines, coloured text on a terminal."""

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog

from worker.standard_error import LenientStderr
from workflows.contracts import INCIDENT_WORKFLOW

MAX_FIELD_CHARS = 2000
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
            foreign_pre_chain=[_add_workflow, *shared],
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
    del logger, method
    for key, value in event.items():
        if key != "exception" and isinstance(value, str) and len(value) > MAX_FIELD_CHARS:
            event[key] = value[:MAX_FIELD_CHARS] + "…"
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
