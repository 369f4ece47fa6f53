"""``POST /webhooks/arize``."""

import hashlib
import time
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from alerts import AlertError, BodyError, is_change, normalise, read_body
from gateway import metrics
from gateway.bodies import bounded_body
from gateway.changes import read_change
from gateway.express import Endpoint
from gateway.intake import Intake, ReplayedError, UnavailableError
from gateway.problems import Problem, responses
from gateway.rates import Limiter, source
from gateway.settings import GatewaySettings
from gateway.signatures import check_arize

_log = structlog.get_logger()


ARIZE = "/webhooks/arize"
State = Literal["started", "joined", "spooled", "recorded"]


class Accepted(BaseModel):
    incident: str
    state: State


def _json_body(example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def webhook_routes(arize: Endpoint) -> APIRouter:
    router = APIRouter(tags=["webhooks"])
    router.add_api_route(
        ARIZE,
        arize,
        methods=["POST"],
        status_code=202,
        response_model=Accepted,
        summary="Take an alert from Arize",
        responses=responses(400, 401, 413, 422, 503),
        openapi_extra=_json_body(
            {"monitor_name": "churn PSI", "status": "TRIGGERED", "metric": "psi", "metric_value": 0.31}
        ),
    )
    return router


def arize_endpoint(settings: GatewaySettings, intake: Intake, limiter: Limiter) -> Endpoint:
    async def arize(request: Request) -> Response:
        began = time.perf_counter()
        body = await bounded_body(request)
        if not settings.insecure:
            why_not = check_arize(request.headers, body, settings.arize_secrets, settings.arize_tokens, time.time())
            if why_not:
                metrics.ALERTS.labels("refused").inc()
                raise Problem(401, why_not, headers={"WWW-Authenticate": "Bearer"})
        await limiter.spend("webhooks", source(request))
        headers = request.headers
        delivery = headers.get("x-arize-webhook-id", "")
        event = headers.get("x-arize-webhook-event", "")
        try:
            content = read_body(body)
            event = event or str(content.get("event", ""))
            if is_change(event):
                change = read_change(event, content, delivery, datetime.now(UTC))
                state = "recorded" if change is None or await intake.take_change(change) else "spooled"
                metrics.ALERTS.labels(state).inc()
                _log.info("change told", change=event, event_id=delivery, state=state)
                return _accepted("", state)
            alert = normalise(content, delivery, event)
        except UnavailableError as error:
            raise _unavailable(error) from None
        except BodyError as error:
            metrics.ALERTS.labels("refused").inc()
            raise Problem(400, str(error)) from None
        except AlertError as error:
            metrics.ALERTS.labels("refused").inc()
            raise Problem(422, "there is no alert in this body", *error.reasons) from None
        signature = headers.get("x-arize-webhook-signature", "")
        proof = ""
        if signature and not settings.insecure:
            # What is signed holds no event id, so an id alone would let signed bytes be sent again.
            signed = headers.get("x-arize-webhook-timestamp", "").encode() + b"." + body
            proof = hashlib.sha256(signed).hexdigest()
        try:
            taken = await intake.take(alert, alert.event_id, proof)
        except ReplayedError:
            metrics.ALERTS.labels("refused").inc()
            raise Problem(
                401,
                "these signed bytes came before, under another X-Arize-Webhook-Id; what they opened is closed",
            ) from None
        except UnavailableError as error:
            raise _unavailable(error) from None
        metrics.ALERTS.labels(taken.state).inc()
        metrics.ACCEPTED.observe(time.perf_counter() - began)
        _log.info("alert taken", incident=taken.incident, state=taken.state, event_id=alert.event_id)
        return _accepted(taken.incident, taken.state)

    return arize


def _accepted(incident: str, state: State) -> Response:
    return JSONResponse({"incident": incident, "state": state}, 202)


def _unavailable(error: UnavailableError) -> Problem:
    metrics.ALERTS.labels("unavailable").inc()
    return Problem(503, f"neither Temporal nor the spool took it: {error}", headers={"Retry-After": "5"})
