"""Reads a request's body, with a limit that holds while it arrives, and while it is decompressed."""

import zlib
from collections.abc import Callable
from typing import ClassVar

import zstandard
from fastapi import HTTPException, Request
from starlette.types import Message, Receive

from alerts import TocsinError, clean
from alerts.body import MAX_BYTES
from alerts.errors import TooLargeError
from gateway.problems import Problem

CODEC_BYTES = 8 * 2**20
"""The Temporal UI sends a whole page of a history at once."""


def body_limit(path: str) -> int:
    """The largest body that any endpoint of this path reads, in bytes. The larger one needs a token or a session."""
    return CODEC_BYTES if path in {"/codec/decode", "/codec/encode"} else MAX_BYTES


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


class CompressedBodyError(TocsinError):
    """The body is not compressed as its ``Content-Encoding`` says, or in a way that is not known."""

    code: ClassVar[str] = "invalid_encoding"


def decompressed(body: bytes, content_encoding: str, limit: int = MAX_BYTES) -> bytes:
    """The body without its ``Content-Encoding``: gzip, deflate, zstd, or several of them.

    A sender, or a proxy on the way, compresses bodies. One that decompresses them may leave the header, and a sender
    may forget it: a body that is plainly JSON is returned as it is, and one that is plainly compressed is decompressed.

    Args:
        body: as it was received.
        content_encoding: the header's value; may be empty.
        limit: of the result, in bytes. No more than that is decompressed.

    Raises:
        Problem: 413, more than ``limit`` bytes come out.
        CompressedBodyError: it cannot be decompressed.
    """
    stated = [name.strip().casefold() for name in content_encoding.split(",")]
    codings = [name.removeprefix("x-") for name in stated if name not in {"", "identity"}][:_MAX_CODINGS]
    if not codings:
        codings = [name for magic, name in _MAGIC.items() if body.startswith(magic)]
    for coding in reversed(codings):
        if coding not in _DECOMPRESSORS:
            raise CompressedBodyError(f"Content-Encoding {clean(coding, 40)} is not known: send gzip, deflate or zstd")
        if body.lstrip()[:1] in (b"{", b"["):
            return body
        try:
            body = _DECOMPRESSORS[coding](body, limit)
        except (zlib.error, zstandard.ZstdError, EOFError) as error:
            raise CompressedBodyError(f"the body is not {coding}, as its Content-Encoding says: {error}") from None
        if len(body) > limit:
            raise _too_large(limit)
    return body


def _inflate(wbits: int) -> Callable[[bytes, int], bytes]:
    def decompress(body: bytes, limit: int) -> bytes:
        found = b""
        for _ in range(_MAX_MEMBERS):  # a gzip file may have several
            if not body or len(found) > limit:
                return found
            inflater = zlib.decompressobj(wbits)
            found += inflater.decompress(body, limit + 1 - len(found))
            if not inflater.eof and len(found) <= limit:
                raise EOFError("it is cut off")
            body = inflater.unused_data
        raise EOFError(f"it has more than {_MAX_MEMBERS} parts")

    return decompress


def _deflate(body: bytes, limit: int) -> bytes:
    try:
        return _inflate(zlib.MAX_WBITS)(body, limit)
    except zlib.error:  # without the header of zlib, as some senders understand RFC 9110
        return _inflate(-zlib.MAX_WBITS)(body, limit)


def _zstd(body: bytes, limit: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    with decompressor.stream_reader(body, read_across_frames=True) as reader:
        found = reader.read(limit + 1)
    if not found and body:
        raise EOFError("it is cut off")
    return found


_MAX_CODINGS, _MAX_MEMBERS = 3, 16
_ZSTD_WINDOW = 8 * 2**20
"""In bytes. RFC 9659: senders of HTTP bodies use no larger one."""
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_DECOMPRESSORS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _inflate(16 + zlib.MAX_WBITS),
    "deflate": _deflate,
    "zstd": _zstd,
}


def _detail(limit: int) -> str:
    return f"the body is too large: at most {limit:,} bytes are accepted"


def _too_large(limit: int) -> Problem:
    return Problem(413, _detail(limit), code=TooLargeError.code, headers={"Connection": "close"})
