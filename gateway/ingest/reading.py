"""Reads what an authentic request to Arize's webhook says: an alert, a change, or nothing that anybody understands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import structlog

from alerts import Alert, AlertError, BodyError, Shape, is_change, read_json, shape_of_fault, shape_of_json
from gateway import metrics
from gateway.quarantine.delivery import Received
from policy import Reading, read_payload
from policy.cel.mapping import AlertMapping
from policy.intake import read_by_mappings

_log = structlog.get_logger()


@dataclass(frozen=True)
class ReportedEvent:
    """A change event of Arize, or a test of the webhook."""

    event: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Unreadable:
    """Nothing reads the body. ``reasons`` are sentences for people."""

    shape: Shape
    reasons: tuple[str, ...]


def read_delivery(received: Received, mappings: Sequence[AlertMapping]) -> Alert | ReportedEvent | Unreadable:
    """Read a body: by the policy's mappings, then as a change event, then as an alert of Arize. Never raises."""
    try:
        payload = read_json(received.body, received.content_type)
    except BodyError as error:
        return Unreadable(shape_of_fault(error.fault, received.content_type), error.reasons)
    try:
        return _read(received, payload, mappings)
    except AlertError as error:
        return Unreadable(shape_of_json(payload), error.reasons)
    except Exception as error:  # a fault of the reader is no reason to lose what it reads  # noqa: BLE001
        _log.exception("reader_failed")
        return Unreadable(shape_of_json(payload), (f"the reader failed: {type(error).__name__}: {error}",))


def _read(received: Received, payload: Any, mappings: Sequence[AlertMapping]) -> Alert | ReportedEvent:
    body = cast("Mapping[str, Any]", payload) if isinstance(payload, dict) else None
    event = event_of(payload, received.event, signed=received.signed)
    if body is not None and is_change(event, body):
        mapped = read_by_mappings(mappings, payload, received.event_id, event) if mappings else None
        return _mapped(mapped) if mapped else ReportedEvent(event, body)
    return _mapped(read_payload(mappings, payload, received.event_id, event))


def event_of(payload: Any, header: str, *, signed: bool) -> str:
    """The event's dotted name: the body's own, or else that of the header.

    A signature covers the body and not the header, so anyone who has a signed body could send it again under another
    event: ``monitor.cleared`` would close the incident, and ``webhook.test`` would make it nothing. Beside a signed
    body the header therefore says no more than that it is about a task, which is an alert in any case.
    """
    stated = cast("Mapping[str, Any]", payload).get("event") if isinstance(payload, dict) else None
    if isinstance(stated, str) and stated.strip():
        return stated.strip()
    return header if not signed or header.startswith("online_task.") else ""


def _mapped(reading: Reading) -> Alert:
    for failure in reading.failures:
        metrics.MAPPING_FAILURES.inc()
        _log.warning("mapping_failed", error=failure, monitor=reading.alert.monitor)
    return reading.alert
