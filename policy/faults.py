"""Pydantic's faults in the words of a policy's author: what was found, what is allowed, what was probably meant."""

import difflib
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from policy.near import near, nearest
from policy.schema import MEANT, NAME
from policy.secrets import looks_like

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
    "url_type": "an address",
}


def said(fault: Any, model: type[BaseModel]) -> str:
    """One of ``ValidationError.errors()`` as one sentence."""
    kind, found, context = fault["type"], fault["input"], fault.get("ctx", {})
    place: tuple[str | int, ...] = fault["loc"]
    match kind:
        case "extra_forbidden":
            return f"unknown key{_meant(str(place[-1]), fields_at(model, place[:-1]))}"
        case "missing":
            return "is missing"
        case "literal_error":
            allowed = [word.strip("'") for word in str(context["expected"]).replace(" or ", ", ").split(", ")]
            return f"found {_shown(found)}{near(str(found), allowed)}"
        case "string_pattern_mismatch":
            if context.get("pattern") != NAME:
                return f"found {_shown(found)}; it has not the form that this key needs (see the policy's reference)"
            return (
                f"found {_shown(found)}; a name has small letters, digits, - and _, at most 63, and begins with no sign"
            )
        case "value_error":
            return fault["msg"].removeprefix("Value error, ")  # says itself what was found, unless it may be a secret
        case _ if kind in _NEEDED:
            return f"found {_shown(found)}; {_NEEDED[kind]} is needed"
        case _:
            message = fault["msg"]
            return f"found {_shown(found)}; {message[0].lower()}{message[1:]}"


def _meant(name: str, known: list[str]) -> str:
    """The nearest name, by its letters or by what other tools call it."""
    if not nearest(name, known, 0.75):
        elsewhere = difflib.get_close_matches(name, MEANT, 1, 0.75)
        if elsewhere and MEANT[elsewhere[0]] in known:
            return f": did you mean {MEANT[elsewhere[0]]}?"
    return near(name, known)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if looks_like(text):
        return f"what looks like {looks_like(text)}"
    return f"'{text[:60]}'" if isinstance(value, str) else text[:60]


def fields_at(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """The keys that may stand at a path, found by following the model's annotations."""
    current: Any = model
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = _written(current).get(str(part))
            current = field.annotation if field else None
        else:
            arguments = get_args(current)
            # Of a map the values count, of a list its items.
            current = (
                arguments[1]
                if get_origin(current) is dict
                else next((one for one in arguments if one is not ...), None)
            )
        if get_origin(current) in (Union, UnionType):
            current = next((arg for arg in get_args(current) if arg is not type(None)), None)
    return list(_written(current)) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _written(model: type[BaseModel]) -> dict[str, Any]:
    """The fields by the key that an author writes."""
    return {field.alias or name: field for name, field in model.model_fields.items()}
