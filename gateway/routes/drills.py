"""``POST /api/drills``: a fire drill takes the way of a real alert, and is marked as a drill everywhere."""

import difflib
import time
import uuid
from datetime import timedelta

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from alerts import Alert
from gateway import metrics
from gateway.dependencies import ClientDep, IngesterDep, ResponderDep, SettingsDep
from gateway.guarded_route import GuardedRoute
from gateway.ingest.ingester import UnavailableError
from gateway.problems import RETRY_LATER, Problem, responses
from gateway.routes.arize import Accepted
from gateway.temporal_errors import is_temporal_unavailable

TEMPORAL_TIMEOUT = timedelta(seconds=3)

_log = structlog.get_logger()
router = APIRouter(prefix="/api/drills", tags=["drills"], route_class=GuardedRoute)


class DrillRequest(BaseModel):
    """A drill of one rule."""

    model_config = ConfigDict(extra="forbid")

    rule: str = Field(min_length=1, max_length=100, description="The rule of the policy to drill.")
    model: str = Field(
        default="", max_length=255, description="A model of the catalogue: gives the drill its team, runbook and owner."
    )
    environment: str = Field(default="production", max_length=100)
    by: str = Field(default="", max_length=200, description="A name to show beside the owner of the token, who drills.")


@router.post("", status_code=202, summary="Start a fire drill of a rule", responses=responses(400, 401, 403, 422, 503))
async def start_drill(
    body: DrillRequest, caller: ResponderDep, settings: SettingsDep, ingester: IngesterDep, client: ClientDep
) -> Accepted:
    rules = settings.rules()
    if body.rule not in rules:
        closest = difflib.get_close_matches(body.rule, rules, 1)
        hint = f": did you mean {closest[0]}?" if closest else f"; its rules are {', '.join(sorted(rules))}"
        raise Problem(422, f"the policy has no rule {body.rule!r}{hint}", code="unknown_rule")
    identity = uuid.uuid4().hex
    by = caller.acting_for(body.by)
    alert = Alert(
        event_id=f"drill-{identity}",
        monitor=f"Fire drill of {body.rule}",
        monitor_id=f"drill-{identity}",
        model=body.model,
        environment=body.environment.casefold(),
        notes=f"started by {by} at {int(time.time())}",
        drill=body.rule,
        identity=("drill", identity),
    )
    await _require_temporal(client, alert.event_id)
    try:
        accepted = await ingester.accept_alert(alert, alert.event_id)
    except UnavailableError as error:
        detail = f"neither Temporal nor the spool accepted the drill: {error}"
        raise Problem(503, detail, code=error.code, headers=RETRY_LATER) from None
    metrics.DRILLS.inc()
    _log.info("drill_started", incident=accepted.incident, rule=body.rule, by=by)
    return Accepted(incident=accepted.incident, state=accepted.state)


async def _require_temporal(client: Client, name: str) -> None:
    """A drill that waits in the spool would page people at some later time, when nobody watches it.

    Raises:
        Problem: 503 if Temporal does not answer.
    """
    try:
        await client.get_workflow_handle(name).describe(rpc_timeout=TEMPORAL_TIMEOUT)
    except RPCError as error:
        answers = error.status == RPCStatusCode.NOT_FOUND
    except (RuntimeError, TimeoutError) as error:
        if not is_temporal_unavailable(error):
            raise
        answers = False
    else:
        answers = True
    if not answers:
        detail = "Temporal is unavailable: no drill was started, and nobody is notified"
        raise Problem(503, detail, code="temporal_unavailable", headers=RETRY_LATER)
