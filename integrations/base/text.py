"""Texts of messages: truncated, as plain text, and as markers."""

import hashlib

from incident.notification import Notification


def truncate(text: str, limit: int) -> str:
    """At most ``limit`` characters. A text that is cut ends in an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def plain_text(notification: Notification, *, headline: bool = True, links: bool = True) -> str:
    """The whole message as plain text, one fact a line, for vendors that show nothing richer."""
    content = notification.content
    lines = [
        content.headline if headline else "",
        notification.note,
        *(f"{fact.label}: {fact.value}" for fact in content.facts),
        content.reason,
    ]
    if links:
        lines += [f"{link.text}: {link.url}" for link in content.links]
    return "\n".join(line for line in [*lines, content.incident] if line)


def marker(key: str) -> str:
    """An idempotency key as one short word: in a ticket or a comment, it shows which notification wrote it."""
    return f"tocsin-{hashlib.sha256(key.encode()).hexdigest()[:20]}"
