"""Texts of messages: truncated, as plain text, and as markers."""

import hashlib
import unicodedata

from incident.notification import Notification

MAX_CLUSTER = 32
"""Characters that are looked back at for the beginning of what a person sees as one character."""


def text_length(text: str) -> int:
    """The length in UTF-16 units, in which Java and JavaScript count: an emoji has two.

    Most vendors name "characters" and do not say which. No usual way of counting gives more than this one, except
    bytes: where a vendor counts those, its code says so.
    """
    return len(text) if text.isascii() else len(_utf16(text)) // 2


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def truncate(text: str, limit: int) -> str:
    """At most ``limit`` UTF-16 units. A text that is cut ends in an ellipsis, and never inside a visible character."""
    if len(text) * 2 <= limit or text_length(text) <= limit:
        return text
    kept = _utf16(text[:limit])[: 2 * (limit - 1)].decode("utf-16-le", "surrogatepass")
    end = len(kept)
    if kept and text[end - 1] > "\uffff" >= kept[-1]:
        end -= 1  # half of a character
    for _ in range(MAX_CLUSTER):
        if end <= 0 or not (_joins(text[end]) or text[end - 1] == "\u200d"):
            break
        end -= 1
    return text[:end] + "…"


def _joins(char: str) -> bool:
    """Whether a character changes the one before it: an accent, a variation, a joiner, a skin tone."""
    return char == "\u200d" or "\U0001f3fb" <= char <= "\U0001f3ff" or unicodedata.category(char).startswith("M")


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


def shorten_key(key: str, limit: int) -> str:
    """The key within a vendor's limit. Two long keys that differ only at their ends stay different."""
    return key if len(key) <= limit else f"{key[: limit - 28]}-{marker(key)}"


def marker(key: str) -> str:
    """An idempotency key as one short word: in a ticket or a comment, it shows which notification wrote it."""
    return f"tocsin-{hashlib.sha256(key.encode()).hexdigest()[:20]}"
