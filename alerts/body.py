"""Reads a request's body as JSON, strictly: an ambiguous or hostile body is refused with the reason.

Python's own parser accepts NaN, Infinity, duplicate keys, lone surrogates and integers of any length. Parsers differ
in how they read those, and a page is lost if two systems read a body differently.
"""

import json
import math
import re
from typing import Any, cast

from alerts.errors import BodyError, TooLargeError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_DIGITS = 19  # of an integer: a signed 64-bit number has no more

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_body(body: bytes) -> dict[str, Any]:
    """Read a JSON object of at most 256 KiB and 32 levels.

    Raises:
        TooLargeError: the body is too large.
        BodyError: the body is not valid JSON; the message names the fault and its place.
    """
    if len(body) > MAX_BYTES:
        raise TooLargeError(f"the body has {len(body):,} bytes; at most {MAX_BYTES:,} are accepted")
    try:
        text = body.decode("utf-8-sig")  # editors on Windows write a byte order mark
    except UnicodeDecodeError as error:
        raise BodyError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            parse_int=_bounded_int,
        )
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise BodyError(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    if not isinstance(value, dict):
        raise BodyError(f"the body must be a JSON object, not {_name_of(value)}")
    return cast("dict[str, Any]", replace_surrogates(value))


def replace_surrogates(value: Any, depth: int = 1) -> Any:
    """The value with lone surrogates replaced, so that UTF-8 can encode it. Raises BodyError if it is too deep."""
    if isinstance(value, str):
        return value if value.isascii() else _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict | list) and depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value)
        return {replace_surrogates(str(key), depth): replace_surrogates(item, depth + 1) for key, item in items.items()}
    if isinstance(value, list):
        return [replace_surrogates(item, depth + 1) for item in cast("list[Any]", value)]
    return value


def _too_deep() -> BodyError:
    return BodyError(f"the body is nested deeper than {MAX_DEPTH} levels")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BodyError(f"the key {key[:60]!r} appears twice in one object")
            seen.add(key)
    return result


def _refuse_constant(name: str) -> Any:
    raise BodyError(f"{name} is not a number in JSON; leave the field out instead")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BodyError(f"the number {text[:30]} is too large")
    return number


def _bounded_int(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise BodyError(f"the integer {text[:12]}… has {len(text)} digits; at most {MAX_DIGITS} are accepted")
    return int(text)


def _name_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    return "an array" if isinstance(value, list) else "a string" if isinstance(value, str) else "a number"
