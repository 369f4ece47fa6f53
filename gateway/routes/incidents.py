"""``/api/incidents``: reading incidents and acting on them, with API tokens and roles."""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from alerts import clean
from gateway.action_service import AcceptedAction, ActionService
from gateway.dependencies import ActionsDep, ClientDep, IncidentsDep, ResponderDep, SettingsDep, ViewerDep
from gateway.guarded_route import GuardedRoute
from gateway.incident_cache import ENDED_OUTSIDE, IncidentCache
from gateway.list_query import Period, StateFilter, continued_incidents, list_query, runs_query
from gateway.problems import Problem, responses
from gateway.query_times import UtcTime
from gateway.security.tokens import Caller
from gateway.settings import GatewaySettings
from gateway.temporal_errors import temporal_problems
from incident.dedup_key import is_run
from incident.events import ActionType, ResponderAction
from incident.view import IncidentView
from policy import Tier
from workflows import search_attributes

DESCRIBE_TIMEOUT = timedelta(seconds=10)

_log = structlog.get_logger()
router = APIRouter(prefix="/api/incidents", tags=["incidents"], route_class=GuardedRoute)
_ID = r"^incident-[a-z0-9-]{1,100}$"
IncidentId = Annotated[str, Path(alias="id", pattern=_ID, description="incident-<model>-<fingerprint>")]


def _clean(text: str) -> str:
    return clean(text, 2_000)


class IncidentOut(IncidentView):
    """An incident, with its page in the Temporal UI."""

    temporal_url: str = ""
    partial: bool = Field(default=False, description="No worker answered: only fields that Temporal's server has.")


class IncidentList(BaseModel):
    """A page of incidents."""

    incidents: list[IncidentOut]
    next: str = Field(default="", description="The cursor of the next page; empty on the last.")


_Run = Annotated[
    str,
    Query(
        alias="run",
        pattern=r"^[0-9a-f-]{0,36}$",
        description="The first_run_id of the opening that the action is for, or its beginning; the latest if empty.",
    ),
]


class ActionRequest(BaseModel):
    """A name to show beside the owner of the token, and a note."""

    model_config = ConfigDict(extra="forbid")

    by: Annotated[str, AfterValidator(_clean)] = Field(
        default="", max_length=200, description="A name to show beside the owner of the token, who acts."
    )
    note: Annotated[str, AfterValidator(_clean)] = Field(default="", max_length=2000)


_ACTION_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {
        "model": AcceptedAction,
        "description": "The action is durable, and applied as soon as Temporal and a worker are available",
    },
    **responses(400, 401, 403, 404, 409, 422, 503),
}


@router.get("", summary="List incidents, newest first", responses=responses(400, 401, 403, 422, 503))
async def list_incidents(
    *,
    caller: ViewerDep,
    settings: SettingsDep,
    client: ClientDep,
    incidents: IncidentsDep,
    state: StateFilter | None = None,
    tier: Tier | None = None,
    team: Annotated[str | None, Query(max_length=200)] = None,
    model: Annotated[str | None, Query(max_length=200)] = None,
    incident_id: Annotated[
        str | None, Query(alias="id", pattern=_ID, description="Only this incident, with its earlier openings.")
    ] = None,
    opened_since: Annotated[UtcTime | None, Query(description="The earliest time of opening, included.")] = None,
    opened_until: Annotated[UtcTime | None, Query(description="The latest time of opening, excluded.")] = None,
    closed_since: Annotated[UtcTime | None, Query(description="The earliest time of closing, included.")] = None,
    closed_until: Annotated[UtcTime | None, Query(description="The latest time of closing, excluded.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str, Query(max_length=4000)] = "",
) -> IncidentList:
    del caller
    opened, closed = Period(opened_since, opened_until, "opened"), Period(closed_since, closed_until, "closed")
    async with temporal_problems():
        continued = await continued_incidents(client, opened)
        query = list_query(
            {
                search_attributes.TIER: tier,
                search_attributes.TEAM: team,
                search_attributes.MODEL: model,
            },
            incident=incident_id,
            state=state,
            closed=closed,
            opened=opened,
            continued=continued,
        )
        pages = client.list_workflows(query, page_size=limit, next_page_token=_page_token(cursor))
        await pages.fetch_next_page()
    executions = pages.current_page or []
    found = await asyncio.gather(*(_incident(execution, incidents, settings) for execution in executions))
    inside = [
        one
        for one, run in zip(found, executions, strict=True)
        if (opened.includes(one.opened_at) or (one.partial and one.id in continued))
        and closed.includes(one.closed_at or run.close_time)
    ]
    return IncidentList(incidents=_last_of_each(inside), next=_cursor(pages.next_page_token or b""))


def _last_of_each(found: Sequence[IncidentOut]) -> list[IncidentOut]:
    """Without the earlier runs of an incident that was opened again: the first of equal ones is the last run."""
    seen: set[tuple[str, str]] = set()
    kept: list[IncidentOut] = []
    for one in found:
        if (one.id, one.first_run_id) not in seen:
            kept.append(one)
        seen |= {(one.id, run) for run in (one.first_run_id, *one.reopened_run_ids)}
    return kept


@router.get("/{id}", summary="Read one incident", responses=responses(401, 403, 404, 422, 503))
async def read_incident(
    *,
    incident_id: IncidentId,
    caller: ViewerDep,
    settings: SettingsDep,
    client: ClientDep,
    incidents: IncidentsDep,
    run: Annotated[
        str,
        Query(
            pattern=r"^[0-9a-f-]{0,36}$", description="The beginning of an opening's first_run_id; the latest if empty."
        ),
    ] = "",
) -> IncidentOut:
    del caller
    not_found = Problem(404, f"there is no incident {incident_id}", code="incident_not_found")
    async with temporal_problems(not_found):
        if run:
            execution = await _opening(client, incidents, incident_id, run)
        else:
            execution = await client.get_workflow_handle(incident_id).describe(rpc_timeout=DESCRIBE_TIMEOUT)
        return await _incident(execution, incidents, settings)


async def _opening(client: Client, incidents: IncidentCache, incident_id: str, run: str) -> WorkflowExecution:
    """An opening of an incident: the same monitor opens an incident of the same id each time.

    One that was opened again has several runs, of which the last knows the others.

    Raises:
        Problem: 404 if Temporal has none, or none any more.
    """
    latest = await client.get_workflow_handle(incident_id).describe(rpc_timeout=DESCRIBE_TIMEOUT)
    view = await incidents.view(latest)
    if view is not None and view.is_run(run):
        return latest
    async for execution in client.list_workflows(runs_query(incident_id)):
        if is_run(execution.raw_info.first_run_id or execution.run_id, run):
            return execution
    detail = f"{incident_id} has no opening {run}, or Temporal no longer has it; the audit log keeps it"
    raise Problem(404, detail, code="incident_not_found")


@router.post(
    "/{id}/acknowledge",
    response_model=IncidentOut,
    summary="Stop the escalation: somebody works on it",
    responses=_ACTION_RESPONSES,
)
async def acknowledge_incident(
    incident_id: IncidentId,
    body: ActionRequest,
    caller: ResponderDep,
    actions: ActionsDep,
    settings: SettingsDep,
    run: _Run = "",
) -> Response | IncidentOut:
    return await _act("acknowledge", (incident_id, run), body, caller, actions=actions, settings=settings)


@router.post(
    "/{id}/resolve",
    response_model=IncidentOut,
    summary="Resolve and close; a regulated incident needs its role",
    responses=_ACTION_RESPONSES,
)
async def resolve_incident(
    incident_id: IncidentId,
    body: ActionRequest,
    caller: ResponderDep,
    actions: ActionsDep,
    settings: SettingsDep,
    run: _Run = "",
) -> Response | IncidentOut:
    return await _act("resolve", (incident_id, run), body, caller, actions=actions, settings=settings)


@router.post("/{id}/annotate", response_model=IncidentOut, summary="Add a note", responses=_ACTION_RESPONSES)
async def annotate_incident(
    incident_id: IncidentId,
    body: ActionRequest,
    caller: ResponderDep,
    actions: ActionsDep,
    settings: SettingsDep,
    run: _Run = "",
) -> Response | IncidentOut:
    if not body.note.strip():
        raise Problem(422, "a note is needed", "body.note: it is empty")
    return await _act("annotate", (incident_id, run), body, caller, actions=actions, settings=settings)


async def _act(
    verb: ActionType,
    about: tuple[str, str],
    body: ActionRequest,
    caller: Caller,
    *,
    actions: ActionService,
    settings: GatewaySettings,
) -> Response | IncidentOut:
    incident, run = about
    by = caller.acting_for(body.by)
    action = ResponderAction(
        type=verb,
        by=by,
        role=caller.role,
        source="api",
        note=body.note,
        token=caller.name,
        first_run_id=run,
    )
    result = await actions.apply(incident, action)
    _log.info("action_accepted", incident=incident, action=verb, by=by, source="api", token=caller.name)
    if isinstance(result, AcceptedAction):
        return JSONResponse(result.model_dump(), 202)
    return _incident_out(result, result.first_run_id, settings)


async def _incident(execution: WorkflowExecution, incidents: IncidentCache, settings: GatewaySettings) -> IncidentOut:
    view = await incidents.view(execution)
    return _partial(execution) if view is None else _incident_out(view, execution.run_id, settings)


def _incident_out(view: IncidentView, run_id: str, settings: GatewaySettings) -> IncidentOut:
    url = ""
    if settings.temporal_ui_url:
        path = f"namespaces/{quote(settings.namespace)}/workflows/{quote(view.id)}/{run_id}"
        url = f"{settings.temporal_ui_url}/{path}/timeline"
    return IncidentOut(**dict(view), temporal_url=url)


def _partial(execution: WorkflowExecution) -> IncidentOut:
    """An incident from Temporal's server alone."""
    attributes = execution.typed_search_attributes
    is_closed = execution.status == WorkflowExecutionStatus.COMPLETED or execution.status in ENDED_OUTSIDE
    state = "closed" if is_closed else attributes.get(search_attributes.STATE) or "received"
    return IncidentOut.model_validate(
        {
            "id": execution.id,
            "first_run_id": execution.raw_info.first_run_id or execution.run_id,
            "state": state,
            "tier": attributes.get(search_attributes.TIER),
            "rule": attributes.get(search_attributes.RULE) or "",
            "model": attributes.get(search_attributes.MODEL) or "",
            "environment": attributes.get(search_attributes.ENVIRONMENT) or "",
            "team": attributes.get(search_attributes.TEAM) or "",
            "regulated": attributes.get(search_attributes.REGULATED) or False,
            "opened_at": execution.start_time,
            "closed_at": execution.close_time,
            "partial": True,
        }
    )


def _cursor(token: bytes) -> str:
    """Temporal's page token with a checksum: a wrong token would keep the server busy for seconds."""
    return base64.urlsafe_b64encode(hashlib.sha256(token).digest()[:6] + token).decode() if token else ""


def _page_token(cursor: str) -> bytes | None:
    if not cursor:
        return None
    try:
        decoded = base64.b64decode(cursor.encode(), b"-_", validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    checksum, token = decoded[:6], decoded[6:]
    if not token or hashlib.sha256(token).digest()[:6] != checksum:
        detail = "the cursor is not valid"
        raise Problem(422, detail, "query.cursor: send the value of next unchanged", code="invalid_cursor")
    return token
