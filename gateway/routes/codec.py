"""``/codec``: a codec server, which shows encrypted histories in the Temporal UI and CLI to those who may read them.

Protocol: ``POST /decode`` and ``/encode`` with ``{"payloads": [...]}``, https://docs.temporal.io/codec-server. The CLI
sends a token (``--codec-auth "Bearer ..."``). The UI runs in a browser that has none: a person signs in once, at
``/codec``, and the browser sends the session's cookie afterwards.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from google.protobuf import json_format
from starlette.middleware.cors import CORSMiddleware
from temporalio.api.common.v1 import Payload, Payloads

from gateway.dependencies import LimiterDep, RequireCodecRole, ServicesDep, SettingsDep
from gateway.forms import form_fields
from gateway.guarded_route import GuardedRoute
from gateway.ingest.bodies import CODEC_BYTES, bounded_body
from gateway.problems import Problem, responses
from gateway.security.codec_sessions import PATH
from gateway.security.encryption import EncryptionError
from gateway.security.rates import client_address
from gateway.templates import render

_BODY: dict[str, Any] = {"application/json": {"schema": {"type": "object"}, "example": {"payloads": []}}}
_DOCUMENT: dict[str, Any] = {
    "responses": responses(400, 401, 403, 413, 422),
    "openapi_extra": {"requestBody": {"required": True, "content": _BODY}},
}

router = APIRouter(prefix=PATH, tags=["codec"], route_class=GuardedRoute)


@router.get("", include_in_schema=False)
async def show_sign_in(request: Request, services: ServicesDep) -> HTMLResponse:
    try:
        services.codec_sessions.require(request, "viewer")
    except Problem:
        return render("codec.html")
    return render("codec.html", signed_in=True, ui=services.settings.temporal_ui_url)


@router.post("", include_in_schema=False)
async def sign_in(request: Request, services: ServicesDep, settings: SettingsDep, limiter: LimiterDep) -> Response:
    token = form_fields(await bounded_body(request)).get("token", "")
    digest = settings.tokens.find(token.strip())
    if not digest:
        await limiter.spend("refused", client_address(request))
        return render("codec.html", 401, refused=True)
    response = RedirectResponse(PATH, 303, headers={"Cache-Control": "no-store"})
    services.codec_sessions.open(response, digest)
    return response


@router.post(
    "/decode",
    summary="Decrypt payloads, for the Temporal UI and CLI",
    dependencies=[Depends(RequireCodecRole("viewer"))],
    **_DOCUMENT,
)
async def decode(request: Request, services: ServicesDep) -> Response:
    payloads = await _read_payloads(request)
    try:
        return _payloads(await services.codec.decode(payloads))
    except EncryptionError as error:
        raise Problem(422, str(error), code=error.code) from None


@router.post(
    "/encode",
    summary="Encrypt payloads, for input in the Temporal UI and CLI",
    dependencies=[Depends(RequireCodecRole("responder"))],
    **_DOCUMENT,
)
async def encode(request: Request, services: ServicesDep) -> Response:
    return _payloads(await services.codec.encode(await _read_payloads(request)))


async def _read_payloads(request: Request) -> Sequence[Payload]:
    """Raises Problem 400."""
    body = await bounded_body(request, CODEC_BYTES)
    try:
        return json_format.Parse(body, Payloads(), ignore_unknown_fields=True).payloads
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise Problem(400, f"this is not a list of payloads: {str(error)[:200]}") from None


def _payloads(payloads: Sequence[Payload]) -> Response:
    content = json_format.MessageToDict(Payloads(payloads=payloads))
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


def allow_temporal_ui(app: FastAPI, origin: str) -> None:
    """Let the browser call the gateway from the Temporal UI's pages, and from no other origin."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[origin],
        allow_methods=["POST"],
        allow_headers=["Authorization", "Content-Type", "X-Namespace"],
        allow_credentials=True,
    )
