"""One route for every vendor's callbacks: authentic? ours? Then the incident hears it, if it is open."""

import asyncio
from typing import Any, Literal
from urllib.parse import parse_qs

import httpx
import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from alerts import BodyError, read_body
from gateway import metrics
from gateway.bodies import bounded_body
from gateway.callbacks.jira import JIRA
from gateway.callbacks.opsgenie import OPSGENIE
from gateway.callbacks.pagerduty import PAGERDUTY
from gateway.callbacks.said import Said, Vendor
from gateway.callbacks.servicenow import SERVICENOW
from gateway.callbacks.slack import SLACK
from gateway.callbacks.splunk_oncall import SPLUNK_ONCALL
from gateway.deliveries import AwayError, Deliveries
from gateway.intake import IncidentOverError, Intake, UnavailableError
from gateway.keys import ours
from gateway.problems import Problem, responses
from gateway.rates import Limiter, source
from gateway.settings import GatewaySettings
from workflows.messages import Answer

VENDORS = (PAGERDUTY, OPSGENIE, SPLUNK_ONCALL, SLACK, JIRA, SERVICENOW)
_WITHIN = 1.8  # seconds: Slack wants its answer within 3 s, and the others are no worse off
_log = structlog.get_logger()


class Heard(BaseModel):
    state: Literal["accepted", "spooled", "ignored"]
    incident: str = ""
    why: str = ""


def callback_routes(settings: GatewaySettings, intake: Intake, deliveries: Deliveries, limiter: Limiter) -> APIRouter:
    router = APIRouter(prefix="/webhooks", tags=["answers"])
    for vendor in VENDORS:
        _Route(vendor, settings, intake, deliveries, limiter).add_to(router)
    return router


class _Route:
    def __init__(
        self, vendor: Vendor, settings: GatewaySettings, intake: Intake, deliveries: Deliveries, limiter: Limiter
    ) -> None:
        self._vendor, self._settings, self._intake, self._deliveries = vendor, settings, intake, deliveries
        self._limiter = limiter
        self._secrets = settings.callback_secrets.get(vendor.name, ())
        self._replies: set[asyncio.Task[None]] = set()

    def add_to(self, router: APIRouter) -> None:
        vendor = self._vendor
        media = "application/x-www-form-urlencoded" if vendor.form_field else "application/json"
        schema = {"schema": {"type": "object"}, "example": dict(vendor.example)}
        router.add_api_route(
            f"/{vendor.path}",
            self.hear,
            methods=["POST"],
            status_code=200 if vendor.always_200 else 202,
            response_model=Heard,
            name=vendor.name,
            operation_id=f"hear_{vendor.name}",
            summary=f"Take what a person did in {vendor.name.replace('_', ' ')}",
            responses={
                200: {"model": Heard, "description": "Not ours, or not open any more; ignored"},
                **responses(400, 401, 413, 503),
            },
            openapi_extra={"requestBody": {"required": True, "content": {media: schema}}},
        )

    async def hear(self, request: Request) -> Any:
        vendor = self._vendor
        body = await bounded_body(request)
        if not self._secrets:
            raise Problem(401, f"{vendor.setting} is not set, so nothing that comes here can be authentic")
        why_not = vendor.check(request.headers, body, self._secrets)
        if why_not:
            metrics.CALLBACKS.labels(vendor.name, "refused").inc()
            raise Problem(401, why_not)
        await self._limiter.spend("webhooks", source(request))
        try:
            said = vendor.read(read_body(self._json(body)))
        except BodyError as error:
            raise Problem(400, str(error)) from None
        key = "" if isinstance(said, str) else await self._key(said)
        found = ours(key)
        if isinstance(said, str) or said.answer is None or found is None:
            unheard = "it changes nothing here" if key else "no incident of ours"
            return self._ignored(said if isinstance(said, str) else unheard)
        incident, opening = found
        return await self._tell(incident, self._whole(said.answer, opening, said.email), said)

    def _json(self, body: bytes) -> bytes:
        field = self._vendor.form_field
        if not field:
            return body
        try:
            fields = parse_qs(body.decode(), max_num_fields=100)
        except (UnicodeDecodeError, ValueError):
            raise Problem(400, "the body is no form in UTF-8") from None
        return fields.get(field, [""])[0].encode()

    async def _key(self, said: Said) -> str:
        """Our key; where only the vendor's own id came, the key that came with it before."""
        if said.key and said.vendor_id:
            await self._deliveries.call(self._vendor.name, said.vendor_id, said.key)
        try:
            return said.key or await self._deliveries.called(self._vendor.name, said.vendor_id)
        except AwayError as error:
            raise Problem(
                503, f"cannot look up which incident that is: {error}", headers={"Retry-After": "5"}
            ) from None

    def _whole(self, answer: Answer, opening: str, email: str) -> Answer:
        role = self._settings.tokens.role_of(email) if email else ""
        return answer.model_copy(update={"opening": opening, "role": role})

    async def _tell(self, incident: str, answer: Answer, said: Said) -> Any:
        vendor = self._vendor
        log = _log.bind(incident=incident, act=answer.act, by=answer.by, via=vendor.name)
        try:
            told = await self._intake.take_answer(incident, answer, _WITHIN)
        except UnavailableError as error:
            detail = f"neither Temporal nor the spool took the answer: {error}"
            raise Problem(503, detail, headers={"Retry-After": "5"}) from None
        except IncidentOverError:
            log.info("answer for an incident that is not open")
            self._reply(said.reply_to, f"{incident} is closed already: nothing was changed.")
            return self._ignored("the incident is not open any more", incident)
        state: Literal["accepted", "spooled"] = "accepted" if told else "spooled"
        metrics.CALLBACKS.labels(vendor.name, state).inc()
        log.info("answer taken", state=state)
        if not told:
            self._reply(said.reply_to, "Kept: it is passed on as soon as Tocsin reaches Temporal again.")
        return Heard(state=state, incident=incident)

    def _ignored(self, why: str, incident: str = "") -> Any:
        metrics.CALLBACKS.labels(self._vendor.name, "ignored").inc()
        return JSONResponse(Heard(state="ignored", why=why, incident=incident).model_dump(), 200)

    def _reply(self, address: str, text: str) -> None:
        """Tell the person alone, beside the answer; nowhere but at Slack's own address."""
        if address.startswith(self._settings.slack_replies):
            task = asyncio.create_task(_post(address, text))
            self._replies.add(task)
            task.add_done_callback(self._replies.discard)


async def _post(address: str, text: str) -> None:
    body = {"response_type": "ephemeral", "replace_original": False, "text": text}
    try:
        async with httpx.AsyncClient(timeout=5, follow_redirects=False) as http:
            await http.post(address, json=body)
    except httpx.HTTPError as error:
        _log.info("a person was not told that it changed nothing", error=type(error).__name__)
