"""``/codec``: what lets the Temporal UI and CLI show histories in clear, to whoever may read incidents.

The protocol is Temporal's codec server: ``POST …/decode`` and ``…/encode`` with ``{"payloads": […]}``.
Source: https://docs.temporal.io/codec-server. The CLI shows a token (``--codec-auth "Bearer …"``); the UI runs in a
browser that has none, so one signs in there once, at ``/codec``, and the browser shows a cookie from then on.
"""

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.security import HTTPBearer
from google.protobuf import json_format
from itsdangerous import BadSignature, URLSafeTimedSerializer
from jinja2 import Environment, PackageLoader
from starlette.middleware.cors import CORSMiddleware
from temporalio.api.common.v1 import Payloads

from gateway.bodies import bounded_body
from gateway.encryption import EncryptionCodec, EncryptionError
from gateway.problems import Problem, responses
from gateway.rates import Limiter, source
from gateway.settings import GatewaySettings
from workflows.messages import Role

COOKIE = "tocsin_codec"
SIGNED_IN_FOR = 12 * 3600  # seconds
MOST_BYTES = 8 * 2**20  # of one request: the UI asks for a whole page of a history at once
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "X-Frame-Options": "DENY",
}
_pages = Environment(loader=PackageLoader("gateway", "pages"), autoescape=True)


def codec_routes(settings: GatewaySettings, limiter: Limiter) -> APIRouter:
    router = APIRouter(prefix="/codec", tags=["codec"])
    codec = EncryptionCodec(settings.keys)
    secret = hashlib.sha256(b"tocsin codec sessions" + settings.keys.seed).digest()
    sessions = URLSafeTimedSerializer(secret, salt="codec")
    secure = settings.links.root.startswith("https://")

    def require(request: Request, needed: Role) -> None:
        cookie = request.cookies.get(COOKIE, "")
        if cookie:
            try:
                name = str(sessions.loads(cookie, max_age=SIGNED_IN_FOR))
            except BadSignature:
                name = ""
            # By what the tokens' file says now: who is no longer in it is signed out.
            if name and settings.tokens.holds(name, needed):
                return
        settings.tokens.require(request.headers.get("authorization", ""), needed)

    def page(status: int = 200, **shown: Any) -> HTMLResponse:
        return HTMLResponse(_pages.get_template("codec.html").render(**shown), status, headers=_HEADERS)

    @router.get("", include_in_schema=False)
    async def look(request: Request) -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        try:
            require(request, "viewer")
        except Problem:
            return page()
        return page(signed_in=True, ui=settings.temporal_ui_url)

    @router.post("", include_in_schema=False)
    async def sign_in(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        fields = parse_qs((await bounded_body(request)).decode("utf-8", "replace"), max_num_fields=10)
        who = settings.tokens.caller(f"Bearer {fields.get('token', [''])[0]}")
        if who is None:
            await limiter.spend("refused", source(request))
            return page(401, refused=True)
        answer = RedirectResponse("/codec", 303, headers=_HEADERS)
        # Strict: a page of another site cannot have anything decoded with it, and the UI's is of the same.
        answer.set_cookie(
            COOKIE,
            str(sessions.dumps(who.name)),
            max_age=SIGNED_IN_FOR,
            path="/codec",
            httponly=True,
            secure=secure,
            samesite="strict",
        )
        return answer

    async def payloads(request: Request) -> Payloads:
        try:
            return json_format.Parse(await bounded_body(request, MOST_BYTES), Payloads(), ignore_unknown_fields=True)
        except (json_format.ParseError, UnicodeDecodeError) as error:
            raise Problem(400, f"this is no list of payloads: {str(error)[:200]}") from None

    def add(path: str, needed: Role, work: Callable[..., Any], summary: str) -> None:
        bearer = Security(HTTPBearer(auto_error=False, description="A token of TOCSIN_API_TOKENS."))
        example: dict[str, Any] = {"schema": {"type": "object"}, "example": {"payloads": []}}
        body = {"required": True, "content": {"application/json": example}}

        async def answer(request: Request) -> JSONResponse:
            require(request, needed)
            await limiter.spend("api", source(request))
            given = (await payloads(request)).payloads
            try:
                made = await work(given)
            except EncryptionError as error:
                raise Problem(422, str(error)) from None
            return JSONResponse(
                json_format.MessageToDict(Payloads(payloads=made)), headers={"Cache-Control": "no-store"}
            )

        router.add_api_route(
            path,
            answer,
            methods=["POST"],
            name=path.strip("/"),
            summary=summary,
            dependencies=[bearer],
            responses=responses(400, 401, 403, 413, 422),
            openapi_extra={"requestBody": body},
        )

    add("/decode", "viewer", codec.decode, "Payloads in clear, for the Temporal UI and CLI")
    add("/encode", "responder", codec.encode, "Payloads encrypted, for what is sent from the Temporal UI and CLI")
    return router


def allow_ui(app: FastAPI, settings: GatewaySettings) -> None:
    """The Temporal UI's own pages may call it from the browser; those of nobody else."""
    if settings.temporal_ui_url:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[settings.temporal_ui_url],
            allow_methods=["POST"],
            allow_headers=["Authorization", "Content-Type", "X-Namespace"],
            allow_credentials=True,
        )
