"""Pydantic's errors reworded for the authors of policies: what was found, what is allowed, what was probably meant."""

import difflib
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin

from pydantic import BaseModel

from policy.authoring.secret_checks import secret_kind
from policy.authoring.suggestions import closest, did_you_mean
from policy.schema import KEY_ALIASES, NAME

_NEEDED = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "tuple_type": "a list, such as [one, two]",
    "list_type": "a list, such as [one, two]",
    "dict_type": "a map of keys and values",
    "model_type": "a map of keys and values",
    "model_attributes_type": "a map of keys and values",
    "url_type": "a URL",
}


def humanize(error: Any, model: type[BaseModel]) -> str:
    """One of ``ValidationError.errors()`` as a sentence without a full stop."""
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    place: tuple[str | int, ...] = error["loc"]
    match kind:
        case "extra_forbidden":
            return f"unknown key{_suggest_key(str(place[-1]), fields_at(model, place[:-1]))}"
        case "missing":
            return "is missing"
        case "literal_error":
            allowed = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
            return f"found {_shown(found)}{did_you_mean(str(found), allowed)}"
        case "string_pattern_mismatch":
            if context.get("pattern") != NAME:
                return f"found {_shown(found)}, which does not fit{_described(model, place)}"
            return (
                f"found {_shown(found)}; a name has at most 63 lower-case letters, digits, - and _, and begins with a "
                "letter or a digit"
            )
        case "value_error":
            message = str(error["msg"])
            if message.startswith("value is not a valid email address"):
                return f"found {_shown(found)}, which is no e-mail address, such as ops@example.com"
            return message.removeprefix("Value error, ")  # it contains the value unless it may be a secret
        case "url_parsing" | "url_syntax_violation" | "url_scheme" | "url_too_long":
            return f"found {_shown(found)}; an address such as https://jira.example.com is needed"
        case "too_short" | "too_long" | "string_too_short" | "string_too_long":
            return f"found {_length(found)}; {_bound(context)} needed"
        case "greater_than_equal" | "less_than_equal" | "greater_than" | "less_than":
            return f"found {_shown(found)}; a number of {_limit(context)} is needed"
        case "string_type" if isinstance(found, bool | int | float):
            return f"found {_shown(found)}; text is needed: write it in quotes"
        case _ if kind in _NEEDED:
            return f"found {_shown(found)}; {_NEEDED[kind]} is needed"
        case _:
            message = error["msg"]
            return f"found {_shown(found)}; {message[0].lower()}{message[1:]}"


def _length(found: Any) -> str:
    if isinstance(found, str):
        return f"a text of {len(found)} characters" if found else "an empty text"
    return (
        f"a list of {len(cast('list[Any]', found))}" if isinstance(found, list | tuple) and found else "an empty list"
    )


def _bound(context: dict[str, Any]) -> str:
    least, most = context.get("min_length"), context.get("max_length")
    return f"at least {least} is" if least is not None else f"at most {most} are"


def _limit(context: dict[str, Any]) -> str:
    words = {"ge": "at least", "gt": "over", "le": "at most", "lt": "below"}
    return " and ".join(f"{words[key]} {value:g}" for key, value in context.items() if key in words)


def _described(model: type[BaseModel], place: tuple[str | int, ...]) -> str:
    """What the key holds, by its description in the schema: it says which forms are allowed."""
    path = place
    while path and isinstance(path[-1], int):
        path = path[:-1]
    known = dict(zip(fields_at(model, path[:-1]), descriptions_at(model, path[:-1]), strict=True)) if path else {}
    text = known.get(str(path[-1]), "") if path else ""
    return f". {text[:1].upper()}{text[1:].rstrip('.')}" if text else " (see the policy's reference)"


def _suggest_key(name: str, known: list[str]) -> str:
    """The most similar key, or the key that other tools call by this name."""
    if not closest(name, known, 0.75):
        alias = difflib.get_close_matches(name, KEY_ALIASES, 1, 0.75)
        if alias and KEY_ALIASES[alias[0]] in known:
            return f": did you mean {KEY_ALIASES[alias[0]]}?"
    return did_you_mean(name, known)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if kind := secret_kind(text):
        return f"what looks like {kind}"
    return f"'{text[:60]}'" if isinstance(value, str) else text[:60]


def fields_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """The keys that are allowed at a path, found by following the model's annotations."""
    return list(_fields(model, path))


def descriptions_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """The descriptions of these keys, in the same order."""
    return [field.description or "" for field in _fields(model, path).values()]


def _fields(model: type[BaseModel], path: tuple[str | int, ...]) -> dict[str, Any]:
    current: Any = model
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = _by_key(current).get(str(part))
            current = field.annotation if field else None
        else:
            arguments = get_args(current)
            # A map is followed to its values, a list to its items.
            current = (
                arguments[1]
                if get_origin(current) is dict
                else next((argument for argument in arguments if argument is not ...), None)
            )
        if get_origin(current) in (Union, UnionType):
            current = next((arg for arg in get_args(current) if arg is not type(None)), None)
    return _by_key(current) if isinstance(current, type) and issubclass(current, BaseModel) else {}


def _by_key(model: type[BaseModel]) -> dict[str, Any]:
    """The fields by the key that a file uses."""
    return {field.alias or name: field for name, field in model.model_fields.items()}
