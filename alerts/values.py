"""Parses single values of a body into the types of an Alert; an unusable value becomes nothing."""

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

from alerts.numbers import is_percent, milliseconds, number_text, quantity

NAME_CHARS = 255  # Arize's own limit on a monitor's name
TEXT_CHARS = 1000
LABELS = 64
MAX_SECONDS = 10 * 365 * 86_400

_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?")
_DATE = re.compile(r"\d{4}-?\d{2}-?\d{2}|\d{4}-?W\d{2}(?:-?\d)?")
_EPOCH_SECONDS = range(946_684_800, 4_102_444_800)  # 2000 to 2100
_EPOCH_MILLIS = range(946_684_800_000, 4_102_444_800_000)
_HUMP, _NO_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])"), re.compile(r"[^0-9a-z%.]+")
_JOINERS = "\u200c\u200d"  # needed to write several languages and emoji
_STACKED_MARKS = re.compile(r"([\u0300-\u036f]{3})[\u0300-\u036f]+")
"""Combining marks after three others would cover the lines around; no language stacks more than three."""


class _Safe(dict[int, int | str]):
    """A table for ``str.translate``: what stands for a character in ``clean``. Each is looked up once."""

    def __missing__(self, code: int) -> int | str:
        category = unicodedata.category(chr(code))
        safe: int | str = code
        if category in {"Cc", "Zl", "Zp"}:
            safe = " "
        elif category in {"Cf", "Cs"} and chr(code) not in _JOINERS:
            safe = ""
        if code < _KEPT_CODES:
            self[code] = safe
        return safe


_SAFE = _Safe()
_KEPT_CODES = 0x20000  # all living scripts and emoji; the table takes 13 MB at most


def clean(value: str, limit: int) -> str:
    """One line of text, without characters that change how the text around it is displayed."""
    return _clean_again(value, limit) if len(value) <= _SHORT else _clean(value, limit)


def _clean(value: str, limit: int) -> str:
    if not (value.isascii() and value.isprintable()):
        value = _STACKED_MARKS.sub(r"\1", value.translate(_SAFE))
    value = " ".join(value.split())
    return value if len(value) <= limit else _cut(value, limit - 1).rstrip(" ,;:{[(·-") + "…"


_SHORT = 100
_clean_again = lru_cache(maxsize=4096)(_clean)
"""Of the few names that bodies state again and again."""


def _cut(value: str, end: int) -> str:
    """The text's beginning, up to the end of a word if one ends near, and never within a character of several codes."""
    space = value.rfind(" ", end * 4 // 5, end + 1)
    if space > 0:
        return value[:space]
    while end > 1 and (
        unicodedata.combining(value[end])
        or unicodedata.category(value[end]) in {"Mn", "Me", "Mc", "Sk"}
        or "\u200d" in value[end - 1 : end + 1]
        or "\U0001f1e6" <= value[end] <= "\U0001f1ff"  # letters of a flag
    ):
        end -= 1
    return value[:end]


def text(value: Any, limit: int = NAME_CHARS) -> str:
    """A string or number as text; anything else becomes empty."""
    if value is None or value == "" or isinstance(value, bool):
        return ""
    if isinstance(value, int | float):
        return clean(number_text(value), limit)
    return clean(value, limit) if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    """A finite float from a number, or from text such as ``0.31``, ``1,250`` or ``31 %``, which is 0.31."""
    found = quantity(value)
    if found is None:
        return None
    return found.number / 100 if is_percent(found.unit) else found.number


def is_percentage(name: str) -> bool:
    """Whether the name of a metric says that its values are from 0 to 100."""
    words = name.casefold().replace("_", " ")
    return bool(re.search(r"(?<![a-z])(pct|percent|percentage)(?![a-z])|%", words))


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


def instant(value: Any) -> datetime | None:
    """Like ``moment``, for when something happened: a date without a time of day does not say that."""
    return None if is_date(value) else moment(value)


def is_local(value: Any) -> bool:
    """Whether a text is a date and a time of day without a time zone. ``moment`` reads it as UTC."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value.strip()):
        return False
    try:
        return datetime.fromisoformat(value.strip()).tzinfo is None
    except ValueError:
        return False


def is_date(value: Any) -> bool:
    """Whether a text is a date without a time of day."""
    return isinstance(value, str) and _DATE.fullmatch(value.strip()) is not None


def seconds(value: Any) -> int | None:
    """Whole seconds from a number, or from text such as ``300 s`` or ``5 min``."""
    found = quantity(value)
    number_of = found.number * (milliseconds(found.unit) or 1000) / 1000 if found is not None else -1
    return int(number_of) if 0 <= number_of <= MAX_SECONDS else None


def snake(value: Any) -> str:
    """``EMBEDDING_DRIFT``, ``Error Rate`` and ``errorRate`` as ``embedding_drift``, ``error_rate``."""
    return _snake(text(value)) if value is not None and value != "" else ""


@lru_cache(maxsize=4096)
def _snake(words: str) -> str:
    """Of the few words that bodies state again and again: names of metrics, statuses, operators."""
    words = _HUMP.sub("_", words)
    return _NO_WORD.sub("_", words.casefold()).strip("_")


def global_id(value: str) -> tuple[str, ...]:
    """The parts of one of Arize's global ids, which are base64 of ``Monitor:61000:salt``; empty for any other text."""
    if not 12 <= len(value) <= 200 or not re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", value):
        return ()
    try:
        decoded = base64.b64decode(value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ()
    parts = decoded.split(":")
    return tuple(parts) if len(parts) in (2, 3) and parts[0].isalpha() and parts[1].isdigit() else ()


def web_address(value: Any) -> str:
    """An http(s) URL, or nothing: a truncated URL would be a wrong one."""
    address = value.strip() if isinstance(value, str) else ""
    if len(address) > 2000 or not re.fullmatch(r"https?://[!-~]+", address) or re.search(r"[<>\"'`\\|^{}]", address):
        return ""
    return address


def labels(value: Any, *, join: bool = False) -> dict[str, str]:
    """A map of texts, from a map, ``["a:b", "c=d"]``, ``"a=b, c=d"`` or ``[{"name": …, "value": …}]``.

    Of more than 64, those that come first in the alphabet are kept, so that the sender's order changes nothing.

    Args:
        value: the map.
        join: of equal keys of a list, every value counts; otherwise the last.
    """
    found: dict[str, str] = {}

    def add(key: str, item: str) -> None:
        found[key] = f"{found[key]}, {item}" if join and key in found else item

    if isinstance(value, str):
        value = [part for part in re.split(r"[,;]", value) if part.strip()]
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[Any, Any]", value).items():
            found[text(key)] = label_text(item)
    elif isinstance(value, list):
        for entry in cast("list[Any]", value):
            if isinstance(entry, Mapping):
                pair = cast("Mapping[Any, Any]", entry)
                name = pair.get("name", pair.get("key"))
                if "value" in pair:
                    add(text(name), label_text(pair["value"]))
                    continue
                entry = name  # a tag of Arize has a name only, such as "team:legal-ai"
            key, _, item = re.sub(r"[=:]", "\0", text(entry), count=1).partition("\0")
            add(key.strip(), item.strip())
    kept = [(key, clean(item, NAME_CHARS)) for key, item in found.items() if key]
    return dict(kept if len(kept) <= LABELS else sorted(kept)[:LABELS])


def label_text(value: Any) -> str:
    """A label's value as text; the items of a list are joined by commas, and an object is JSON."""
    if isinstance(value, list):
        return clean(", ".join(label_text(item) for item in cast("list[Any]", value)), NAME_CHARS)
    if isinstance(value, Mapping):
        return clean(json.dumps(value, ensure_ascii=False, sort_keys=True), NAME_CHARS)
    if isinstance(value, bool):
        return "true" if value else "false"
    return text(value)
