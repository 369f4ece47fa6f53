"""A decision's fields as text. The format follows from the type, so a new field needs no entry here."""

from typing import Any, cast

from policy import Decision, Target, format_duration
from policy.rewrite import fields_of


def field_texts(decision: Decision) -> dict[str, str]:
    """Every field of a decision as text, by its name; empty if the field has no value."""
    return {name: format_field(getattr(decision, name), is_seconds) for name, is_seconds in fields_of(Decision).items()}


def format_field(value: Any, is_seconds: bool = False) -> str:
    """``15m``, ``yes``, ``ai-secondary, managers``; empty for None, False and empty values."""
    match value:
        case None | False:
            return ""
        case True:
            return "yes"
        case Target():
            return value.name
        case int() | float():
            return format_duration(value) if is_seconds else f"{value:g}"
        case str():
            return value
        case tuple():
            return ", ".join(format_field(item, is_seconds) for item in cast("tuple[Any, ...]", value))
        case dict():
            return ", ".join(f"{key} {format_field(item)}" for key, item in cast("dict[str, Any]", value).items())
        case _:
            fields = fields_of(value.__class__)
            texts = (format_field(getattr(value, name), is_seconds) for name, is_seconds in fields.items())
            return " ".join(text for text in texts if text)
