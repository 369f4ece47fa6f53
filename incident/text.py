"""Text types of messages, and the wording of numbers.

Whatever an alert, a person or a policy wrote is converted to one of these types before a destination sees it. A
vendor's own markup is left in place: each destination sends it as plain text, or escapes it.
"""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator

from alerts import clean, web_address

LINE_CHARS, TEXT_CHARS = 2_000, 4_000


def counted(count: int, singular: str, plural: str = "") -> str:
    """``1 alert``, ``2 alerts``; ``plural`` is needed if it is not the singular with an s."""
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"


def clock_text(at: datetime | None) -> str:
    """``2026-11-27 09:15:00 UTC``; a time without ``tzinfo`` is of an unknown time zone."""
    if at is None:
        return "an unknown time"
    return f"{at:%Y-%m-%d %H:%M:%S} {'UTC' if at.tzinfo else 'of an unknown time zone'}"


def _line(text: str) -> str:
    return clean(text, LINE_CHARS)


def _required_line(text: str) -> str:
    """Vendors reject an empty value, even when the sender wrote nothing printable."""
    return _line(text) or "(no printable text)"


def _text(text: str) -> str:
    lines = [clean(line, TEXT_CHARS) for line in text[: 4 * TEXT_CHARS].splitlines()]
    whole = "\n".join(lines).strip()
    return whole if len(whole) <= TEXT_CHARS else whole[: TEXT_CHARS - 1].rstrip() + "…"


Line = Annotated[str, AfterValidator(_line)]
"""One line without control and direction-changing characters, truncated to 2,000 characters."""
RequiredLine = Annotated[str, AfterValidator(_required_line)]
"""A line that is never empty."""
Text = Annotated[str, AfterValidator(_text)]
"""Several lines, at most 4,000 characters together."""
WebAddress = Annotated[str, AfterValidator(web_address)]
"""An http(s) URL, or an empty string: an invalid URL must not stop the message that contains it."""
