"""``/incidents/<token>``: the page behind the link in a message. A GET changes nothing; the button acknowledges.

Link previews and mail scanners send GET only, so they acknowledge nothing.
"""

from typing import Annotated
from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse

from alerts import clean
from gateway.action_service import AcceptedAction
from gateway.dependencies import ActionsDep, SettingsDep
from gateway.ingest.bodies import bounded_body
from gateway.problems import Problem
from gateway.templates import render
from incident.events import ResponderAction

_TEMPLATE = "incident.html"
_log = structlog.get_logger()
router = APIRouter(prefix="/incidents", include_in_schema=False)
Token = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{10,600}$")]


@router.get("/{token}")
async def show_incident(token: Token, settings: SettingsDep, actions: ActionsDep) -> HTMLResponse:
    found = settings.links.read(token)
    if found is None:
        return render(_TEMPLATE, 404, message="This link is not valid.")
    incident, first_run_id = found
    try:
        view = await actions.read(incident)
    except Problem as problem:
        if problem.status != 404:
            raise
        return render(_TEMPLATE, 404, message="Temporal has no record of this incident any more.")
    if view is not None and not view.first_run_id.startswith(first_run_id):
        message = "The incident of this link is closed. A newer incident is open, with its own messages and links."
        return render(_TEMPLATE, message=message)
    return render(_TEMPLATE, id=incident, incident=view)


@router.post("/{token}")
async def acknowledge(token: Token, request: Request, settings: SettingsDep, actions: ActionsDep) -> HTMLResponse:
    found = settings.links.read(token, to_act=True)
    if found is None:
        message = "This link is not valid, or older than 30 days: acknowledge in the tool that notified you."
        return render(_TEMPLATE, 404, message=message)
    incident, first_run_id = found
    fields = parse_qs((await bounded_body(request)).decode("utf-8", "replace"), max_num_fields=10)
    by = clean(fields.get("by", [""])[0], 100)
    if not by:
        return render(_TEMPLATE, 422, id=incident, incident=await actions.read(incident), name_missing=True)
    action = ResponderAction(type="acknowledge", by=by, source="link", first_run_id=first_run_id)
    try:
        result = await actions.apply(incident, action)
    except Problem as problem:
        if problem.status not in {404, 409}:
            raise
        _log.info("action_ignored", incident=incident, action=action.type, by=by, source="link", reason=problem.detail)
        return render(_TEMPLATE, 409, message="The incident is resolved: there is nothing to acknowledge.")
    _log.info("action_accepted", incident=incident, action=action.type, by=by, source="link")
    if isinstance(result, AcceptedAction):
        return render(_TEMPLATE, 202, id=incident, accepted=result.detail)
    return render(_TEMPLATE, id=incident, incident=result, done=True)
