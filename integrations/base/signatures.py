"""HMAC signatures of webhooks. Every comparison takes constant time."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

_SCHEME = re.compile(r"^bearer(?:\s+|$)", re.IGNORECASE)
MAX_SIGNATURES = 10
"""Signatures in one header that are compared."""
MAX_ID_CHARS = 200
TOLERANCE = 300
"""Seconds that a signature of Standard Webhooks is valid, in both directions."""


def matches_hmac(header: str, content: bytes, secrets: Iterable[str]) -> bool:
    """Whether a header ``v1=<hex>,v1=<hex>`` contains the HMAC-SHA256 of the content under one of the secrets."""
    parts = [part.strip() for part in header.split(",")[:MAX_SIGNATURES]]
    signatures = [part[3:].casefold().encode("utf-8", "surrogateescape") for part in parts if part.startswith("v1=")]
    matches = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest().encode()
        for signature in signatures:
            matches |= hmac.compare_digest(expected, signature)
    return matches


def standard_webhooks_fault(headers: Mapping[str, str], body: bytes, secrets: Iterable[bytes], now: float) -> str:
    """Why a request does not carry a valid signature of Standard Webhooks; empty if it does.

    Source: https://github.com/standard-webhooks/standard-webhooks, ``spec/standard-webhooks.md``.

    Args:
        headers: of the request, with names in lower case or case-insensitive.
        body: the exact body.
        secrets: as ``standard_webhooks_key`` reads them; each is accepted.
        now: Unix seconds.
    """
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or len(message_id) > MAX_ID_CHARS:
        return f"webhook-id is missing, or is longer than {MAX_ID_CHARS} characters"
    if not re.fullmatch(r"[0-9]{1,12}", stamp):
        return "webhook-timestamp is missing or is not in Unix seconds"
    if abs(now - int(stamp)) > TOLERANCE:
        return f"webhook-timestamp is {abs(now - int(stamp)):.0f} s off; at most {TOLERANCE} s may pass"
    content = f"{message_id}.{stamp}.".encode("latin-1", "replace") + body
    parts = headers.get("webhook-signature", "").split()[:MAX_SIGNATURES]
    signatures = [part[3:].encode("latin-1", "replace") for part in parts if part.startswith("v1,")]
    matches = False
    for secret in secrets:
        expected = base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest())
        for signature in signatures:
            matches |= hmac.compare_digest(expected, signature)
    return "" if matches else "webhook-signature does not match"


def standard_webhooks_key(secret: str) -> bytes:
    """The key of a secret ``whsec_<base64 of 24 to 64 bytes>``; the prefix may be missing.

    Raises:
        ValueError: it has another form.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if not 24 <= len(key) <= 64:
        raise ValueError("must be whsec_ and base64 of 24 to 64 bytes")
    return key


def bare_token(authorization: str) -> str:
    """A token without the word Bearer, in any case, and the spaces around it; empty if there is nothing else.

    People type these headers into a vendor's settings. RFC 9110, section 11.1: a scheme has no case.
    """
    return _SCHEME.sub("", authorization.strip(), count=1).strip()
