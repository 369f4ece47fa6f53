"""Reads a request's body, with a limit that holds while it arrives."""

from fastapi import HTTPException, Request
from starlette.types import Message, Receive

from alerts.body import MAX_BYTES
from alerts.errors import TooLargeError
from gateway.problems import Problem


async def bounded_body(request: Request, limit: int = MAX_BYTES) -> bytes:
    """The raw body.

    Args:
        request: the request.
        limit: in bytes; 256 KiB by default.

    Raises:
        Problem: 413, as soon as more than ``limit`` bytes are announced or received.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def bounded_receive(receive: Receive, limit: int = MAX_BYTES) -> Receive:
    """For endpoints whose body FastAPI reads: it would buffer a body of any size before the caller is authenticated.

    Raises:
        HTTPException: 413, as soon as more than ``limit`` bytes are received. FastAPI passes this exception on.
    """
    size = 0

    async def receive_message() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(413, _detail(limit), headers={"Connection": "close"})
        return message

    return receive_message


def _detail(limit: int) -> str:
    return f"the body is too large: at most {limit:,} bytes are accepted"


def _too_large(limit: int) -> Problem:
    return Problem(413, _detail(limit), code=TooLargeError.code, headers={"Connection": "close"})
