"""Reading a request's body within its bound, while it comes in."""

from fastapi import Request

from alerts.body import MAX_BYTES
from gateway.problems import Problem


async def bounded_body(request: Request, most: int = MAX_BYTES) -> bytes:
    """The raw body, refused with 413 as soon as it is over 256 KiB, or ``most`` bytes."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most:
        raise _too_large(most)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(most: int) -> Problem:
    return Problem(413, f"at most {most:,} bytes are taken", headers={"Connection": "close"})
