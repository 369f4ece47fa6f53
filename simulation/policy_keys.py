"""Every key of a policy as text, by its path, and the keys in which two policies differ.

The keys come from the schema's own models, so one that is added later is compared without further code.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

from policy.decide import Policy
from policy.durations import format_duration
from policy.rewrite import fields_of
from policy.schema import PolicyFile

MAX_CHARS = 200


@dataclass(frozen=True)
class KeyChange:
    """One key; a text is empty if the policy does not have the key."""

    path: str
    before: str
    after: str


def policy_keys(policy: Policy) -> dict[str, str]:
    """The value of every key, with defaults, by its path: ``destinations.pager.type``, ``rules.errors.when``.

    Rules and mappings are named and not counted, so that one more does not change all others; their order is the key
    ``rules.order``.
    """
    sections = {name: getattr(policy.file, name) for name in PolicyFile.model_fields if name != "destinations"}
    return dict(_leaves({"destinations": dict(policy.destinations), **sections}, ""))


def changed_keys(old: Policy, new: Policy) -> tuple[KeyChange, ...]:
    """The keys whose values differ, in the order of the policies."""
    before, after = policy_keys(old), policy_keys(new)
    return tuple(
        KeyChange(path, before.get(path, ""), after.get(path, ""))
        for path in dict.fromkeys([*before, *after])
        if before.get(path, "") != after.get(path, "")
    )


def _leaves(value: Any, path: str, *, is_seconds: bool = False) -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):
        kind = type(value)
        for name, seconds in fields_of(kind).items():
            key = kind.model_fields[name].alias or name
            yield from _leaves(getattr(value, name), f"{path}.{key}", is_seconds=seconds)
    elif isinstance(value, dict):
        for key, item in cast("Mapping[str, Any]", value).items():
            yield from _leaves(item, f"{path}.{key}" if path else key, is_seconds=is_seconds)
    elif isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in cast("tuple[Any, ...]", value)):
        yield from _listed(cast("tuple[Any, ...]", value), path)
    elif text := _text(value, is_seconds=is_seconds):
        yield path, text


def _listed(items: Sequence[Any], path: str) -> Iterator[tuple[str, str]]:
    named = all(hasattr(item, "name") for item in items)
    if named:
        yield f"{path}.order", ", ".join(str(item.name) for item in items)
    for index, item in enumerate(items):
        yield from _leaves(item, f"{path}.{item.name}" if named else f"{path}[{index}]")


def _text(value: Any, *, is_seconds: bool) -> str:
    match value:
        case None | "":
            return ""
        case bool():
            return str(value).lower()
        case int() | float() if is_seconds:
            return format_duration(value)
        case float():
            return f"{value:g}" if abs(value) < 1e6 else repr(value)
        case tuple():
            return ", ".join(_text(item, is_seconds=is_seconds) for item in cast("tuple[Any, ...]", value)) or "none"
        case _:
            return str(value)
