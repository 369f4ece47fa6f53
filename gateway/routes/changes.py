"""``POST /webhooks/changes``, where CI/CD reports what it changes, and ``GET /api/changes``."""

import time
from datetime import UTC, datetime
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, ValidationError

from alerts import AlertError, read_body
from gateway import metrics
from gateway.dependencies import ChangesDep, LimiterDep, SettingsDep, ViewerDep
from gateway.guarded_route import GuardedRoute
from gateway.ingest.bodies import bounded_body
from gateway.ingest.ingester import UnavailableError
from gateway.problems import RETRY_LATER, Problem, responses
from gateway.query_times import UtcTime
from gateway.security.rates import client_address
from integrations.base.signatures import standard_webhooks_fault
from integrations.base.sql_store import StoreUnavailableError
from integrations.changes.model import ChangeReport, ReportedChange

_log = structlog.get_logger()
webhook_router = APIRouter()
router = APIRouter(route_class=GuardedRoute)


class RecordedChange(BaseModel):
    """Where a change is, durably."""

    id: str
    state: Literal["recorded", "known", "spooled"] = Field(
        description="recorded; known, if the same webhook-id was recorded before; or spooled."
    )


class Changes(BaseModel):
    """Reported changes, newest first."""

    changes: list[ReportedChange]


@webhook_router.post(
    "/webhooks/changes",
    operation_id="receive_changes_webhook",
    status_code=202,
    tags=["webhooks"],
    summary="Report a deploy, a configuration change or a feature flag",
    responses=responses(400, 401, 413, 422, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": ChangeReport.model_json_schema(),
                    "example": {"kind": "deploy", "model": "support-chatbot", "version": "v42"},
                }
            },
        }
    },
)
async def receive_changes_webhook(
    request: Request, settings: SettingsDep, limiter: LimiterDep, changes: ChangesDep
) -> RecordedChange:
    body = await bounded_body(request)
    if not settings.changes_keys:
        raise _refused(401, "changes are not accepted: set TOCSIN_CHANGES_SECRET to the secret that signs them")
    if fault := standard_webhooks_fault(request.headers, body, settings.changes_keys, time.time()):
        raise _refused(401, fault)
    await limiter.spend("webhooks", client_address(request))
    try:
        report = ChangeReport.model_validate(read_body(body))
    except AlertError as error:
        raise _refused(400, str(error), code=error.code) from None
    except ValidationError as error:
        raise _refused(422, "there is no change in this body", *_reasons(error), code="invalid_change") from None
    change = report.as_change(request.headers["webhook-id"], datetime.now(UTC))
    try:
        state = await changes.record(change)
    except UnavailableError as error:
        metrics.REPORTED_CHANGES.labels("unavailable").inc()
        detail = f"neither the database nor the spool accepted it: {error}"
        raise Problem(503, detail, code=error.code, headers=RETRY_LATER) from None
    metrics.REPORTED_CHANGES.labels(state).inc()
    _log.info("change_recorded", change=change.id, kind=change.kind, state=state)
    return RecordedChange(id=change.id, state=state)


@router.get("/api/changes", tags=["changes"], summary="List reported changes", responses=responses(401, 403, 422, 503))
async def list_changes(
    caller: ViewerDep,
    changes: ChangesDep,
    model: Annotated[str, Query(max_length=255, description="Changes that may concern this model.")] = "",
    environment: Annotated[str, Query(max_length=255, description="Changes that may concern it.")] = "",
    since: Annotated[UtcTime | None, Query(description="The earliest time, included.")] = None,
    until: Annotated[UtcTime | None, Query(description="The latest time, excluded.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Changes:
    del caller
    try:
        found = await changes.recent(model, environment, since, until, limit)
    except StoreUnavailableError as error:
        detail = f"the gateway's database is unavailable: {error}"
        raise Problem(503, detail, code=error.code, headers=RETRY_LATER) from None
    return Changes(changes=found)


def _reasons(error: ValidationError) -> list[str]:
    reasons: list[str] = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(part) for part in one["loc"]) or "the body"
        message = one["msg"].removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            message = f"is unknown; known are {', '.join(ChangeReport.model_fields)}"
        elif one["type"] == "missing":
            message = "is required"
        reasons.append(f"{where[:100]} {message}")
    return reasons


def _refused(status: int, detail: str, *reasons: str, code: str = "") -> Problem:
    metrics.REPORTED_CHANGES.labels("refused").inc()
    return Problem(status, detail, *reasons, code=code)
