"""Structured logs on standard error: JSON for machines, colour for a person at a terminal."""

import contextlib
import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog

_LONGEST = 2000
_secrets: set[str] = set()
_secret: re.Pattern[str] | None = None
_CREDENTIALS = re.compile(r"((?i:\bbearer |\bbasic )|://[^/\s:@\"']{0,100}:(?=[^/\s@\"']{1,200}@))[^\s\"'@,;]+")
"""What looks like credentials is none of a log's business, whoever's they are."""


class _Unfailing:
    """Standard error; a disk that is full costs the line, and nobody the alert that it was about."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def configure(level: str, role: str) -> None:
    """Begin to log. Secrets that ``keep_out`` has heard of stand in no line, wherever they come from."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _bounded,
    ]
    # An alert's words may stand in a log line: both renderers escape them, so a line stays a line, and a terminal
    # does nothing that somebody else told it to.
    for_people = structlog.dev.ConsoleRenderer(repr_native_str=True)
    renderer = for_people if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer, _scrubbed],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unfailing())),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _scrubbed],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger("temporalio").setLevel(max(number, logging.WARNING))


def keep_out(secrets: Iterable[str]) -> None:
    """These are never logged from now on. What is shorter than six characters would blot out half of every line."""
    for secret in secrets:
        if len(secret) >= 6:
            _secrets.update({secret, json.dumps(secret)[1:-1]})
    global _secret  # one pattern for the whole process, made anew when a secret comes
    longest_first = sorted(_secrets, key=len, reverse=True)
    _secret = re.compile("|".join(map(re.escape, longest_first))) if _secrets else None


def environment_secrets(environment: Mapping[str, str]) -> Iterator[str]:
    """What the environment says is secret, by its name; a setting may hold several."""
    for name, value in environment.items():
        if re.search(r"SECRET|TOKEN|PASSWORD|_KEY$|_KEY_|PWD$", name) and not value.startswith(("/", "./")):
            yield from filter(None, (part.strip() for part in value.split(",")))
        yield from re.findall(r"://[^/\s:@]*:([^/\s@]+)@", value)


def _scrubbed(logger: Any, method: str, line: Any) -> Any:
    del logger, method
    if not isinstance(line, str):
        return line
    if _secret is not None:
        line = _secret.sub("…", line)
    return _CREDENTIALS.sub(r"\1…", line)


def _bounded(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    del logger, method
    for key, value in event.items():
        if isinstance(value, str) and len(value) > _LONGEST:
            event[key] = value[:_LONGEST] + "…"
    return event
