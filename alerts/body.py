"""Reads a request's body as JSON, as far as it can be read without doubt.

Senders' libraries write NaN and Infinity, integers of any length, other encodings than UTF-8, and keys twice. Whatever
has one meaning is read. Two different values under one key have none: parsers differ in which they take.
"""

import codecs
import json
import re
from typing import Any, cast

from alerts.errors import BodyError, TooLargeError
from alerts.numbers import ExactFloat, read_float, read_int

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_CODECS = re.compile(
    r"(iso8859|cp1?\d{3}|koi8|mac|utf-(16|32)|shift_jis|euc|gb|big5|hz|johab|tis-620|ptcp)[a-z0-9_-]*", re.ASCII
)
"""Codecs of character sets, without those of Python that do something else."""


def read_body(body: bytes, content_type: str = "") -> dict[str, Any]:
    """Read a JSON object of at most 256 KiB and 32 levels.

    Args:
        body: the raw body.
        content_type: the request's, for the character set of a body that is not UTF-8, UTF-16 or UTF-32.

    Raises:
        TooLargeError: the body is too large.
        BodyError: the body is not valid JSON, or no object; the message names the fault and its place.
    """
    value = read_json(body, content_type)
    if not isinstance(value, dict):
        raise BodyError(f"the body must be a JSON object, not {name_of_type(value)}", "no JSON object")
    return cast("dict[str, Any]", value)


def read_json(body: bytes, content_type: str = "") -> Any:
    """Read JSON of any type, with the limits of ``read_body``, and with the same errors.

    NaN is null. A number that no float holds is the largest float, so that it stays beyond every threshold.
    """
    if len(body) > MAX_BYTES:
        raise TooLargeError(f"the body has {len(body):,} bytes; at most {MAX_BYTES:,} are accepted")
    text = _decoded(body, content_type)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object_without_doubt,
            parse_constant=_read_constant,
            parse_float=read_float,
            parse_int=read_int,
        )
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        fault = "not JSON" if text.strip() else "empty body"
        raise BodyError(f"the body is not JSON: {error.msg} at {place}", fault) from None
    is_plain = text.isascii() and "\\u" not in text and text.count("{") + text.count("[") <= MAX_DEPTH
    return value if is_plain else replace_surrogates(value)


def _decoded(body: bytes, content_type: str) -> str:
    """The body as text: in UTF-8, UTF-16 or UTF-32 with or without a byte order mark, or in the stated charset.

    Raises BodyError.
    """
    encoding = json.detect_encoding(body)  # by the byte order mark, or the zeros among the first four bytes
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        fault = error
    stated = _CHARSET.search(content_type)
    try:
        if stated and _CODECS.fullmatch(name := codecs.lookup(stated[1]).name):
            return body.decode(name)
    except (LookupError, UnicodeDecodeError):
        pass
    name = encoding.removesuffix("-sig").upper()
    raise BodyError(f"the body is not {name}: {fault.reason} at byte {fault.start}", f"not {name}") from None


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
    return BodyError(f"the body is nested deeper than {MAX_DEPTH} levels", "nested too deep")


def _object_without_doubt(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. A key may appear twice with the same value. Raises BodyError."""
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen and json.dumps(seen[key]) != json.dumps(value):
                raise BodyError(f"the key {key[:60]!r} appears twice in one object, with two values", "duplicate key")
            seen[key] = value
    return result


def _read_constant(name: str) -> float | None:
    """``NaN``, ``Infinity`` and ``-Infinity``, which Python and others write."""
    return None if name == "NaN" else ExactFloat("-1e999" if name.startswith("-") else "1e999")


def name_of_type(value: object) -> str:
    """What a JSON value is, for messages: ``an array``, ``a string``."""
    if isinstance(value, dict):
        return "an object"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    return "an array" if isinstance(value, list) else "a string" if isinstance(value, str) else "a number"
