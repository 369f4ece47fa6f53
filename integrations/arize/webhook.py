"""Authenticates Arize's webhooks. Every comparison takes constant time."""

import hmac
import re
from collections.abc import Iterable, Mapping

from integrations.base.signatures import bare_token, matches_hmac

TOLERANCE = 300
"""Seconds between a timestamp and the gateway's clock. Arize states none."""


def check_arize(
    headers: Mapping[str, str], body: bytes, secrets: Iterable[str], tokens: Iterable[str], now: float
) -> str | None:
    """None for an authentic webhook, else the reason why it is not.

    HMAC_SHA256: ``X-Arize-Webhook-Signature: v1=<hex HMAC-SHA256>`` over ``<timestamp>.<raw body>``; the timestamp is
    ``X-Arize-Webhook-Timestamp`` in Unix seconds. BEARER: ``Authorization`` is the stored token, with or without the
    word Bearer before it, in any case and with any spaces (RFC 9110, section 11.1). Source: Arize's public SDK and its
    page on webhooks.

    Args:
        headers: the request's headers; their names are in lower case.
        body: the raw body.
        secrets: the signing secrets that are valid now.
        tokens: the bearer tokens that are valid now.
        now: the gateway's clock, in Unix seconds.
    """
    signature = headers.get("x-arize-webhook-signature", "")
    if signature:
        stamp = headers.get("x-arize-webhook-timestamp", "")
        if not re.fullmatch(r"[0-9]{1,12}", stamp):
            return "X-Arize-Webhook-Timestamp is missing or is not in Unix seconds"
        if not matches_hmac(signature, stamp.encode() + b"." + body, secrets):
            return "the signature does not match: check that ARIZE_WEBHOOK_SECRET is this webhook's signing secret"
        difference = abs(now - int(stamp))
        if difference > TOLERANCE:
            return f"the timestamp differs by {difference:.0f} s from this gateway's clock; at most {TOLERANCE} s may"
        return None
    authorization = headers.get("authorization", "")
    if authorization:
        sent = bare_token(authorization).encode("utf-8", "surrogateescape")
        known = [bare for token in tokens if (bare := bare_token(token))]
        matches = [hmac.compare_digest(token.encode(), sent) for token in known]
        return None if any(matches) else "the token in Authorization is not one of ARIZE_WEBHOOK_TOKEN"
    return "X-Arize-Webhook-Signature and Authorization are both missing"
