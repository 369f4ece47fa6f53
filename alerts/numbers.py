"""Numbers as senders write them, read exactly: JSON's own, and texts such as ``6200 ms``, ``−0.4``, ``0,310``."""

import re
import sys
import unicodedata
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

MAX_FLOAT = sys.float_info.max
_MAX_TEXT = 100
_MAX_DIGITS = 300
"""Of a whole number; a longer one is beyond what a float holds."""
_PLAIN_DIGITS = 40
_SHORT = 16
"""A float holds every number of up to fifteen digits as it is written."""
_MINUS = str.maketrans(dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d", "-") | {"\u066a": "%"})
_DECIMAL_SIGNS = str.maketrans({"\u066b": ".", "\u066c": ",", "\uff0c": ",", "\uff0e": "."})
"""The decimal and thousands signs of Arabic, and those of full width."""
_NUMBER = re.compile(
    r"(?P<before>[^\w\s.,+%-]{1,3} ?|[A-Z]{3} )?(?P<sign>[+-]?) ?(?P<currency>[^\w\s.,+%-]{1,3} ?)?"
    r"(?P<digits>\d[\d.,'\u2019_ ]*|[.,]\d+)(?P<exponent>[eE][+-]?\d{1,6})? ?(?P<unit>[^\d\s.,'+-][^\d]{0,29})?"
)
_GROUPS = r"[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}"
_INFINITE = re.compile(r"([+-]?)(?:inf|infinity|\u221e)", re.IGNORECASE)
_MULTIPLES = {"k": 1e3, "K": 1e3, "M": 1e6, "bn": 1e9, "B": 1e9}
_MILLISECONDS = {
    **dict.fromkeys(("ns", "nanos", "nanoseconds"), 1e-6),
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs", "micros", "microseconds"), 1e-3),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), 1.0),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1e3),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60e3),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600e3),
}
_PERCENT = frozenset({"%", "percent", "pct", "per cent"})


class ExactFloat(float):
    """A number of a body that a float does not hold exactly; ``exact`` is the number as it was written."""

    exact: str

    def __new__(cls, literal: str) -> "ExactFloat":
        """``literal`` is a number of JSON. One that is too large becomes the largest float, so that it stays large."""
        number = super().__new__(cls, _clamped(float(literal)))
        number.exact = literal
        return number


class Quantity(NamedTuple):
    """A number with its unit. ``ambiguous`` is its other reading: ``1,310`` is 1310, or 1.31."""

    number: float
    unit: str = ""
    ambiguous: float | None = None


def read_float(literal: str) -> float:
    """A number of JSON with a fraction or an exponent."""
    number = float(literal)
    if len(literal) <= _SHORT and "e" not in literal and "E" not in literal:
        return number
    try:
        exact = Decimal(repr(number)) == Decimal(literal)
    except InvalidOperation:  # an exponent beyond those of Decimal
        exact = False
    return number if exact else ExactFloat(literal)


def read_int(literal: str) -> float | int:
    """A whole number of JSON."""
    return int(literal) if len(literal) <= _MAX_DIGITS else ExactFloat(literal)


def number_text(number: float) -> str:
    """A number as text, exactly: the same for equal numbers, however they were written. ``1e20`` has 21 digits.

    >>> number_text(1234567.0), number_text(0.1), number_text(1e300)
    ('1234567', '0.1', '1e300')
    """
    literal = number.exact if isinstance(number, ExactFloat) else repr(number)
    found = re.fullmatch(r"([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?", literal)
    if found is None:  # no finite number
        return literal
    sign, whole, fraction, stated = found.groups()
    digits = (whole + fraction).lstrip("0")
    kept = digits.rstrip("0")
    if kept and len(stated or "") > _PLAIN_DIGITS:
        return f"{sign}{whole}.{fraction}e{stated}"
    exponent = int(stated or "0") - len(fraction) if kept else 0
    exponent += len(digits) - len(kept)
    sign = "-" if sign == "-" and kept else ""
    if not kept:
        return "0"
    if exponent >= 0 and len(kept) + exponent <= _PLAIN_DIGITS:
        return sign + kept + "0" * exponent
    if exponent < 0 and len(kept) <= _PLAIN_DIGITS and -exponent <= _PLAIN_DIGITS:
        padded = kept.rjust(1 - exponent, "0")
        return f"{sign}{padded[:exponent]}.{padded[exponent:]}"
    return f"{sign}{kept}e{exponent}"


def quantity(value: Any) -> Quantity | None:
    """A number, or a text with one: ``0.31``, ``31 %``, ``6200 ms``, ``$1,250.50``, ``−0.4``, ``1e999``.

    A comma with one group of other than three digits, or after a zero, is a decimal comma. ``1,310`` is ambiguous.
    Infinity is the largest float: it is beyond every threshold.

    Returns:
        The number and its unit as written; None for anything else, such as ``many`` or ``10 of 20``.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return Quantity(float(value)) if abs(value) < 10**308 else Quantity(MAX_FLOAT if value > 0 else -MAX_FLOAT)
    if isinstance(value, float):
        return None if value != value else Quantity(_clamped(float(value)))
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        return None
    written = _plain(value)
    if infinite := _INFINITE.fullmatch(written):
        return Quantity(-MAX_FLOAT if infinite[1] == "-" else MAX_FLOAT)
    found = _NUMBER.fullmatch(written)
    if found is None:
        return None
    digits = _point_decimal(found["digits"].rstrip())
    if digits is None:
        return None
    unit = (found["unit"] or found["before"] or found["currency"] or "").strip()
    signed = f"{found['sign']}{{}}{found['exponent'] or ''}"
    readings = [_clamped(float(signed.format(one))) * _MULTIPLES.get(unit, 1.0) for one in digits]
    return Quantity(_clamped(readings[0]), unit, readings[1] if len(readings) > 1 else None)


def is_percent(unit: str) -> bool:
    """Whether a unit is that of percentages."""
    return unit.casefold() in _PERCENT


def milliseconds(unit: str) -> float | None:
    """How many milliseconds a unit of time has; None for any other unit."""
    return _MILLISECONDS.get(unit) or _MILLISECONDS.get(unit.casefold())


def has_decimal_comma(value: Any) -> bool:
    """Whether a text writes a decimal comma without doubt: ``0,05``, ``1.250,5``."""
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        return False
    found = _NUMBER.fullmatch(_plain(value))
    digits = found["digits"].rstrip() if found else ""
    return (
        "," in digits
        and (readings := _point_decimal(digits)) is not None
        and len(readings) == 1
        and (digits.rfind(",") > digits.rfind(".") and not re.fullmatch(_GROUPS, digits))
    )


def _plain(value: str) -> str:
    """The text with ASCII digits, signs and spaces, without invisible characters."""
    shown = value.translate(_MINUS).translate(_DECIMAL_SIGNS)
    characters: list[str] = []
    for char in shown:
        category = unicodedata.category(char)
        if category == "Nd":
            characters.append(str(unicodedata.digit(char)))
        elif category == "Zs":
            characters.append(" ")
        elif category not in {"Cc", "Cf"} or char in "\t\n\r":
            characters.append(char)
    return " ".join("".join(characters).split())


def _point_decimal(digits: str) -> tuple[str, ...] | None:
    """Digits with separators as a number of JSON; two of them if both readings are possible, the larger first."""
    if re.fullmatch(r"\d+(?:[ '\u2019_]\d{3})+(?:[.,]\d+)?", digits):  # spaces and quotes only separate groups
        digits = re.sub(r"[ '\u2019_]", "", digits)
        return (digits.replace(",", "."),)
    if re.search(r"[ '\u2019_]", digits):
        return None
    if re.fullmatch(r"\d*\.?\d*", digits) and digits != ".":
        return (digits,)
    if re.fullmatch(rf"{_GROUPS}(?:\.\d*)?", digits):
        larger = digits.replace(",", "")
        one_comma = digits.count(",") == 1 and "." not in digits
        return (larger, digits.replace(",", ".")) if one_comma else (larger,)
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+", digits) or re.fullmatch(r"\d{1,3}(?:\.\d{3}){2,}", digits):
        return (digits.replace(".", "").replace(",", "."),)
    if re.fullmatch(r"\d*,\d+", digits):
        return (digits.replace(",", "."),)
    return None


def _clamped(number: float) -> float:
    return max(-MAX_FLOAT, min(MAX_FLOAT, number))
