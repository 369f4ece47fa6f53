"""``POST /webhooks/arize``: alerts and change events of Arize."""

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from alerts import AlertError, BodyError, is_change, normalise, read_body
from gateway import metrics
from gateway.dependencies import ServicesDep
from gateway.ingest.bodies import bounded_body
from gateway.ingest.changes import read_change
from gateway.ingest.ingester import AlertIngester, ReplayedError, UnavailableError
from gateway.problems import RETRY_LATER, Problem, responses
from gateway.security.rates import client_address
from gateway.settings import GatewaySettings
from integrations.arize.webhook import check_arize

PATH = "/webhooks/arize"
State = Literal["started", "joined", "spooled", "recorded"]

_log = structlog.get_logger()
router = APIRouter(tags=["webhooks"])


class Accepted(BaseModel):
    """Where an alert is, durably."""

    incident: str = Field(description="The incident's id; empty for a change event.")
    state: State = Field(description="started or joined an incident; spooled; or recorded, if there was nothing to do.")


@router.post(
    PATH,
    operation_id="receive_arize_webhook",
    status_code=202,
    response_model=Accepted,
    summary="Receive an alert or a change event from Arize",
    responses=responses(400, 401, 413, 422, 503),
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
    body = await bounded_body(request)
    _authenticate(request, body, services.settings)
    await services.limiter.spend("webhooks", client_address(request))
    event = request.headers.get("x-arize-webhook-event", "")
    try:
        content = read_body(body)
        event = event or str(content.get("event", ""))
        if is_change(event):
            return await _accept_change(request, event, content, services.ingester)
        alert = normalise(content, request.headers.get("x-arize-webhook-id", ""), event)
    except BodyError as error:
        raise _refused(400, str(error), code=error.code) from None
    except AlertError as error:
        raise _refused(422, "there is no alert in this body", *error.reasons, code=error.code) from None
    digest = "" if services.settings.insecure else _signature_digest(request, body)
    try:
        accepted = await services.ingester.accept_alert(alert, alert.event_id, digest)
    except ReplayedError as error:
        detail = "these signed bytes came before, under another X-Arize-Webhook-Id; their incident is closed"
        raise _refused(401, detail, code=error.code) from None
    except UnavailableError as error:
        raise _unavailable(error) from None
    metrics.ALERTS.labels(accepted.state).inc()
    metrics.INGEST_DURATION.observe(time.perf_counter() - began)
    _log.info("alert_accepted", incident=accepted.incident, state=accepted.state, event_id=alert.event_id)
    return _response(accepted.incident, accepted.state)


def _authenticate(request: Request, body: bytes, settings: GatewaySettings) -> None:
    """Raises Problem 401."""
    if settings.insecure:
        return
    fault = check_arize(request.headers, body, settings.arize_secrets, settings.arize_tokens, time.time())
    if fault:
        raise _refused(401, fault, headers={"WWW-Authenticate": "Bearer"})


def _signature_digest(request: Request, body: bytes) -> str:
    """Identifies the signed bytes. The event id is not signed, so the id alone would allow a replay under another."""
    if not request.headers.get("x-arize-webhook-signature", ""):
        return ""
    signed = request.headers.get("x-arize-webhook-timestamp", "").encode() + b"." + body
    return hashlib.sha256(signed).hexdigest()


async def _accept_change(request: Request, event: str, content: Mapping[str, Any], ingester: AlertIngester) -> Response:
    event_id = request.headers.get("x-arize-webhook-id", "")
    change = read_change(event, content, event_id, datetime.now(UTC))
    try:
        state: State = "recorded" if change is None or await ingester.accept_change(change) else "spooled"
    except UnavailableError as error:
        raise _unavailable(error) from None
    metrics.ALERTS.labels(state).inc()
    _log.info("change_accepted", change=event, event_id=event_id, state=state)
    return _response("", state)


def _response(incident: str, state: State) -> Response:
    return JSONResponse({"incident": incident, "state": state}, 202)


def _refused(status: int, detail: str, *reasons: str, code: str = "", headers: dict[str, str] | None = None) -> Problem:
    metrics.ALERTS.labels("refused").inc()
    return Problem(status, detail, *reasons, code=code, headers=headers)


def _unavailable(error: UnavailableError) -> Problem:
    metrics.ALERTS.labels("unavailable").inc()
    detail = f"neither Temporal nor the spool accepted it: {error}"
    return Problem(503, detail, code=error.code, headers=RETRY_LATER)
