"""Pydantic's errors reworded for the authors of policies: what was found, what is allowed, what was probably meant."""

import difflib
from types import UnionType
from typing import Any, Union, get_args, get_origin

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
                return f"found {_shown(found)}, which does not have the form of this key (see the policy's reference)"
            return (
                f"found {_shown(found)}; a name has at most 63 lower-case letters, digits, - and _, and begins with a "
                "letter or a digit"
            )
        case "value_error":
            return error["msg"].removeprefix(
                "Value error, "
            )  # the message contains the value unless it may be a secret
        case _ if kind in _NEEDED:
            return f"found {_shown(found)}; {_NEEDED[kind]} is needed"
        case _:
            message = error["msg"]
            return f"found {_shown(found)}; {message[0].lower()}{message[1:]}"


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
    return list(_by_key(current)) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _by_key(model: type[BaseModel]) -> dict[str, Any]:
    """The fields by the key that a file uses."""
    return {field.alias or name: field for name, field in model.model_fields.items()}
