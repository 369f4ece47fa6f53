"""``/api/incidents``: reading and acting, with bearer tokens and roles."""

import asyncio
import base64
import binascii
import hashlib
import re
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from alerts import clean
from gateway.answering import Answering, Kept
from gateway.problems import Problem, responses
from gateway.rates import Limiter
from gateway.settings import GatewaySettings
from gateway.temporal import asking_temporal
from gateway.tokens import Caller
from gateway.views import Views
from policy import Tier
from workflows import search
from workflows.messages import (
    INCIDENT_WORKFLOW,
    Act,
    Answer,
    IncidentView,
    Role,
    State,
)

_TIMEOUT = timedelta(seconds=10)
IncidentId = Annotated[str, Path(pattern=r"^incident-[a-z0-9-]{1,100}$", description="incident-<model>-<fingerprint>")]


class IncidentOut(IncidentView):
    """An incident, with its page in the Temporal UI."""

    temporal_url: str = ""
    partial: bool = Field(default=False, description="No worker answered: only what the server itself knows is here.")


class IncidentList(BaseModel):
    incidents: list[IncidentOut]
    next: str = Field(default="", description="Give it as cursor to get the next page; empty on the last.")


def _clean(text: str) -> str:
    return clean(text, 2_000)


class ActIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    by: Annotated[str, AfterValidator(_clean)] = Field(
        default="", max_length=200, description="Who acts; the token's name where it is left out."
    )
    note: Annotated[str, AfterValidator(_clean)] = Field(default="", max_length=2000)


def incident_routes(
    settings: GatewaySettings, client: Client, views: Views, answering: Answering, limiter: Limiter
) -> APIRouter:
    # For the document alone: what is shown is checked in ``caller``, which knows the roles.
    bearer = Security(HTTPBearer(auto_error=False, description="A token of TOCSIN_API_TOKENS."))
    router = APIRouter(prefix="/api/incidents", tags=["incidents"], dependencies=[bearer])

    async def caller(request: Request, needed: Role) -> Caller:
        who = settings.tokens.require(request.headers.get("authorization", ""), needed)
        await limiter.spend("api", who.name)
        return who

    def out(view: IncidentView, run_id: str) -> IncidentOut:
        url = ""
        if settings.temporal_ui_url:
            path = f"namespaces/{quote(settings.namespace)}/workflows/{quote(view.id)}/{run_id}"
            url = f"{settings.temporal_ui_url}/{path}/timeline"
        return IncidentOut(**dict(view), temporal_url=url)

    async def of(execution: WorkflowExecution) -> IncidentOut:
        view = await views.of(execution)
        return _partial(execution) if view is None else out(view, execution.run_id)

    @router.get("", summary="List incidents, newest first", responses=responses(400, 401, 403, 422, 503))
    async def list_incidents(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        state: State | None = None,
        tier: Tier | None = None,
        team: Annotated[str | None, Query(max_length=200)] = None,
        model: Annotated[str | None, Query(max_length=200)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str, Query(max_length=4000)] = "",
    ) -> IncidentList:
        await caller(request, "viewer")
        wanted = {
            search.STATE: None if state == "closed" else state,
            search.TIER: tier,
            search.TEAM: team,
            search.MODEL: model,
        }
        query = f"WorkflowType = '{INCIDENT_WORKFLOW}' AND ExecutionStatus != 'ContinuedAsNew'"
        if state == "closed":
            query += " AND ExecutionStatus = 'Completed'"
        elif state:
            query += " AND ExecutionStatus = 'Running'"
        query += "".join(f" AND {key.name} = {_quoted(value)}" for key, value in wanted.items() if value)
        async with asking_temporal():
            pages = client.list_workflows(query, page_size=limit, next_page_token=_token(cursor))
            await pages.fetch_next_page()
        found = await asyncio.gather(*(of(execution) for execution in pages.current_page or []))
        return IncidentList(incidents=list(found), next=_cursor(pages.next_page_token or b""))

    @router.get("/{id}", summary="Read one incident", responses=responses(401, 403, 404, 422, 503))
    async def read_incident(request: Request, id: IncidentId) -> IncidentOut:  # pyright: ignore[reportUnusedFunction]  # noqa: A002
        await caller(request, "viewer")
        async with asking_temporal(_unknown(id)):
            return await of(await client.get_workflow_handle(id).describe(rpc_timeout=_TIMEOUT))

    async def act(request: Request, incident: str, verb: Act, body: ActIn) -> IncidentOut | JSONResponse:
        who = await caller(request, "responder")
        answer = Answer(act=verb, by=body.by or who.name, role=who.role, via="api", note=body.note, token=who.name)
        shown = await answering.tell(incident, answer)
        if isinstance(shown, Kept):
            return JSONResponse(shown.model_dump(), 202)
        return out(shown, shown.opening)

    kept = {202: {"model": Kept, "description": "Kept; it is carried out as soon as Temporal and a worker are there"}}
    answers = {**kept, **responses(400, 401, 403, 404, 409, 422, 503)}

    @router.post(
        "/{id}/acknowledge",
        response_model=IncidentOut,
        summary="Stop the escalation: somebody is on it",
        responses=answers,
    )
    async def acknowledge(request: Request, id: IncidentId, body: ActIn) -> Any:  # pyright: ignore[reportUnusedFunction]  # noqa: A002
        return await act(request, id, "acknowledge", body)

    @router.post(
        "/{id}/resolve",
        response_model=IncidentOut,
        summary="Resolve and close; a regulated one needs its role",
        responses=answers,
    )
    async def resolve(request: Request, id: IncidentId, body: ActIn) -> Any:  # pyright: ignore[reportUnusedFunction]  # noqa: A002
        return await act(request, id, "resolve", body)

    @router.post("/{id}/annotate", response_model=IncidentOut, summary="Add a note", responses=answers)
    async def annotate(request: Request, id: IncidentId, body: ActIn) -> Any:  # pyright: ignore[reportUnusedFunction]  # noqa: A002
        if not body.note.strip():
            raise Problem(422, "a note is needed", "body.note: it is empty")
        return await act(request, id, "annotate", body)

    return router


def _unknown(incident: str) -> Problem:
    return Problem(404, f"there is no incident {incident}")


def _partial(execution: WorkflowExecution) -> IncidentOut:
    attributes = execution.typed_search_attributes
    over = execution.status == WorkflowExecutionStatus.COMPLETED
    state = "closed" if over else attributes.get(search.STATE) or "received"
    return IncidentOut.model_validate(
        {
            "id": execution.id,
            "opening": execution.run_id,
            "state": state,
            "tier": attributes.get(search.TIER),
            "rule": attributes.get(search.RULE) or "",
            "model": attributes.get(search.MODEL) or "",
            "environment": attributes.get(search.ENVIRONMENT) or "",
            "team": attributes.get(search.TEAM) or "",
            "regulated": attributes.get(search.REGULATED) or False,
            "opened_at": execution.start_time,
            "closed_at": execution.close_time,
            "partial": True,
        }
    )


def _quoted(value: str) -> str:
    """A literal of Temporal's list filter; what could end it is left out."""
    return "'" + re.sub(r"[\\'\"\x00-\x1f]", "", value) + "'"


def _cursor(token: bytes) -> str:
    """Temporal's token with a check in front: a wrong one keeps the server busy for seconds before it says so."""
    return base64.urlsafe_b64encode(hashlib.sha256(token).digest()[:6] + token).decode() if token else ""


def _token(cursor: str) -> bytes | None:
    if not cursor:
        return None
    try:
        decoded = base64.b64decode(cursor.encode(), b"-_", validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    check, token = decoded[:6], decoded[6:]
    if not token or hashlib.sha256(token).digest()[:6] != check:
        raise Problem(422, "the cursor is not one of ours", "query.cursor: give back what next held")
    return token
