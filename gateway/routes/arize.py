"""``POST /webhooks/arize``: alerts and change events of Arize."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from alerts import Shape, shape_of_fault
from gateway import metrics
from gateway.dependencies import ServicesDep
from gateway.ingest.bodies import CompressedBodyError, bounded_body, decompressed
from gateway.ingest.changes import read_change
from gateway.ingest.dedup_store import DedupEntry
from gateway.ingest.ingester import ReplayedError, UnavailableError
from gateway.ingest.reading import ReportedEvent, Unreadable, read_delivery
from gateway.ingest.reported_changes import change_of_arize
from gateway.ingest.seen_events import signature_digest
from gateway.problems import RETRY_LATER, Problem, responses
from gateway.quarantine.delivery import Received
from gateway.security.rates import client_address
from gateway.services import Services
from gateway.settings import GatewaySettings
from integrations.arize.webhook import check_arize

PATH = "/webhooks/arize"
_REPLAYED = "these signed bytes came before, under another X-Arize-Webhook-Id or X-Arize-Webhook-Event"
State = Literal["started", "joined", "spooled", "recorded", "quarantined"]

_log = structlog.get_logger()
router = APIRouter(tags=["webhooks"])


class Accepted(BaseModel):
    """Where an alert is, durably."""

    incident: str = Field(description="The incident's id; empty for a change event.")
    state: State = Field(
        description="started or joined an incident; spooled; recorded, if there was nothing to do; or quarantined, if "
        "nothing could read it: the incident reports it, and a replay reads it once the policy has a mapping for it."
    )


@router.post(
    PATH,
    operation_id="receive_arize_webhook",
    status_code=202,
    response_model=Accepted,
    summary="Receive an alert or a change event from Arize",
    responses=responses(401, 413, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object"},
                    "example": {
                        "monitor_name": "churn PSI",
                        "status": "TRIGGERED",
                        "metric": "psi",
                        "metric_value": 0.31,
                    },
                }
            },
        }
    },
)
async def receive_arize_webhook(request: Request, services: ServicesDep) -> Response:
    """Authenticates, reads and accepts the webhook; ``gateway.fast_route`` calls it without FastAPI."""
    began = time.perf_counter()
    received, signed, fault = _authentic(request, await bounded_body(request), services.settings)
    await services.limiter.spend("webhooks", client_address(request))
    digest = signature_digest(signed, received.event) if signed else ""
    if fault:
        return await _quarantine(services, received, Unreadable(*fault))
    match read_delivery(received, services.settings.mappings()):
        case Unreadable() as unreadable:
            return await _quarantine(services, received, unreadable)
        case ReportedEvent(event=event, body=content):
            return await _accept_change(services, received, digest, (event, content))
        case alert:
            pass
    try:
        accepted = await services.ingester.accept_alert(alert, alert.event_id, digest, received_at=received.received_at)
    except ReplayedError as error:
        raise _refused(401, _REPLAYED, code=error.code) from None
    except UnavailableError as error:
        raise _unavailable(error) from None
    metrics.ALERTS.labels(accepted.state).inc()
    metrics.INGEST_DURATION.observe(time.perf_counter() - began)
    _log.info("alert_accepted", incident=accepted.incident, state=accepted.state, event_id=alert.event_id)
    return _response(accepted.incident, accepted.state)


def _authentic(
    request: Request, sent: bytes, settings: GatewaySettings
) -> tuple[Received, bytes, tuple[Shape, tuple[str, ...]] | None]:
    """What was received, the bytes that are signed, and why the body cannot be decompressed.

    The signature may be that of the body as it was sent, or as it was before something on the way compressed it.

    Raises Problem 401 or 413.
    """
    headers, content_type = request.headers, request.headers.get("content-type", "")
    encoding = headers.get("content-encoding", "")
    is_signed = bool(headers.get("x-arize-webhook-signature", "")) and not settings.insecure
    reason = "" if settings.insecure else _refusal(request, sent, settings)
    if reason and not is_signed:
        raise _refused(401, reason, headers={"WWW-Authenticate": "Bearer"})
    body, fault = sent, None
    try:
        body = decompressed(sent, encoding)
    except CompressedBodyError as error:
        fault = (shape_of_fault("not decompressed", content_type), (str(error),))
    if reason and (body is sent or _refusal(request, body, settings)):
        raise _refused(401, reason, headers={"WWW-Authenticate": "Bearer"})
    stamp = headers.get("x-arize-webhook-timestamp", "").encode()
    received = Received(
        body=body,
        event_id=headers.get("x-arize-webhook-id", ""),
        event=headers.get("x-arize-webhook-event", ""),
        content_type=content_type,
        received_at=datetime.now(UTC),
        signed=is_signed,
    )
    return received, stamp + b"." + (body if reason else sent) if is_signed else b"", fault


def _refusal(request: Request, body: bytes, settings: GatewaySettings) -> str:
    fault = check_arize(request.headers, body, settings.webhook_secrets, settings.arize_tokens, time.time())
    return fault or ""


async def _quarantine(services: Services, received: Received, unreadable: Unreadable) -> Response:
    try:
        incident = await services.quarantine.take_in(received, unreadable.shape, unreadable.reasons)
    except UnavailableError as error:
        raise _unavailable(error, "the gateway's database") from None
    metrics.ALERTS.labels("quarantined").inc()
    return _response(incident, "quarantined")


async def _is_known_change(services: Services, digest: str) -> bool:
    """Whether the signed bytes of a change came before, under whatever id and event header: neither is signed."""
    found = await services.dedup_store.find([], [digest.partition(".")[0]])
    return bool(digest) and bool(found.entries)


async def _accept_change(
    services: Services, received: Received, digest: str, reported: tuple[str, Mapping[str, Any]]
) -> Response:
    event, content = reported
    change = read_change(event, content, received.event_id, received.received_at)
    state: State = "recorded"
    try:
        if change is not None and not await _is_known_change(services, digest):
            await services.changes.record(change_of_arize(change))
            state = "recorded" if await services.ingester.accept_change(change) else "spooled"
            signature = digest.partition(".")[0]
            await services.dedup_store.add([DedupEntry(f"change-{signature}", signature, "", state)] if digest else [])
    except UnavailableError as error:
        raise _unavailable(error) from None
    metrics.ALERTS.labels(state).inc()
    _log.info("change_accepted", change=event, event_id=received.event_id, state=state)
    return _response("", state)


def _response(incident: str, state: State) -> Response:
    return JSONResponse({"incident": incident, "state": state}, 202)


def _refused(status: int, detail: str, *, code: str = "", headers: dict[str, str] | None = None) -> Problem:
    metrics.ALERTS.labels("refused").inc()
    return Problem(status, detail, code=code, headers=headers)


def _unavailable(error: UnavailableError, store: str = "Temporal") -> Problem:
    metrics.ALERTS.labels("unavailable").inc()
    detail = f"neither {store} nor the spool accepted it: {error}"
    return Problem(503, detail, code=error.code, headers=RETRY_LATER)
