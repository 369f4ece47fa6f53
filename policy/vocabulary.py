"""The names that a condition may use, and what type each has."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from alerts import Alert
from policy.decision import TIERS, IncidentFacts
from policy.near import near, nearest
from policy.schema import ModelConfig

KINDS = (
    "drift",
    "performance",
    "data_quality",
    "custom_metric",
    "tracing",
    "evaluation",
    "cost",
    "business",
)
"""What ``alert.kind`` is, unless a monitor's own tag ``kind`` says otherwise."""


class Type(StrEnum):
    """A type as a message names it."""

    TEXT = "text"
    NUMBER = "a number"
    WHOLE = "a whole number"
    TRUTH = "true or false"
    MOMENT = "a time"
    SPAN = "a duration"
    LABELS = "a map of texts"
    NUMBERS = "a map of numbers"
    LIST = "a list"
    ANY = "of any type"


_HIDDEN = frozenset({"raw", "identity", "event_id", "drill"})
_FROM_PYTHON: dict[Any, Type] = {
    str: Type.TEXT,
    float: Type.NUMBER,
    int: Type.NUMBER,  # a condition sees every number as a double: 5 and 5.0 compare alike
    bool: Type.TRUTH,
    datetime: Type.MOMENT,
    dict[str, str]: Type.LABELS,
    dict[str, float]: Type.NUMBERS,
}


def _types(model: type[BaseModel], hidden: frozenset[str] = frozenset()) -> dict[str, Type]:
    found: dict[str, Type] = {}
    for name, field in model.model_fields.items():
        annotation: Any = field.annotation
        if get_origin(annotation) in (Union, UnionType):
            annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
        if get_origin(annotation) is Literal:
            annotation = str
        if name not in hidden and annotation in _FROM_PYTHON:
            found[name] = _FROM_PYTHON[annotation]
    return found


ALERT = _types(Alert, _HIDDEN)
INCIDENT = _types(IncidentFacts)
MODEL = _types(ModelConfig)


@dataclass(frozen=True)
class Vocabulary:
    """The names, types and values of one policy's conditions."""

    slo: frozenset[str]
    """The objectives that a model of the catalogue, or the defaults, sets."""
    values: Mapping[str, tuple[str, ...]]
    """By path: the texts that the field can have, as far as the policy knows."""

    @classmethod
    def of(cls, models: Mapping[str, ModelConfig], default: ModelConfig) -> "Vocabulary":
        entries = (default, *models.values())
        stated = {
            f"model.{name}": tuple({getattr(one, name) for one in entries}) for name in ("team", "owner", "service")
        }
        return cls(
            slo=frozenset(key for entry in entries for key in entry.slo),
            values={
                **stated,
                "alert.model": tuple(models),
                "alert.kind": KINDS,
                "alert.status": ("triggered", "cleared", "no_data"),
                "incident.tier": TIERS,
            },
        )

    def fields(self, root: str) -> Mapping[str, Type]:
        return {"alert": ALERT, "model": MODEL, "incident": INCIDENT}[root]

    @property
    def roots(self) -> tuple[str, ...]:
        return ("alert", "model", "incident", "now")

    def doubt(self, path: str, text: str) -> tuple[str, bool] | None:
        """What is odd about comparing a field with this text, and whether it is certain to be a mistake."""
        known = self.values.get(path)
        if known is None or text in known or not text:
            return None
        if path == "alert.model":
            if any(text.casefold() == name.casefold() for name in known):
                return None
            close = nearest(text, known, 0.8)
            if close:
                return f"{text!r} is no model of the catalogue: did you mean {close}?", True
            return f"{text!r} is no model of the catalogue", False
        if path == "alert.kind":
            close = nearest(text, known, 0.7)
            hint = f": did you mean {close}?" if close else f"; there are {', '.join(known)}, and what a tag kind says"
            return f"{text!r} is no kind of alert{hint}", bool(close)
        stated = tuple(value for value in known if value)
        what = path.removeprefix("model.")
        if path.startswith("model."):
            return f"no model of the catalogue has the {what} {text!r}{near(text, stated)}", True
        return f"{path} is never {text!r}{near(text, stated)}", True
