"""The request id: in the answer's ``X-Request-Id``, in every log line of the request, and on the way to Temporal.

It is bound to structlog's context variables. The Temporal client's interceptor reads it there, so the log lines of the
workflow and its activities carry it too.
"""

import re
import uuid
from contextlib import AbstractContextManager

import structlog
from starlette.types import Message, Scope, Send

HEADER = "X-Request-Id"
CONTEXT_VARIABLE = "request_id"
_RAW_HEADER = HEADER.lower().encode()
_VALID = re.compile(rb"[A-Za-z0-9._-]{8,64}")


def read_request_id(scope: Scope) -> str:
    """The client's id, if it is 8 to 64 letters, digits, dots, dashes or underscores; otherwise a new one."""
    for name, value in scope["headers"]:
        if name == _RAW_HEADER and _VALID.fullmatch(value):
            return value.decode()
    return uuid.uuid4().hex


def current_request_id() -> str:
    """The id of the request that is being handled; empty outside of one."""
    return str(structlog.contextvars.get_contextvars().get(CONTEXT_VARIABLE, ""))


def bound_request_id(request_id: str) -> AbstractContextManager[None]:
    """Bind the id, for work that runs outside of its request; an empty one binds nothing."""
    return structlog.contextvars.bound_contextvars(**({CONTEXT_VARIABLE: request_id} if request_id else {}))


def send_with_request_id(send: Send, request_id: str) -> Send:
    """Adds the header to the answer."""

    async def send_message(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (_RAW_HEADER, request_id.encode())]
        await send(message)

    return send_message
