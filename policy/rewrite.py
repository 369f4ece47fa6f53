"""Changes durations and targets wherever they are nested in a value, found by the types of the fields.

A new field with one of these types, such as a second fallback of a decision, is covered without further code.
"""

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from policy.decision import Target
from policy.durations import SECONDS

T = TypeVar("T")


def rewrite(
    value: T,
    *,
    seconds: Callable[[float], float] = lambda old: old,
    target: Callable[[Target], Target] = lambda old: old,
) -> T:
    """A copy of a model, dataclass, tuple or dict in which every duration and every target is replaced.

    Args:
        value: What is copied. Parts without a change are shared with the copy.
        seconds: Called with each number whose field has the type ``Seconds`` or ``Duration``.
        target: Called with each ``Target``.
    """
    return cast("T", _Rewriter(seconds, target).rewrite(value, is_seconds=False))


def holds_seconds(hint: Any) -> bool:
    """Whether a type hint contains ``Seconds`` or ``Duration``."""
    return has_mark(hint, SECONDS)


def has_mark(hint: Any, mark: object) -> bool:
    """Whether a type hint contains an ``Annotated`` with this mark."""
    if get_origin(hint) is Annotated:
        return mark in hint.__metadata__ or has_mark(hint.__origin__, mark)
    return any(has_mark(argument, mark) for argument in get_args(hint))


@cache
def fields_of(model: Any) -> dict[str, bool]:
    """The fields of a Pydantic model or dataclass, each with whether it holds seconds; empty for any other type."""
    if issubclass(model, BaseModel):
        return {
            name: SECONDS in field.metadata or holds_seconds(field.annotation)
            for name, field in model.model_fields.items()
        }
    if dataclasses.is_dataclass(model):
        hints = get_type_hints(model, include_extras=True)
        return {field.name: holds_seconds(hints[field.name]) for field in dataclasses.fields(model)}
    return {}


@dataclasses.dataclass(frozen=True)
class _Rewriter:
    seconds: Callable[[float], float]
    target: Callable[[Target], Target]

    def rewrite(self, value: Any, *, is_seconds: bool) -> Any:
        match value:
            case Target():
                return self.target(value)
            case bool():
                return value
            case int() | float() if is_seconds:
                return self.seconds(value)
            case tuple():
                items = cast("tuple[Any, ...]", value)
                return tuple(self.rewrite(item, is_seconds=is_seconds) for item in items)
            case dict():
                entries = cast("dict[Any, Any]", value)
                return {key: self.rewrite(item, is_seconds=is_seconds) for key, item in entries.items()}
            case _:
                return self._rewrite_fields(value)

    def _rewrite_fields(self, value: Any) -> Any:
        changed: dict[str, Any] = {}
        for name, is_seconds in fields_of(value.__class__).items():
            old = getattr(value, name)
            new = self.rewrite(old, is_seconds=is_seconds)
            if new != old:
                changed[name] = new
        if not changed:
            return value
        return (
            value.model_copy(update=changed) if isinstance(value, BaseModel) else dataclasses.replace(value, **changed)
        )
