"""``/incidents/…``: the page behind the link in a message. Looking at it acknowledges nothing; the button does.

What fetches addresses out of messages (previews, scanners of mail) only ever looks.
"""

from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader
from temporalio.client import Client, WorkflowQueryFailedError, WorkflowUpdateFailedError

from alerts import clean
from gateway.bodies import bounded_body
from gateway.links import Links
from gateway.problems import Problem
from gateway.temporal import asking_temporal
from workflows.messages import INCIDENT_QUERY, Answer, IncidentView

_TIMEOUT = timedelta(seconds=10)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
_pages = Environment(loader=PackageLoader("gateway", "pages"), autoescape=True)
_log = structlog.get_logger()
Token = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{10,600}$")]


def page_routes(links: Links, client: Client) -> APIRouter:
    router = APIRouter(prefix="/incidents", include_in_schema=False)

    def page(status: int = 200, **shown: Any) -> HTMLResponse:
        return HTMLResponse(_pages.get_template("incident.html").render(**shown), status, headers=_HEADERS)

    async def view(incident: str) -> IncidentView:
        handle = client.get_workflow_handle(incident)
        async with asking_temporal(Problem(404, "not open")):
            return await handle.query(INCIDENT_QUERY, result_type=IncidentView, rpc_timeout=_TIMEOUT)

    @router.get("/{token}")
    async def look(token: Token) -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        found = links.read(token)
        if found is None:
            return page(404, gone="This link is not one of ours.")
        try:
            shown = await view(found[0])
        except WorkflowQueryFailedError:
            raise Problem(503, "the incident does not answer; try again soon") from None
        except Problem as problem:
            if problem.status != 404:
                raise
            return page(404, gone="This incident is not known any more.")
        if not shown.opening.startswith(found[1]):
            return page(gone="The incident of this link is closed. What burns now has a message of its own.")
        return page(incident=shown)

    @router.post("/{token}")
    async def press(token: Token, request: Request) -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        found = links.read(token, to_act=True)
        if found is None:
            return page(
                404, gone="This link is not one of ours, or it is older than 30 days: acknowledge where you were told."
            )
        fields = parse_qs((await bounded_body(request)).decode("utf-8", "replace"), max_num_fields=10)
        by = clean(fields.get("by", [""])[0], 100)
        if not by:
            return page(422, incident=await view(found[0]), lacking=True)
        answer = Answer(act="acknowledge", by=by, via="link", opening=found[1])
        handle: Any = client.get_workflow_handle(found[0])
        closed = Problem(409, "closed")
        try:
            async with asking_temporal(closed):
                shown = await handle.execute_update(
                    "acknowledge", answer, result_type=IncidentView, rpc_timeout=_TIMEOUT
                )
        except (WorkflowUpdateFailedError, Problem) as error:
            if isinstance(error, Problem) and error is not closed:
                raise
            return page(409, gone="It is resolved already: there is nothing to acknowledge.")
        _log.info("answer taken", incident=found[0], act="acknowledge", by=by, via="link")
        return page(incident=shown, done=True)

    return router
