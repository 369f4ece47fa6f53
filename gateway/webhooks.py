"""``POST /webhooks/arize`` and ``POST /webhooks/pagerduty``."""

import hashlib
import re
import time
from typing import Any, Literal, cast

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from temporalio.client import Client

from alerts import AlertError, BodyError, is_change, normalise, read_body
from gateway import metrics
from gateway.bodies import bounded_body
from gateway.intake import RPC_TIMEOUT, Intake, ReplayedError, UnavailableError
from gateway.problems import Problem, responses
from gateway.settings import GatewaySettings
from gateway.signatures import check_arize, check_pagerduty
from gateway.temporal import asking_temporal
from workflows.messages import ANSWER_SIGNAL, Act, Answer

_log = structlog.get_logger()

_OURS = re.compile(r"(incident-[a-z0-9-]{1,100})\.([0-9a-f]{8})(/.{1,200})?")
_ACTS: dict[str, Act] = {"incident.acknowledged": "acknowledge", "incident.resolved": "resolve"}


class Accepted(BaseModel):
    incident: str
    state: Literal["started", "joined", "spooled", "recorded"]


class Heard(BaseModel):
    state: Literal["accepted", "ignored"]
    incident: str = ""
    why: str = ""


def _json_body(example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def webhook_routes(settings: GatewaySettings, client: Client, intake: Intake) -> APIRouter:
    router = APIRouter(prefix="/webhooks", tags=["webhooks"])

    @router.post(
        "/arize",
        status_code=202,
        summary="Take an alert from Arize",
        responses=responses(400, 401, 413, 422, 503),
        openapi_extra=_json_body(
            {"monitor_name": "churn PSI", "status": "TRIGGERED", "metric": "psi", "metric_value": 0.31}
        ),
    )
    async def arize(request: Request) -> Accepted:  # pyright: ignore[reportUnusedFunction]
        began = time.perf_counter()
        body = await bounded_body(request)
        if not settings.insecure:
            why_not = check_arize(request.headers, body, settings.arize_secrets, settings.arize_tokens, time.time())
            if why_not:
                metrics.ALERTS.labels("refused").inc()
                raise Problem(401, why_not, headers={"WWW-Authenticate": "Bearer"})
        headers = request.headers
        delivery = headers.get("x-arize-webhook-id", "")
        event = headers.get("x-arize-webhook-event", "")
        try:
            content = read_body(body)
            event = event or str(content.get("event", ""))
            if is_change(event):
                metrics.ALERTS.labels("recorded").inc()
                _log.info("change told", change=event, event_id=delivery)
                return Accepted(incident="", state="recorded")
            alert = normalise(content, delivery, event)
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
            metrics.ALERTS.labels("unavailable").inc()
            raise Problem(503, f"Temporal did not take the alert: {error}", headers={"Retry-After": "5"}) from None
        metrics.ALERTS.labels(taken.state).inc()
        metrics.ACCEPTED.observe(time.perf_counter() - began)
        _log.info("alert taken", incident=taken.incident, state=taken.state, event_id=alert.event_id)
        return Accepted(incident=taken.incident, state=taken.state)

    @router.post(
        "/pagerduty",
        status_code=202,
        summary="Take what a responder did in PagerDuty (V3 webhooks)",
        responses={
            200: {"model": Heard, "description": "Not ours; ignored"},
            **responses(400, 401, 413, 503),
        },
        openapi_extra=_json_body(
            {"event": {"id": "01", "event_type": "incident.acknowledged", "data": {"incident_key": "…"}}}
        ),
    )
    async def pagerduty(request: Request) -> Any:  # pyright: ignore[reportUnusedFunction]
        body = await bounded_body(request)
        why_not = check_pagerduty(request.headers, body, settings.pagerduty_secrets)
        if why_not:
            metrics.CALLBACKS.labels("pagerduty", "refused").inc()
            raise Problem(401, why_not)
        try:
            payload = read_body(body)
        except BodyError as error:
            raise Problem(400, str(error)) from None
        answer = read_pagerduty(payload)
        if isinstance(answer, str):
            metrics.CALLBACKS.labels("pagerduty", "ignored").inc()
            return _ignored(answer)
        incident, heard = answer
        over = Problem(200, "the incident is not open any more")
        try:
            async with asking_temporal(over):
                await client.get_workflow_handle(incident).signal(ANSWER_SIGNAL, heard, rpc_timeout=RPC_TIMEOUT)
        except Problem as problem:
            if problem is not over:
                raise
            metrics.CALLBACKS.labels("pagerduty", "ignored").inc()
            _log.info("answer for an incident that is not open", incident=incident, act=heard.act, by=heard.by)
            return _ignored(over.detail, incident)
        metrics.CALLBACKS.labels("pagerduty", "accepted").inc()
        _log.info("answer taken", incident=incident, act=heard.act, by=heard.by, via="pagerduty")
        return Heard(state="accepted", incident=incident)

    return router


def _ignored(why: str, incident: str = "") -> Any:
    return JSONResponse(Heard(state="ignored", why=why, incident=incident).model_dump(), 200)


def read_pagerduty(payload: dict[str, Any]) -> tuple[str, Answer] | str:
    """The answer in a V3 webhook's body, or why there is none for us.

    Source: developer.pagerduty.com, "Webhooks overview" (v3): ``event{id, event_type, agent, data}``, where
    ``data.incident_key`` is the dedup_key that the incident was triggered with.
    """
    event = _map(payload.get("event"))
    data = _map(event.get("data"))
    key = data.get("incident_key")
    ours = _OURS.fullmatch(key) if isinstance(key, str) else None
    if ours is None:
        return "no incident of ours"
    act = _ACTS.get(str(event.get("event_type")))
    if act is None:
        return f"{str(event.get('event_type'))[:60]} changes nothing here"
    agent = _map(event.get("agent"))
    # A person, by PagerDuty's type; a service or an integration that resolves is nobody's answer.
    person = str(agent.get("type", "")).startswith("user")
    return ours[1], Answer(
        act=act,
        by=str(agent.get("summary") or agent.get("id") or "")[:200] if person else "",
        via="pagerduty",
        opening=ours[2],
        id=f"pagerduty-{str(event.get('id', ''))[:100]}" if event.get("id") else "",
    )


def _map(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
