"""The names that a condition may use, with the type of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from alerts import Alert
from policy.authoring.suggestions import closest, did_you_mean
from policy.decision import TIERS, IncidentFacts
from policy.meaning.known import ALIASES, KNOWN, PERFORMANCE, fold
from policy.numbers import Number
from policy.schema import MetricConfig, ModelConfig

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
"""The values of ``alert.kind``, unless a monitor's own tag ``kind`` sets another."""


class Type(StrEnum):
    """A type of a condition's expressions; the value is its name in messages."""

    STRING = "text"
    NUMBER = "a number"
    INT = "a whole number"
    BOOL = "true or false"
    TIMESTAMP = "a time"
    DURATION = "a duration"
    STRING_MAP = "a map of texts"
    NUMBER_MAP = "a map of numbers"
    LIST = "a list"
    DYN = "of any type"


MAPS = frozenset({Type.STRING_MAP, Type.NUMBER_MAP})
_HIDDEN = frozenset(
    {
        "raw",
        "identity",
        "event_id",
        "drill",
        "local_time",
        "quarantined",
        "interpreted",
        "stated",
        "stated_status",
        "undescribed",
        "unread",
    }
)
_FROM_PYTHON: dict[Any, Type] = {
    str: Type.STRING,
    float: Type.NUMBER,
    int: Type.NUMBER,  # conditions see every number as a double, so 5 and 5.0 are equal
    bool: Type.BOOL,
    datetime: Type.TIMESTAMP,
    dict[str, str]: Type.STRING_MAP,
    dict[str, float]: Type.NUMBER_MAP,
    dict[str, Number]: Type.NUMBER_MAP,
}


def _types(model: type[BaseModel], hidden: frozenset[str] = frozenset()) -> dict[str, Type]:
    found: dict[str, Type] = {}
    for name, described in model.model_fields.items():
        annotation: Any = described.annotation
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


def metric_units(metrics: Mapping[str, MetricConfig]) -> dict[str, str]:
    """The unit of every metric that is built in or stated, by its name; empty if it has none."""
    units = {name: entry.unit for name, entry in (*KNOWN.items(), *PERFORMANCE.items())}
    return {**units, **{name: entry.unit or units.get(name, "") for name, entry in metrics.items()}}


@dataclass(frozen=True)
class ValueIssue:
    """Why a value that a condition compares with is suspicious. A warning if it may be right after all."""

    message: str
    warning: bool = False


@dataclass(frozen=True)
class Declarations:
    """The declared names, types and known values for the conditions of one policy."""

    slo: frozenset[str]
    """The objectives that the defaults or any model of the catalogue set."""
    values: Mapping[str, tuple[str, ...]]
    """By path: the values that the field can have, as far as the policy knows."""
    units: Mapping[str, str] = field(default_factory=dict[str, str])
    """The unit of each metric that is built in or under ``metrics``."""

    @classmethod
    def of(
        cls,
        models: Mapping[str, ModelConfig],
        default: ModelConfig,
        metrics: Mapping[str, MetricConfig] | None = None,
    ) -> "Declarations":
        entries = (default, *models.values())
        stated = {
            f"model.{name}": tuple({getattr(entry, name) for entry in entries}) for name in ("team", "owner", "service")
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
            units=metric_units(metrics or {}),
        )

    def fields(self, root: str) -> Mapping[str, Type]:
        """The fields of ``alert``, ``model`` or ``incident``."""
        return {"alert": ALERT, "model": MODEL, "incident": INCIDENT}[root]

    @property
    def roots(self) -> tuple[str, ...]:
        return ("alert", "model", "incident", "now")

    def _check_metric(self, text: str) -> ValueIssue | None:
        """A name that is neither built in nor under ``metrics`` is a custom metric's, unless it is nearly known."""
        if text in self.units or not text:
            return None
        if alias := ALIASES.get(fold(text), ""):
            return ValueIssue(f"alerts of {text!r} have the metric {alias!r}: write {alias}", warning=True)
        similar = closest(text, self.units, 0.8)
        return ValueIssue(f"no metric {text!r} is known: did you mean {similar}?", warning=True) if similar else None

    def check_value(self, path: str, text: str) -> ValueIssue | None:
        """Whether the field at a path can equal this text; None if it can."""
        if path == "alert.metric":
            return self._check_metric(text)
        known = self.values.get(path)
        if known is None or text in known or not text:
            return None
        if path == "alert.model":
            if any(text.casefold() == name.casefold() for name in known):
                return None
            similar = closest(text, known, 0.8)
            hint = f": did you mean {similar}?" if similar else ""
            return ValueIssue(f"the catalogue has no model {text!r}{hint}", warning=not similar)
        if path == "alert.kind":
            similar = closest(text, known, 0.7)
            hint = (
                f": did you mean {similar}?" if similar else f"; known are {', '.join(known)}, and a tag may add others"
            )
            return ValueIssue(f"{text!r} is not a kind of alert{hint}", warning=not similar)
        stated = tuple(value for value in known if value)
        if path.startswith("model."):
            field = path.removeprefix("model.")
            return ValueIssue(f"no model of the catalogue has the {field} {text!r}{did_you_mean(text, stated)}")
        return ValueIssue(f"{path} is never {text!r}{did_you_mean(text, stated)}")
