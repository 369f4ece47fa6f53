"""Who sent it: the signatures of Arize and of PagerDuty. Every comparison takes constant time."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

TOLERANCE = 300  # seconds that a timestamp may be off; Arize states none


def check_arize(
    headers: Mapping[str, str], body: bytes, secrets: Iterable[str], tokens: Iterable[str], now: float
) -> str | None:
    """None where the delivery is authentic, else why it is not.

    HMAC_SHA256: ``X-Arize-Webhook-Signature: v1=<hex HMAC-SHA256>`` over ``<timestamp>.<raw body>``, the
    timestamp being ``X-Arize-Webhook-Timestamp`` in Unix seconds. BEARER: the stored token stands verbatim in
    ``Authorization``, with or without the word Bearer. Source: Arize's public SDK and its page on webhooks.
    """
    signature = headers.get("x-arize-webhook-signature", "")
    if signature:
        stamp = headers.get("x-arize-webhook-timestamp", "")
        if not re.fullmatch(r"\d{1,12}", stamp):
            return "X-Arize-Webhook-Timestamp is missing or not in Unix seconds"
        if not _signed(signature, stamp.encode() + b"." + body, secrets):
            return "the signature does not fit: check that ARIZE_WEBHOOK_SECRET is this webhook's signing secret"
        if abs(now - int(stamp)) > TOLERANCE:
            return f"the timestamp is {abs(now - int(stamp)):.0f} s off; at most {TOLERANCE} s are taken"
        return None
    authorization = headers.get("authorization", "")
    if authorization:
        shown = authorization.removeprefix("Bearer ").encode("utf-8", "surrogateescape")
        found = [hmac.compare_digest(token.removeprefix("Bearer ").encode(), shown) for token in tokens]
        return None if any(found) else "the token in Authorization is not one of ARIZE_WEBHOOK_TOKEN"
    return "neither X-Arize-Webhook-Signature nor Authorization was sent"


def check_pagerduty(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> str | None:
    """None where the callback is authentic, else why it is not.

    ``X-PagerDuty-Signature: v1=<hex>,v1=<hex>``: one HMAC-SHA256 of the raw body for each secret that the
    subscription has had lately. Source: developer.pagerduty.com, "Verifying webhook signatures".
    """
    signature = headers.get("x-pagerduty-signature", "")
    if not signature:
        return "X-PagerDuty-Signature was not sent"
    return None if _signed(signature, body, secrets) else "no signature fits: check PAGERDUTY_WEBHOOK_SECRET"


def _signed(header: str, content: bytes, secrets: Iterable[str]) -> bool:
    shown = [part.strip()[3:].casefold().encode() for part in header.split(",")[:10] if part.strip().startswith("v1=")]
    fits = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest().encode()
        for one in shown:
            fits |= hmac.compare_digest(expected, one)
    return fits
