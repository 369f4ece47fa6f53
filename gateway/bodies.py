"""Reading a request's body within its bound, while it comes in."""

from fastapi import Request

from alerts.body import MAX_BYTES
from gateway.problems import Problem


async def bounded_body(request: Request) -> bytes:
    """The raw body, refused with 413 as soon as it is over 256 KiB."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BYTES:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BYTES:
            raise _too_large()
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large() -> Problem:
    return Problem(413, f"at most {MAX_BYTES:,} bytes are taken", headers={"Connection": "close"})
