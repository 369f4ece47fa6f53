"""``POST /api/drills``: a fire drill, by the way that a real alert takes, and marked as a drill wherever it shows."""

import difflib
import time
import uuid

import structlog
from fastapi import APIRouter, Request, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from alerts import Alert
from gateway import metrics
from gateway.intake import Intake, UnavailableError
from gateway.problems import Problem, responses
from gateway.rates import Limiter
from gateway.settings import GatewaySettings
from gateway.webhooks import Accepted

_log = structlog.get_logger()


class DrillIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rule: str = Field(min_length=1, max_length=100, description="The rule of the policy that is drilled.")
    model: str = Field(default="", max_length=255, description="A model of the catalogue: its team, runbook and owner.")
    environment: str = Field(default="production", max_length=100)
    by: str = Field(default="", max_length=200, description="Who drills; the token's name where it is left out.")


def drill_routes(settings: GatewaySettings, intake: Intake, limiter: Limiter) -> APIRouter:
    bearer = Security(HTTPBearer(auto_error=False, description="A token of TOCSIN_API_TOKENS."))
    router = APIRouter(prefix="/api/drills", tags=["drills"], dependencies=[bearer])

    @router.post(
        "", status_code=202, summary="Begin a fire drill of a rule", responses=responses(400, 401, 403, 422, 503)
    )
    async def drill(request: Request, body: DrillIn) -> Accepted:  # pyright: ignore[reportUnusedFunction]
        who = settings.tokens.require(request.headers.get("authorization", ""), "responder")
        await limiter.spend("api", who.name)
        rules = settings.rules()
        if body.rule not in rules:
            meant = difflib.get_close_matches(body.rule, rules, 1)
            hint = f": did you mean {meant[0]}?" if meant else f"; there are {', '.join(sorted(rules))}"
            raise Problem(422, f"the policy in force has no rule {body.rule!r}{hint}")
        identity = uuid.uuid4().hex
        alert = Alert(
            event_id=f"drill-{identity}",
            monitor=f"Fire drill of {body.rule}",
            monitor_id=f"drill-{identity}",
            model=body.model,
            environment=body.environment.casefold(),
            notes=f"begun by {body.by or who.name} at {int(time.time())}",
            drill=body.rule,
            identity=("drill", identity),
        )
        try:
            taken = await intake.take(alert, alert.event_id)
        except UnavailableError as error:
            detail = f"neither Temporal nor the spool took the drill: {error}"
            raise Problem(503, detail, headers={"Retry-After": "5"}) from None
        metrics.DRILLS.inc()
        _log.info("drill begun", incident=taken.incident, rule=body.rule, by=body.by or who.name)
        return Accepted(incident=taken.incident, state=taken.state)

    return router
