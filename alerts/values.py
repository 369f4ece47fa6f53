"""Parses single values of a body into the types of an Alert; an unusable value becomes nothing."""

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

NAME_CHARS = 255  # Arize's own limit on a monitor's name
TEXT_CHARS = 1000
LABELS = 64
MAX_SECONDS = 10 * 365 * 86_400

_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?")
_EPOCH_SECONDS = range(946_684_800, 4_102_444_800)  # 2000 to 2100
_EPOCH_MILLIS = range(946_684_800_000, 4_102_444_800_000)
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"  # needed to write several languages and emoji
_STACKED_MARKS = re.compile(r"(?:(?<=[\u0300-\u036f]{3})[\u0300-\u036f])+")
"""Combining marks after three others, which would cover the lines around; no language stacks more than three."""


def clean(value: str, limit: int) -> str:
    """One line of text, without characters that change how the text around it is displayed."""
    if not (value.isascii() and value.isprintable()):
        value = "".join(
            " "
            if unicodedata.category(char) in {"Cc", "Zl", "Zp"}
            else ""
            if unicodedata.category(char) in _UNSAFE_CATEGORIES and char not in _JOINERS
            else char
            for char in value
        )
        value = _STACKED_MARKS.sub("", value)
    value = " ".join(value.split())
    return value if len(value) <= limit else value[: limit - 1].rstrip() + "…"


def text(value: Any, limit: int = NAME_CHARS) -> str:
    """A string or number as text; anything else becomes empty."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return clean(value, limit) if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    """A finite float from a number, or from text such as ``0.31``, ``1,250`` or ``31 %``."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    if not isinstance(value, str) or len(value) > 100:
        return None
    digits = (
        value.strip().replace(",", "")
        if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", value.strip())
        else value.strip()
    )
    is_percentage = digits.endswith("%")
    digits = digits.removesuffix("%").rstrip()
    if not _NUMBER.fullmatch(digits):
        return None
    result = float(digits)
    if is_percentage:
        result /= 100
    return result if math.isfinite(result) else None


def moment(value: Any) -> datetime | None:
    """A time in UTC from ISO 8601 text or Unix seconds or milliseconds (as number or text)."""
    if isinstance(value, str):
        stripped = value.strip()
        if stripped and len(stripped) <= 40 and not _NUMBER.fullmatch(stripped):
            try:
                parsed = datetime.fromisoformat(stripped)
                return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
            except (ValueError, OverflowError):
                return None
    seconds = number(value)
    if seconds is None:
        return None
    if int(seconds) in _EPOCH_MILLIS:
        seconds /= 1000
    return datetime.fromtimestamp(seconds, UTC) if int(seconds) in _EPOCH_SECONDS else None


def seconds(value: Any) -> int | None:
    found = number(value)
    return int(found) if found is not None and 0 <= found <= MAX_SECONDS else None


def snake(value: Any) -> str:
    """``EMBEDDING_DRIFT``, ``Error Rate`` and ``errorRate`` as ``embedding_drift``, ``error_rate``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text(value))
    return re.sub(r"[^0-9a-z%.]+", "_", words.casefold()).strip("_")


def web_address(value: Any) -> str:
    """An http(s) URL, or nothing: a truncated URL would be a wrong one."""
    address = value.strip() if isinstance(value, str) else ""
    if len(address) > 2000 or not re.fullmatch(r"https?://[!-~]+", address) or re.search(r"[<>\"'`\\|^{}]", address):
        return ""
    return address


def labels(value: Any) -> dict[str, str]:
    """A map of texts, from a map, ``["a:b", "c=d"]``, ``"a=b, c=d"`` or ``[{"name": …, "value": …}]``."""
    found: dict[str, str] = {}
    if isinstance(value, str):
        value = [part for part in re.split(r"[,;]", value) if part.strip()]
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[Any, Any]", value).items():
            found[text(key)] = _label_text(item)
    elif isinstance(value, list):
        for entry in cast("list[Any]", value):
            if isinstance(entry, Mapping):
                pair = cast("Mapping[Any, Any]", entry)
                found[text(pair.get("name", pair.get("key")))] = _label_text(pair.get("value", ""))
            else:
                key, _, item = re.sub(r"[=:]", "\0", text(entry), count=1).partition("\0")
                found[key.strip()] = item.strip()
    return dict([(key, item) for key, item in found.items() if key][:LABELS])


def _label_text(value: Any) -> str:
    if isinstance(value, list):
        return clean(", ".join(text(item) for item in cast("list[Any]", value)), NAME_CHARS)
    if isinstance(value, bool):
        return "true" if value else "false"
    return text(value)
