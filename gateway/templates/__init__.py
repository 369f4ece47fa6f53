"""The gateway's pages: HTML without scripts, escaped by Jinja."""

from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
_environment = Environment(loader=PackageLoader("gateway", "templates"), autoescape=True)


def render(template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """An HTML answer, with headers that forbid scripts, frames and caches."""
    return HTMLResponse(_environment.get_template(template).render(**context), status, headers=_HEADERS)
