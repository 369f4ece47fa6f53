"""HMAC signatures of webhooks. Every comparison takes constant time."""

import hashlib
import hmac
from collections.abc import Iterable

MAX_SIGNATURES = 10
"""Signatures in one header that are compared."""


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
