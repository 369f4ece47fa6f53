"""``/incidents/…``: the page behind the link in a message. Looking at it acknowledges nothing; the button does.

What fetches addresses out of messages (previews, scanners of mail) only ever looks.
"""

from typing import Annotated, Any
from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader

from alerts import clean
from gateway.answering import Answering, Kept
from gateway.bodies import bounded_body
from gateway.links import Links
from gateway.problems import Problem
from workflows.messages import Answer

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


def page_routes(links: Links, answering: Answering) -> APIRouter:
    router = APIRouter(prefix="/incidents", include_in_schema=False)

    def page(status: int = 200, **shown: Any) -> HTMLResponse:
        return HTMLResponse(_pages.get_template("incident.html").render(**shown), status, headers=_HEADERS)

    @router.get("/{token}")
    async def look(token: Token) -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        found = links.read(token)
        if found is None:
            return page(404, gone="This link is not one of ours.")
        try:
            shown = await answering.read(found[0])
        except Problem as problem:
            if problem.status != 404:
                raise
            return page(404, gone="This incident is not known any more.")
        if shown is not None and not shown.opening.startswith(found[1]):
            return page(gone="The incident of this link is closed. What burns now has a message of its own.")
        return page(id=found[0], incident=shown)

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
            return page(422, id=found[0], incident=await answering.read(found[0]), lacking=True)
        try:
            shown = await answering.tell(found[0], Answer(act="acknowledge", by=by, via="link", opening=found[1]))
        except Problem as problem:
            if problem.status not in {404, 409}:
                raise
            return page(409, gone="It is resolved already: there is nothing to acknowledge.")
        _log.info("answer taken", incident=found[0], act="acknowledge", by=by, via="link")
        if isinstance(shown, Kept):
            return page(202, id=found[0], kept=shown.detail)
        return page(id=found[0], incident=shown, done=True)

    return router
