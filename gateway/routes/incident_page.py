"""``/incidents/<token>``: the page behind the link in a message. A GET changes nothing; the button acknowledges.

Link previews and mail scanners send GET only, so they acknowledge nothing. Every answer is a page, also an error.
"""

from typing import Any

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from temporalio.service import RPCError

from alerts import clean
from gateway.action_service import AcceptedAction
from gateway.dependencies import ActionsDep, ServicesDep, SettingsDep
from gateway.forms import form_fields
from gateway.ingest.bodies import bounded_body
from gateway.list_query import runs_query
from gateway.problems import Problem
from gateway.services import Services
from gateway.templates import render
from incident.events import ResponderAction
from incident.view import IncidentView

MAX_EARLIER = 20
"""Incidents of one id that are searched for the one of a link, the newest first."""
MAX_ENTRIES = 100
"""Entries of the timeline that the page shows, the newest."""
_TEMPLATE = "incident.html"
_TOO_OLD = "A link of more than 30 days only shows its incident: acknowledge in the tool that notified you."
_NOT_VALID = "This link is not valid: open it again from the message, and check that it is complete."
_NEWER = "This incident is closed. A newer incident of the same problem has its own messages and links."
_NO_RECORD = "Temporal has no record of this incident any more. The audit log has: tocsin audit show, with the id."
_log = structlog.get_logger()
router = APIRouter(prefix="/incidents", include_in_schema=False)


@router.get("/{token}")
async def show_incident(token: str, settings: SettingsDep, services: ServicesDep) -> HTMLResponse:
    found = settings.links.read(token)
    if found is None:
        return render(_TEMPLATE, 404, message=_NOT_VALID)
    return await _show(services, *found)


@router.post("/{token}")
async def acknowledge(
    token: str, request: Request, settings: SettingsDep, actions: ActionsDep, services: ServicesDep
) -> HTMLResponse:
    found = settings.links.read(token, to_act=True)
    if found is None:
        return render(_TEMPLATE, 404, message=f"{_NOT_VALID} {_TOO_OLD}")
    incident, first_run_id = found
    by = clean(form_fields(await bounded_body(request)).get("by", ""), 100)
    if not by:
        return _page(incident, await actions.read(incident), 422, name_missing=True)
    action = ResponderAction(type="acknowledge", by=by, source="link", first_run_id=first_run_id)
    try:
        result = await actions.apply(incident, action)
    except Problem as problem:
        if problem.status not in {404, 409}:
            raise
        _log.info("action_ignored", incident=incident, action=action.type, by=by, source="link", reason=problem.detail)
        return await _show(
            services, *found, status=409, notice="The incident is resolved: there is nothing to acknowledge."
        )
    _log.info("action_accepted", incident=incident, action=action.type, by=by, source="link")
    if isinstance(result, AcceptedAction):
        return render(_TEMPLATE, 202, id=incident, accepted=result.detail)
    return _page(incident, result, done=True)


async def _show(
    services: Services, incident: str, first_run_id: str, *, status: int = 200, notice: str = ""
) -> HTMLResponse:
    """The page of the incident that a link is for, which may be an earlier one than the id has now."""
    try:
        view = await services.actions.read(incident)
    except Problem as problem:
        if problem.status != 404:
            raise
        return render(_TEMPLATE, 404, id=incident, message=_NO_RECORD)
    if view is None or view.is_run(first_run_id):
        return _page(incident, view, status, notice=notice)
    earlier = await _earlier(services, incident, first_run_id)
    if earlier is None:
        return render(_TEMPLATE, status, id=incident, message=f"{_NEWER} {_NO_RECORD}")
    return _page(incident, earlier, status, notice=_NEWER)


async def _earlier(services: Services, incident: str, first_run_id: str) -> IncidentView | None:
    try:
        async for run in services.client.list_workflows(runs_query(incident), limit=MAX_EARLIER):
            view = await services.incidents.view(run)
            if view is not None and view.is_run(first_run_id):
                return view
    except RPCError:
        pass
    return None


def _page(incident: str, view: IncidentView | None, status: int = 200, **context: Any) -> HTMLResponse:
    timeline = view.timeline[-MAX_ENTRIES:] if view else ()
    hidden = len(view.timeline) - len(timeline) if view else 0
    return render(_TEMPLATE, status, id=incident, incident=view, timeline=timeline, hidden=hidden, **context)
