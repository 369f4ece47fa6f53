"""``POST /webhooks/<vendor>``: responder actions in a vendor's own product, one route for each vendor's callback."""

from functools import partial
from typing import Literal

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from alerts import BodyError, read_body
from gateway import metrics
from gateway.callback_incidents import IncidentLookupError
from gateway.dependencies import ServicesDep
from gateway.forms import form_fields
from gateway.ingest.actions import IncidentClosedError
from gateway.ingest.bodies import bounded_body
from gateway.ingest.ingester import UnavailableError
from gateway.merged_incidents import follow_merges
from gateway.problems import RETRY_LATER, Problem, responses
from gateway.security.rates import client_address
from gateway.services import Services
from incident.events import ResponderAction
from integrations.base.callback import Callback
from integrations.base.registry import callbacks

TEMPORAL_TIMEOUT = 1.8  # seconds; Slack wants an answer within 3 s, and the others can wait longer

_log = structlog.get_logger()
router = APIRouter(prefix="/webhooks", tags=["callbacks"])


class CallbackResult(BaseModel):
    """What became of a callback."""

    state: Literal["accepted", "spooled", "ignored"]
    incident: str = ""
    reason: str = Field(default="", description="Why it was ignored.")


async def receive_callback(callback: Callback, request: Request, services: ServicesDep) -> Response:
    """Authenticates and reads the callback, and sends its action to the incident if that is open."""
    body = await bounded_body(request)
    _authenticate(callback, request, body, services)
    await services.limiter.spend("webhooks", client_address(request))
    try:
        parsed = callback.parse(read_body(_json_of(callback, body)))
    except BodyError as error:
        raise Problem(400, str(error), code=error.code) from None
    if isinstance(parsed, str):
        return _ignored(callback, parsed)
    incidents = services.callback_incidents
    try:
        found = await incidents.find(callback.name, parsed)
    except IncidentLookupError as error:
        detail = f"cannot look up which incident this callback is about: {error}"
        raise Problem(503, detail, code=error.code, headers=RETRY_LATER) from None
    if parsed.action is None or found is None:
        return _ignored(callback, "it changes nothing" if found else "not an incident of this Tocsin")
    incident, first_run_id = found
    role = services.settings.tokens.role_of(parsed.email) if parsed.email else ""
    action = parsed.action.model_copy(update={"first_run_id": first_run_id, "role": role})
    response = await _accept(callback, incident, action, parsed.reply_url, services)
    if parsed.vendor_id:
        await follow_merges(callback.name, parsed.vendor_id, (incident, action), incidents, services)
    return response


def _authenticate(callback: Callback, request: Request, body: bytes, services: Services) -> None:
    """Raises Problem 401."""
    secrets = services.settings.callback_secrets.get(callback.name, ())
    if not secrets:
        raise Problem(401, f"{callback.setting} is not set, so no callback can be authentic")
    fault = callback.authenticate(request.headers, body, secrets)
    if fault:
        metrics.CALLBACKS.labels(callback.name, "refused").inc()
        raise Problem(401, fault)


def _json_of(callback: Callback, body: bytes) -> bytes:
    if not callback.form_field:
        return body
    return form_fields(body).get(callback.form_field, "").encode()


async def _accept(
    callback: Callback, incident: str, action: ResponderAction, reply_url: str, services: Services
) -> Response:
    log = _log.bind(incident=incident, action=action.type, by=action.by, source=callback.name)
    try:
        in_temporal = await services.ingester.accept_action(incident, action, TEMPORAL_TIMEOUT)
    except UnavailableError as error:
        detail = f"neither Temporal nor the spool accepted the action: {error}"
        raise Problem(503, detail, code=error.code, headers=RETRY_LATER) from None
    except IncidentClosedError as error:
        log.info("action_ignored", reason=error.code)
        services.replies.send(reply_url, f"{incident} is closed already: nothing was changed.")
        return _ignored(callback, "the incident is closed", incident)
    state: Literal["accepted", "spooled"] = "accepted" if in_temporal else "spooled"
    metrics.CALLBACKS.labels(callback.name, state).inc()
    log.info("action_accepted", state=state)
    if not in_temporal:
        services.replies.send(reply_url, "Accepted: Tocsin applies it as soon as Temporal has recovered.")
    result = CallbackResult(state=state, incident=incident)
    return JSONResponse(result.model_dump(), 200 if callback.always_200 else 202)


def _ignored(callback: Callback, reason: str, incident: str = "") -> Response:
    metrics.CALLBACKS.labels(callback.name, "ignored").inc()
    return JSONResponse(CallbackResult(state="ignored", reason=reason, incident=incident).model_dump(), 200)


def _add_route(callback: Callback) -> None:
    media_type = "application/x-www-form-urlencoded" if callback.form_field else "application/json"
    schema = {"schema": {"type": "object"}, "example": dict(callback.example)}
    router.add_api_route(
        f"/{callback.path}",
        partial(receive_callback, callback),
        methods=["POST"],
        status_code=200 if callback.always_200 else 202,
        response_model=CallbackResult,
        name=callback.name,
        operation_id=f"receive_{callback.name}_webhook",
        summary=f"Receive a responder's action in {callback.name.replace('_', ' ')}",
        responses={
            200: {"model": CallbackResult, "description": "Accepted, or ignored if it is about no open incident"},
            **responses(400, 401, 413, 503),
        },
        openapi_extra={"requestBody": {"required": True, "content": {media_type: schema}}},
    )


for _callback in callbacks():
    _add_route(_callback)
